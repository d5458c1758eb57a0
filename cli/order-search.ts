import { Option, type Command } from 'commander';
import type { FoundOrderBody, Gateway } from '../client/gateway';
import { ORDER_REASONS } from '../engine/orders/order';
import { EVENT_STATUSES } from '../engine/orders/order-event';
import { UserError } from '../platform/user-error';
import {
  addAdminUrl,
  addCommand,
  pastMoment,
  wholeNumber,
  type CommonOptions,
  type End,
} from './command';
import type { Context } from './context';
import {
  money,
  printJson,
  table,
  type Cell,
  type Colour,
  type ExitCode,
  type Terminal,
} from './terminal';

/** Adds `search` and `export`. */
export function addOrderSearchCommands(
  orders: Command,
  actions: OrderSearchActions,
  end: End,
): void {
  addFilters(
    addCommand(
      orders,
      'search',
      'Find orders in the archive, newest first',
      'flash-sale orders search --item 101 --status failed --since 2h',
      'flash-sale orders search --payment ch_1 --json',
    ),
  )
    .option('--max <number>', 'show at most this many', wholeNumber(1, 10_000), 50)
    .action((options: SearchOptions) => end(actions.search(options)));

  addFilters(
    addCommand(
      orders,
      'export',
      'Write all orders that match to standard output, newest first',
      'flash-sale orders export --format csv --item 101 > orders.csv',
      'flash-sale orders export --format ndjson --since 2026-11-24T10:00Z',
    ),
  )
    .addOption(
      new Option('--format <format>', 'csv, or ndjson: a JSON document a line')
        .choices(['csv', 'ndjson'])
        .default('csv'),
    )
    .action((options: ExportOptions) => end(actions.export(options)));
}

/** `repeated`: accepted twice; another acceptance is the order. */
const STATUSES = ['queued', ...EVENT_STATUSES, 'repeated'] as const;
type Status = (typeof STATUSES)[number];

function addFilters(command: Command): Command {
  return addAdminUrl(command)
    .option('--request-id <id>', 'only this request_id')
    .option('--user <id>', 'only this buyer')
    .option('--item <id>', 'only this item')
    .option('--payment <id>', "only the order of this charge, by the provider's id")
    .addOption(new Option('--status <status>', 'only orders that are this').choices(STATUSES))
    .addOption(
      new Option('--reason <reason>', 'only orders that were not sold for this').choices(
        ORDER_REASONS,
      ),
    )
    .option(
      '--since <time>',
      'not accepted before: 2026-11-24T10:00Z, or 30m, 2h, 7d ago',
      pastMoment,
    )
    .option('--until <time>', 'accepted before', pastMoment);
}

/** Over the gateway's admin listener, with the token of an operator. */
export const orderSearchActions = ({ withGateway }: Context) => ({
  search: (options: SearchOptions) =>
    withGateway({ ...options, operator: true }, (deps) => search(deps, options)),
  export: (options: ExportOptions) =>
    withGateway({ ...options, operator: true }, (deps) => exportOrders(deps, options)),
});

type OrderSearchActions = ReturnType<typeof orderSearchActions>;

interface FilterOptions extends CommonOptions {
  readonly requestId?: string | undefined;
  readonly user?: string | undefined;
  readonly item?: string | undefined;
  readonly payment?: string | undefined;
  readonly status?: string | undefined;
  readonly reason?: string | undefined;
  /** Milliseconds since the epoch. */
  readonly since?: number | undefined;
  readonly until?: number | undefined;
}

interface SearchOptions extends FilterOptions {
  readonly max: number;
}

interface ExportOptions extends FilterOptions {
  readonly format: string;
}

/** Orders of one answer of the gateway. */
const PAGE_MAX = 500;

/** `flash-sale orders search`: always 0, since an empty list is an answer. */
export async function search(
  { gateway, terminal }: { readonly gateway: Gateway; readonly terminal: Terminal },
  { max, json, ...options }: SearchOptions,
): Promise<ExitCode> {
  const query = queryOf(options);
  query.set('limit', String(Math.min(max, PAGE_MAX)));
  const found: FoundOrderBody[] = [];
  let isMore = true;
  while (isMore && found.length < max) {
    const { orders, next } = await gateway.searchOrders(query);
    found.push(...orders);
    const cursor = new URLSearchParams(next?.split('?')[1]).get('cursor');
    isMore = cursor !== null;
    if (cursor !== null) query.set('cursor', cursor);
  }
  const shown = found.slice(0, max);
  if (json) printJson(terminal, shown);
  else if (shown.length === 0) terminal.out('No orders.\n');
  else {
    const head = [
      'accepted',
      'order',
      'user',
      'item',
      'status',
      'price',
      'refunded',
      'payment',
      'finished',
    ];
    terminal.out(table(terminal, shown.map(orderRow), head));
    if (isMore || found.length > max) {
      terminal.out(`The newest ${shown.length}; --max shows more, orders export all.\n`);
    }
  }
  return 0;
}

/** `flash-sale orders export`: 0 once all is written. Throws a UserError when the gateway does not send all. */
export async function exportOrders(
  { gateway, terminal }: { readonly gateway: Gateway; readonly terminal: Terminal },
  { format, json, ...options }: ExportOptions,
): Promise<ExitCode> {
  if (json) throw new UserError('An export is no JSON document: use --format ndjson.');
  const query = queryOf(options);
  query.set('format', format);
  await terminal.stream(await gateway.exportOrders(query));
  return 0;
}

function queryOf(options: FilterOptions): URLSearchParams {
  const { requestId, user, item, payment, status, reason, since, until } = options;
  const given = {
    request_id: requestId,
    user_id: user,
    item_id: item,
    payment_id: payment,
    status,
    reason,
    since: since === undefined ? undefined : new Date(since).toISOString(),
    until: until === undefined ? undefined : new Date(until).toISOString(),
  };
  const set = Object.entries(given).flatMap(([name, value]) =>
    value === undefined ? [] : [[name, value] as [string, string]],
  );
  return new URLSearchParams(set);
}

const COLOURS: Readonly<Record<Status, Colour>> = {
  queued: 'yellow',
  confirmed: 'green',
  failed: 'red',
  cancelled: 'grey',
  repeated: 'grey',
};

function orderRow(order: FoundOrderBody): Cell[] {
  const status = order.reason == null ? order.status : `${order.status}: ${order.reason}`;
  const colour = COLOURS[order.status as Status] as Colour | undefined;
  return [
    order.accepted_at,
    order.request_id,
    order.user_id,
    `${order.item_id} ×${order.amount}`,
    colour === undefined ? status : { text: status, colour },
    money(order.amount * order.price_minor, order.currency),
    order.refunded_minor ? money(order.refunded_minor, order.currency) : '-',
    order.payment_id ?? '-',
    order.finished_at ?? '-',
  ];
}
