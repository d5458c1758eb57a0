/** What the project demands of a figure; `stretch` is what it would like. */
export type Bar =
  | { readonly atLeast: number; readonly stretch?: number }
  | { readonly atMost: number; readonly stretch?: number };

/** One measured number that is held against a bar. */
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
}

export type Verdict = 'met' | 'stretch met' | 'missed';

export function verdict({ value, bar }: Figure): Verdict {
  const reaches = (bound: number) => ('atLeast' in bar ? value >= bound : value <= bound);
  if (!reaches('atLeast' in bar ? bar.atLeast : bar.atMost)) return 'missed';
  return bar.stretch !== undefined && reaches(bar.stretch) ? 'stretch met' : 'met';
}

/** "at least 0.35 (stretch 0.50)" */
export function describeBar(bar: Bar): string {
  const bound = 'atLeast' in bar ? `at least ${bar.atLeast}` : `at most ${bar.atMost}`;
  return bar.stretch === undefined ? bound : `${bound} (stretch ${bar.stretch})`;
}
