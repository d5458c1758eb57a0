import type { Command } from 'commander';
import type { Gateway, ReportBody } from '../client/gateway';
import { addAdminUrl, addCommand, type CommonOptions, type End } from './command';
import type { Context } from './context';
import {
  money,
  plain,
  printJson,
  table,
  type Cell,
  type ExitCode,
  type Terminal,
} from './terminal';

/** Adds `report`. */
export function addReportCommand(program: Command, actions: ReportActions, end: End): void {
  addAdminUrl(
    addCommand(
      program,
      'report',
      'How the sale of an item went, from the archive',
      'flash-sale report 101',
      'flash-sale report 101 --json',
    ),
  )
    .argument('<item>', 'the id of the item')
    .action((item: string, options: CommonOptions) => end(actions.report({ ...options, item })));
}

/** Over the gateway's admin listener, with the token of an operator. */
export const reportActions = ({ withGateway }: Context) => ({
  report: (options: ReportOptions) =>
    withGateway({ ...options, operator: true }, (deps) => report(deps, options)),
});

type ReportActions = ReturnType<typeof reportActions>;

interface ReportOptions extends CommonOptions {
  readonly item: string;
}

/** `flash-sale report`: 0, or 1 where the archive has no order of the item. */
export async function report(
  { gateway, terminal }: { readonly gateway: Pick<Gateway, 'report'>; readonly terminal: Terminal },
  { item, json }: ReportOptions,
): Promise<ExitCode> {
  const found = await gateway.report(item);
  if (found === undefined) {
    terminal.err(`The archive has no order of ${plain(item)}.\n`);
    return 1;
  }
  if (json) printJson(terminal, found);
  else terminal.out(`${table(terminal, rowsOf(found))}${curveOf(terminal, found)}`);
  return 0;
}

function rowsOf(report: ReportBody): Cell[][] {
  const {
    accepted,
    confirmed,
    refunded,
    failed,
    cancelled,
    refused,
    open,
    to_outcome_ms: ms,
  } = report;
  const reasons = (of: Readonly<Record<string, number>>) =>
    Object.entries(of)
      .map(([reason, number]) => `${reason} ${number}`)
      .join(', ') || '-';
  const revenue = confirmed.revenue.map(
    ({ units, price_minor, total_minor, currency }) =>
      `${money(total_minor, currency)} (${units} × ${money(price_minor, currency)})`,
  );
  return [
    ['accepted', `${accepted.orders} orders, ${accepted.units} units`],
    ['from, to', `${accepted.first_at ?? '-'}, ${accepted.last_at ?? '-'}`],
    ['sold', `${confirmed.orders} orders, ${confirmed.units} units, ${confirmed.buyers} buyers`],
    ['revenue', revenue.join('\n') || '-'],
    ...(refunded && refunded.orders > 0
      ? [['refunded', refundsText(refunded)] satisfies Cell[]]
      : []),
    [
      'last unit sold',
      confirmed.seconds_to_last_unit === null
        ? '-'
        : `${confirmed.last_at ?? '-'}, after ${confirmed.seconds_to_last_unit} s`,
    ],
    ['failed', `${failed.orders}: ${reasons(failed.by_reason)}`],
    ['cancelled', cancelled.orders],
    ['refused', `${refused.requests}: ${reasons(refused.by_reason)}`],
    ['not over yet', open.orders],
    [
      'from 202 to the end',
      ms ? `p50 ${ms.p50} ms, p90 ${ms.p90} ms, p99 ${ms.p99} ms, longest ${ms.max} ms` : '-',
    ],
  ];
}

function refundsText({
  orders,
  units_restocked,
  money: sums,
}: NonNullable<ReportBody['refunded']>) {
  const given = sums.map(({ total_minor, currency }) => money(total_minor, currency)).join(', ');
  return `${given} of ${orders} orders, ${units_restocked} units on sale again`;
}

/** More points than fit on a screen are for --json. */
const POINTS_MAX = 40;

function curveOf(terminal: Terminal, { curve }: ReportBody): string {
  const { points, seconds_per_point: seconds } = curve;
  const shown = points
    .slice(0, POINTS_MAX)
    .map((point): Cell[] => [
      point.at,
      point.accepted_units,
      point.confirmed_units,
      point.ended_without_a_sale,
      point.refused_requests,
    ]);
  const head = [`${seconds} s from`, 'units accepted', 'units sold', 'ended unsold', 'refused'];
  const more = points.length - shown.length;
  return `${table(terminal, shown, head)}${more > 0 ? `${more} more with --json.\n` : ''}`;
}
