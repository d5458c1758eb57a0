import { randomUUID } from 'node:crypto';
import { InvalidArgumentError, type Command } from 'commander';
import { GatewayError, type Gateway, type ProblemResponse } from '../client/gateway';
import { AMOUNT_MAX, isId } from '../engine/orders/order';
import { OPERATION_LENGTH_MAX } from '../engine/orders/refund';
import { PRICE_MINOR_MAX } from '../engine/orders/sale';
import { UserError } from '../platform/user-error';
import {
  addAdminUrl,
  addCommand,
  addNameAndRequiredReason,
  operatorName,
  refused,
  requireReason,
  wholeNumber,
  type ActionOptions,
  type End,
} from './command';
import type { Context } from './context';
import { parsePrice } from './stock';
import { money, paint, plain, printResult, type ExitCode, type Terminal } from './terminal';

/** Adds `refund`. */
export function addRefundCommand(program: Command, actions: RefundActions, end: End): void {
  addNameAndRequiredReason(
    addAdminUrl(
      addCommand(
        program,
        'refund <request_id>',
        'Give money back for a sold order, all that is left or some of it',
        'flash-sale refund req-123 --why "returned" --restock 1',
        'flash-sale refund req-123 --amount 2.50 --why "a scratch"',
      ),
    ),
  )
    .option('--amount <amount>', 'such as 10.00, in the currency of the order')
    .option(
      '--restock <units>',
      'units that go on sale again once the money is given back',
      wholeNumber(1, AMOUNT_MAX),
    )
    .option('--operation-id <id>', 'sent twice under one id, it is one refund', operationId)
    .action((requestId: string, options: Omit<RefundOptions, 'requestId'>) =>
      end(actions.refund({ ...options, requestId })),
    );
}

function operationId(text: string): string {
  if (isId(text) && text.length <= OPERATION_LENGTH_MAX) return text;
  throw new InvalidArgumentError(
    `It must be 1 to ${OPERATION_LENGTH_MAX} letters, digits or . _ ~ : @ + = -`,
  );
}

/** Over the gateway's admin listener, with the token of an operator. */
export const refundActions = ({ withGateway }: Context) => ({
  refund: (options: RefundOptions) =>
    withGateway({ ...options, operator: true }, (deps) => refund(deps, options)),
});

type RefundActions = ReturnType<typeof refundActions>;

export interface RefundOptions extends ActionOptions {
  readonly requestId: string;
  /** In major units, "10.00". Absent: all that is left. */
  readonly amount?: string | undefined;
  readonly restock?: number | undefined;
  /** Absent: a new one. */
  readonly operationId?: string | undefined;
}

/** `flash-sale refund`: 0 once the money is given back or is about to be. Throws a UserError where it is not. */
export async function refund(
  {
    gateway,
    terminal,
  }: {
    readonly gateway: Pick<Gateway, 'operatorOrder' | 'refund'>;
    readonly terminal: Terminal;
  },
  options: RefundOptions,
): Promise<ExitCode> {
  const { requestId, amount, restock, by, operationId: operation_id = randomUUID() } = options;
  const why = requireReason(options.why, by ?? operatorName());
  const amount_minor = amount === undefined ? undefined : await minorOf(gateway, requestId, amount);
  const response = await gateway
    .refund(requestId, {
      operation_id,
      why,
      ...(by !== undefined && { by }),
      ...(amount_minor !== undefined && { amount_minor }),
      ...(restock !== undefined && { restock }),
    })
    .catch((error: unknown) => {
      if (!(error instanceof GatewayError) || !error.mayHaveArrived) throw error;
      throw new UserError(
        `${error.message} The refund may be under way: run the same again with --operation-id ${operation_id}, which never gives back twice.`,
        { cause: error },
      );
    });
  if (response.kind === 'problem') throw refusal(response, operation_id);
  const { body } = response;
  const sum = body.amount_minor == null ? 'the rest' : money(body.amount_minor, body.currency);
  const text =
    body.status === 'succeeded'
      ? `${sum} of ${requestId} given back (${body.refund_id ?? ''}), ${body.restocked} units on sale again.`
      : `The refund of ${sum} is under way. Ask again with the same options and --operation-id ${operation_id}, or look at flash-sale order ${requestId} --operator.`;
  printResult(terminal, options, body, `${paint(terminal, 'green', plain(text))}\n`);
  return 0;
}

async function minorOf(
  gateway: Pick<Gateway, 'operatorOrder'>,
  requestId: string,
  amount: string,
): Promise<number> {
  const order = await gateway.operatorOrder(requestId);
  if (!order) throw refused(`No order has been accepted under ${requestId}.`);
  if (order.currency === undefined) {
    throw new UserError('The gateway does not say the currency of the order: it is too old.');
  }
  return parsePrice(amount, order.currency, PRICE_MINOR_MAX * AMOUNT_MAX);
}

function refusal({ problem, body }: ProblemResponse, operation: string): UserError {
  const code = body.code === undefined ? '' : ` (${body.code})`;
  const fields = (body.errors ?? []).map(({ path, message }) => ` ${path} ${message}.`).join('');
  const text = plain(`${body.title}${code}: ${body.detail}${fields}`);
  if (body.status < 500) return refused(text);
  return new UserError(`${problem}: ${text} Try again with --operation-id ${operation}.`);
}
