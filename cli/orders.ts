import { randomUUID } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Command } from 'commander';
import {
  GatewayError,
  type BuyBody,
  type Gateway,
  type OrderBody,
  type ProblemBody,
} from '../client/gateway';
import { AMOUNT_MAX } from '../engine/orders/order';
import { isFinal, type OrderStatus } from '../engine/orders/ledger';
import { UserError } from '../platform/user-error';
import { addAdminUrl, addCommand, wholeNumber, type CommonOptions, type End } from './command';
import type { Context, Trace } from './context';
import {
  money,
  paint,
  plain,
  printJson,
  printResult,
  table,
  unknownText,
  type Cell,
  type Colour,
  type ExitCode,
  type Terminal,
} from './terminal';

/** Adds `buy`, `order` and `cancel`. */
export function addOrderCommands(program: Command, actions: OrderActions, end: End): void {
  addCommand(
    program,
    'buy',
    'Buy units of an item through the gateway',
    'flash-sale buy --item 101 --user u1 --amount 1 --wait',
  )
    .requiredOption('--item <id>', 'the item')
    .requiredOption('--user <id>', 'the buyer')
    .option('--amount <units>', 'number of units', wholeNumber(1, AMOUNT_MAX), 1)
    .option('--request-id <id>', 'the name of this purchase (default: a new one)')
    .option('--wait', 'wait for the final outcome of the order; exit 0 only if it is confirmed')
    .action((options: BuyOptions) => end(actions.buy(options)));

  addAdminUrl(
    addCommand(
      program,
      'order <request_id>',
      'Show an order: its status, timeline and payment',
      'flash-sale order req-123',
      'flash-sale order req-123 --operator',
    ),
  )
    .option(
      '--operator',
      'read it as an operator, whoever the buyer is, with the token in FLASH_SALE_OPERATOR_TOKEN',
    )
    .action((requestId: string, options: Omit<OrderOptions, 'requestId'>) =>
      end(actions.order({ ...options, requestId })),
    );

  addCommand(
    program,
    'cancel <request_id>',
    'Cancel an order, which its buyer can do until it is paid',
    'flash-sale cancel req-123 --user u1',
  )
    .requiredOption('--user <id>', 'the buyer of the order')
    .action((requestId: string, options: Omit<CancelOptions, 'requestId'>) =>
      end(actions.cancel({ ...options, requestId })),
    );
}

export const orderActions = ({ withGateway }: Context) => ({
  buy: (options: BuyOptions) => withGateway(options, (deps) => buy(deps, options)),
  order: (options: OrderOptions) => withGateway(options, (deps) => order(deps, options)),
  cancel: (options: CancelOptions) => withGateway(options, (deps) => cancel(deps, options)),
});

type OrderActions = ReturnType<typeof orderActions>;

interface Deps {
  readonly gateway: Gateway;
  readonly terminal: Terminal;
  readonly trace: Trace;
  /** Milliseconds; only tests shorten them. */
  readonly pollMs?: number;
  readonly waitMsMax?: number;
}

interface BuyOptions extends CommonOptions {
  readonly item: string;
  readonly user: string;
  /** Units. */
  readonly amount: number;
  /** Absent: a new one. */
  readonly requestId?: string | undefined;
  /** Wait for the final outcome. */
  readonly wait?: boolean | undefined;
}

/**
 * `flash-sale buy`: 0 when the order is accepted, and with `wait` when it is confirmed; otherwise 1. Throws a UserError when
 * there is no response, or no final outcome in time.
 */
