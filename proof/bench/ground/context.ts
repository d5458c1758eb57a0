import type { Env } from '../../../platform/config';
import type { Report } from '../../../stack/ground/report';
import type { Stack } from '../../../stack/stack';
import type { LoadGenerator } from '../load/generator';
import type { SuiteResult } from '../report/figure';
import type { Checkout } from './checkout';

/** What a suite has to work with. Whatever it starts is ended by the bench, also when it throws. */
export interface BenchContext {
  readonly stack: Stack;
  /** This checkout, built. */
  readonly root: string;
  /** The environment that was given, without the addresses of a running stack. */
  readonly env: Env;
  /** The checkout whose programs run on `stack`. */
  readonly checkout: Checkout;
  /** Another built checkout, which the door and the drain suite compare with this one. */
  readonly against: Checkout | undefined;
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
