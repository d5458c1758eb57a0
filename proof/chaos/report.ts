import { violationsOf, type CaseResult, type SaleResult } from './run-chaos';

/** How many violations of a case are listed; a broken guarantee tends to be broken hundreds of times. */
const LISTED_MAX = 5;

const HEAD = ['point', 'action', 'one order', 'burst', 'time', 'violations'];

/** The table of all cases, in Markdown with aligned columns. */
export function resultTable(results: readonly CaseResult[]): string {
  const rows = results.map((result) => [
    result.case.point,
    result.case.action,
    describeOne(result.one),
    describeBurst(result.burst),
    `${(result.ms / 1_000).toFixed(0)} s`,
    String(violationsOf(result).length),
  ]);
  const widths = HEAD.map((head, column) =>
    Math.max(head.length, ...rows.map((row) => row[column]?.length ?? 0)),
  );
  const line = (cells: readonly string[]) =>
    `| ${cells.map((cell, column) => cell.padEnd(widths[column] ?? 0)).join(' | ')} |`;
  return [line(HEAD), line(widths.map((width) => '-'.repeat(width))), ...rows.map(line)].join('\n');
}

/** One line for a case that has ended, with its violations below it. */
export function resultLine(result: CaseResult, done: number, all: number): string {
  const { point, action } = result.case;
  const found = violationsOf(result);
  const head = [
    `${String(done).padStart(String(all).length)}/${all}`,
    `${point}=${action}`.padEnd(32),
    `${(result.ms / 1_000).toFixed(1).padStart(5)} s`,
    describeBurst(result.burst),
    found.length === 0 ? 'ok' : `${found.length} VIOLATIONS`,
  ].join('  ');
  const listed = found.slice(0, LISTED_MAX).map((text) => `      ${text}`);
  const more = found.length - listed.length;
  return [head, ...listed, ...(more > 0 ? [`      and ${more} more`] : [])].join('\n');
}

/** The last line: how many cases there were and how many violated a guarantee. */
export function summaryLine(results: readonly CaseResult[], ms: number): string {
  const broken = results.filter((result) => violationsOf(result).length > 0).length;
  const orders = results.reduce((sum, { burst, one }) => sum + burst.accepted + one.accepted, 0);
  const verdict = broken === 0 ? 'every promise was kept' : `${broken} cases broke a promise`;
  const minutes = (ms / 60_000).toFixed(1);
  return `${results.length} cases, ${orders} accepted orders, ${minutes} min: ${verdict}.`;
}

function describeOne({ accepted, confirmed, failed, cancelled, rejected }: SaleResult): string {
  const parts = [
    accepted - confirmed - failed - cancelled > 0 ? 'open' : '',
    confirmed > 0 ? 'confirmed' : '',
    failed > 0 ? 'failed' : '',
    cancelled > 0 ? 'cancelled' : '',
    rejected > 0 ? 'sold out' : '',
  ];
  return parts.filter((part) => part !== '').join(' + ') || 'undecided';
}

function describeBurst({ accepted, confirmed, failed, cancelled, restarts }: SaleResult): string {
  const ends = `${accepted} accepted: ${confirmed} confirmed, ${failed} failed, ${cancelled} cancelled`;
  return restarts === 0 ? ends : `${ends}; restarted ${restarts} times`;
}
