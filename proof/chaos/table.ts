import type { CaseResult, SaleResult } from './run-case';

/** How many violations of a case are told; a broken promise tends to be broken hundreds of times. */
const TOLD_MAX = 5;

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
  const rule = line(widths.map((width) => '-'.repeat(width)));
  return [line(HEAD), rule, ...rows.map(line)].join('\n');
}

/** One line for a case that has ended, with its violations below it. */
export function resultLine(result: CaseResult, done: number, all: number): string {
  const { point, action } = result.case;
  const found = violationsOf(result);
  const head = [
    `${String(done).padStart(String(all).length)}/${String(all)}`,
    `${point}=${action}`.padEnd(32),
    `${(result.ms / 1_000).toFixed(1).padStart(5)} s`,
    describeBurst(result.burst),
    found.length === 0 ? 'ok' : `${String(found.length)} VIOLATIONS`,
  ].join('  ');
  const told = found.slice(0, TOLD_MAX).map((text) => `      ${text}`);
  const more = found.length - told.length;
  return [head, ...told, ...(more > 0 ? [`      and ${String(more)} more`] : [])].join('\n');
}

/** The last line: how many cases there were and how many broke a promise. */
export function summaryLine(results: readonly CaseResult[], ms: number): string {
  const broken = results.filter((result) => violationsOf(result).length > 0).length;
  const orders = results.reduce((sum, { burst, one }) => sum + burst.accepted + one.accepted, 0);
  return `${String(results.length)} cases, ${String(orders)} accepted orders, ${(ms / 60_000).toFixed(1)} min: ${broken === 0 ? 'every promise was kept' : `${String(broken)} cases broke a promise`}.`;
}

/** What went wrong in a case, sale by sale. */
export function violationsOf({ one, burst }: CaseResult): readonly string[] {
  const told = (sale: string, { violations }: SaleResult) =>
    violations.map(({ promise, what }) => `${sale}: ${promise} ${what}`);
  return [...told('one order', one), ...told('burst', burst)];
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
