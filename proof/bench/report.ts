import Table from 'cli-table3';

/** What the project demands of a figure; `stretch` is what it would like. */
export type Bar =
  | { readonly atLeast: number; readonly stretch?: number }
  | { readonly atMost: number; readonly stretch?: number };

/** One measured number that is compared with a bar. */
export interface Figure {
  readonly what: string;
  readonly value: number;
  readonly bar: Bar;
}

export interface ReportTable {
  readonly title: string;
  readonly head: readonly string[];
  readonly rows: readonly (readonly (string | number)[])[];
}

export interface SuiteResult {
  readonly tables: readonly ReportTable[];
  readonly figures: readonly Figure[];
  /** Broken promises: an oversell, a lost order, a wrong charge. Any of them fails the bench. */
  readonly violations: readonly string[];
  /** What this machine could not measure, and why. */
  readonly skipped?: readonly string[];
}

/** A suite's result for people: its tables, then each figure beside its bar, then the violations. */
export function resultText(
  name: string,
  { tables, figures, violations, skipped = [] }: SuiteResult,
): string {
  const parts = tables.map((table) => tableText(table));
  if (figures.length > 0) {
    const rows = figures.map((figure) => [
      figure.what,
      figure.value.toFixed(2),
      describeBar(figure.bar),
      verdict(figure),
    ]);
    parts.push(tableText({ title: name, head: ['figure', 'measured', 'bar', ''], rows }));
  }
  for (const text of skipped) parts.push(`SKIPPED: ${text}\n`);
  for (const violation of violations) parts.push(`VIOLATION: ${violation}\n`);
  return parts.join('\n');
}

function verdict({ value, bar }: Figure): 'met' | 'stretch met' | 'missed' {
  const reaches = (bound: number) => ('atLeast' in bar ? value >= bound : value <= bound);
  if (!reaches('atLeast' in bar ? bar.atLeast : bar.atMost)) return 'missed';
  return bar.stretch !== undefined && reaches(bar.stretch) ? 'stretch met' : 'met';
}

/** "at least 0.35 (stretch 0.50)" */
function describeBar(bar: Bar): string {
  const bound = 'atLeast' in bar ? `at least ${bar.atLeast}` : `at most ${bar.atMost}`;
  return bar.stretch === undefined ? bound : `${bound} (stretch ${bar.stretch})`;
}

function tableText({ title, head, rows }: ReportTable): string {
  const table = new Table({ head: [...head], style: { head: [], border: [], compact: true } });
  for (const row of rows) table.push(row.map(String));
  return `${title}\n${table.toString()}\n`;
}

/** 12345.6 is "12,346"; below 100 one decimal is kept. */
export function rounded(value: number): string {
  if (Number.isNaN(value)) return '-';
  return value.toLocaleString('en', { maximumFractionDigits: value < 100 ? 1 : 0 });
}
