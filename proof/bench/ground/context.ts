import type { Report } from '../../../stack/ground/report';
import type { Stack } from '../../../stack/stack';
import type { LoadGenerator } from '../load/generator';
import type { SuiteResult } from '../report/figure';

/** What a suite has to work with. Whatever it starts is ended by the bench, also when it throws. */
export interface BenchContext {
  readonly stack: Stack;
  /** The checkout that is measured, built. */
  readonly root: string;
  /** Another checkout, built, whose gateway takes part in the door suite; for before and after. */
  readonly against: string | undefined;
  /** Folder of this run's data and logs; removed at the end. */
  readonly dataDir: string;
  readonly generator: LoadGenerator;
  /** Shorter and fewer: to see that it works, not to believe the figures. */
  readonly quick: boolean;
  /** Connections of the door suite, one number after the other; absent: its own. */
  readonly connections: readonly number[] | undefined;
  /** Sizes of the drain suite; absent: its own. */
  readonly orders: readonly number[] | undefined;
  /** Folder for CPU profiles of the engine's processes; absent: none are taken. */
  readonly profileDir: string | undefined;
  readonly report: Report;
  /** Aborted by Ctrl-C; every wait ends with it. */
  readonly signal: AbortSignal;
  /** Ends the process with the bench, newest first, unless it has been ended before. */
  readonly onEnd: (stop: () => Promise<unknown>) => void;
}

export interface Suite {
  readonly about: string;
  readonly run: (context: BenchContext) => Promise<SuiteResult>;
}