export async function buy(deps: Deps, options: BuyOptions): Promise<ExitCode> {
  const { gateway, terminal, trace } = deps;
  const requestId = options.requestId ?? randomUUID();
  const response = await sendPurchase(gateway, {
    user_id: options.user,
    item_id: options.item,
    amount: options.amount,
    request_id: requestId,
  });
  if (response.kind === 'problem') {
    const again = `Try again with --request-id ${requestId}`;
    printResult(
      terminal,
      options,
      response.body,
      problemText(terminal, response.body, again, trace),
    );
    return 1;
  }
  if (!options.json) {
    const accepted = { text: 'accepted', colour: 'green' } as const;
    const rows = [
      ['202', accepted],
      ['order', requestId],
      ['workflow', traceLink(trace, requestId)],
    ];
    terminal.out(table(terminal, rows));
  }
  if (!options.wait) {
    if (options.json) printJson(terminal, response.body);
    return 0;
  }
  const final = await finalOrder(deps, requestId);
  printResult(terminal, options, final, orderText(terminal, final, trace));
  return final.status === 'confirmed' ? 0 : 1;
}

/** Without a response, the buyer must learn the id to repeat: another id would buy twice. */
async function sendPurchase(gateway: Gateway, body: BuyBody) {
  try {
    return await gateway.buy(body);
  } catch (error) {
    if (!(error instanceof GatewayError) || !error.mayHaveArrived) throw error;
    throw new UserError(
      `${error.message} The order may have gone through: repeat it with --request-id ${body.request_id}, never with another id.`,
      { cause: error },
    );
  }
}

/** A payment in doubt is pursued for two minutes before the order fails. */
const OUTCOME_MS_MAX = 180_000;
const POLL_MS = 250;

async function finalOrder(
  { gateway, terminal, pollMs = POLL_MS, waitMsMax = OUTCOME_MS_MAX }: Deps,
  requestId: string,
): Promise<OrderBody> {
  let deadline = Date.now() + waitMsMax;
  let told = '';
  for (;;) {
    const found = await gateway.order(requestId);
    if (found && isFinal(found.status)) return found;
    const { payment } = found ?? {};
    if (payment && toPay(payment) !== told) {
      told = toPay(payment);
      terminal.err(`The order waits for its payment ${plain(told)}\n`);
      deadline = Math.max(deadline, Date.parse(payment.pay_by) + OUTCOME_MS_MAX);
    }
    if (Date.now() >= deadline) {
      throw new UserError(
        `The order ${requestId} is still ${found?.status ?? 'not to be found'} after ${waitMsMax / 1000} s: is the worker running? (flash-sale doctor) Look again with: flash-sale order ${requestId}`,
      );
    }
    await sleep(pollMs);
  }
}

interface OrderOptions extends CommonOptions {
  readonly requestId: string;
  /** Ask the admin listener. */
  readonly operator?: boolean | undefined;
}

/** `flash-sale order`: an order as it stands; 1 when none was accepted under this id. */
export async function order(
  { gateway, terminal, trace }: Deps,
  options: OrderOptions,
): Promise<ExitCode> {
  const read = options.operator ? gateway.operatorOrder : gateway.order;
  const found = await read(options.requestId);
  const text = found
    ? orderText(terminal, found, trace)
    : unknownText(terminal, `No order has been accepted under ${options.requestId}.`);
  printResult(terminal, options, found ?? null, text);
  return found ? 0 : 1;
}

interface CancelOptions extends CommonOptions {
  readonly requestId: string;
  readonly user: string;
}

/** A refund that is retried takes longer; the gateway itself waits some seconds for each request. */
const CANCEL_MS_MAX = 60_000;
const CANCEL_RETRY_MS = 1_000;

/**
 * `flash-sale cancel`: 0 once the order is cancelled, 1 when it cannot be. Repeats the request until that is decided. Throws
 * a UserError when it is not decided in time.
 */
export async function cancel(
  { gateway, terminal, trace, waitMsMax = CANCEL_MS_MAX }: Deps,
  options: CancelOptions,
): Promise<ExitCode> {
  const { requestId, user } = options;
  const deadline = performance.now() + waitMsMax;
  for (;;) {
    const response = await gateway.cancel(requestId, user);
    if (response.kind === 'under-way') {
      if (performance.now() >= deadline) {
        throw new UserError(
          `The cancellation of ${requestId} is noted, but not decided after ${waitMsMax / 1000} s: is the worker running? (flash-sale doctor) Asking again is safe.`,
        );
      }
      await sleep(response.retryAfterMs ?? CANCEL_RETRY_MS);
      continue;
    }
    const again = `Ask again: flash-sale cancel ${requestId} --user ${user}`;
    const text =
      response.kind === 'problem'
        ? problemText(terminal, response.body, again, trace)
        : orderText(terminal, response.body, trace);
    printResult(terminal, options, response.body, text);
    return response.kind === 'cancelled' ? 0 : 1;
  }
}

/** A problem as text, with the order where it names one. `again` is shown where the same request may succeed later. */
function problemText(
  terminal: Terminal,
  { status, type, title, detail, errors = [], order }: ProblemBody,
  again: string,
  trace: Trace,
): string {
  const word = paint(terminal, 'red', `${status} ${plain(type.replace(/^.*\//, ''))}`);
  const lines = [
    `${word}  ${plain(title)}: ${plain(detail)}\n`,
    ...errors.map(({ path, message }) => `  ${plain(path || 'the request')} ${plain(message)}\n`),
  ];
  if (order) lines.push(orderText(terminal, order, trace));
  else if (status === 503) lines.push(`  ${plain(again)}\n`);
  return lines.join('');
}

function orderText(terminal: Terminal, order: OrderBody, trace: Trace): string {
  const { request_id, item_id, user_id, amount, status, reason } = order;
  const outcome = reason == null ? status : `${status}: ${reason}`;
  const rows: Cell[][] = [
    ['order', request_id],
    ['status', { text: outcome, colour: STATUS_COLOURS[status] }],
    ['item', `${item_id} × ${amount} for ${user_id}`],
    ['payment', order.payment_id ?? 'none'],
    ...(order.payment ? [['to pay', toPay(order.payment)]] : []),
    ...returnRows(order),
    ['generation', order.generation],
    ['accepted', order.accepted_at],
    ['finished', order.finished_at ?? 'not yet'],
    ...order.timeline.map(({ at, state }, index) => [
      index === 0 ? 'timeline' : '',
      `${at}  ${state}`,
    ]),
    ['workflow', order.links?.trace ?? traceLink(trace, request_id)],
  ];
  return table(terminal, rows);
}

/** What was given back, and what may have to be. */
export function returnRows({
  currency = '',
  total_minor = 0,
  refunded_minor = 0,
  refunds = [],
  disputes = [],
}: OrderBody): Cell[][] {
  const line = (what: string) => (one: NonNullable<OrderBody['refunds']>[number]) => {
    const name = one.operation_id ?? one.id;
    const reason = one.reason == null ? '' : ` (${one.reason})`;
    const amount = money(one.amount_minor, currency);
    return [what, `${one.made_at}  ${amount}  ${one.status}${reason}  ${name}`];
  };
  const sum = `${money(refunded_minor, currency)} of ${money(total_minor, currency)}`;
  return [
    ...(refunded_minor > 0 ? [['refunded', sum]] : []),
    ...refunds.map(line('refund')),
    ...disputes.map(line('dispute')),
  ];
}

/** A page of the shop needs more, which only JSON shows: it is a secret of the buyer. */
function toPay({ pay_by: by, url }: NonNullable<OrderBody['payment']>): string {
  return `by ${by}${url === undefined ? '' : `  at ${url}`}`;
}

function traceLink({ temporalUi, namespace }: Trace, requestId: string): string {
  return `${temporalUi}/namespaces/${namespace}/workflows/${encodeURIComponent(requestId)}`;
}

const STATUS_COLOURS = {
  queued: 'yellow',
  reserved: 'yellow',
  'awaiting-payment': 'yellow',
  confirmed: 'green',
  failed: 'red',
  cancelled: 'grey',
} as const satisfies Record<OrderStatus, Colour>;
