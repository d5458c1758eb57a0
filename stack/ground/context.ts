import type { SupervisedProgram } from '../processes/supervisor';
import type { Report } from './report';
import type { StackSettings } from './settings';

/** What every part of the stack is started with. */
export interface Context {
  readonly settings: StackSettings;
  readonly report: Report;
  /** Aborted when the start is to be given up. */
  readonly signal: AbortSignal;
  /** Runs a program for as long as the stack lives; resolves when it is ready for the first time. */
  readonly run: (program: SupervisedProgram) => Promise<void>;
}

/** A real system that the engine stands on. */
export interface Component {
  /** host:port; for Kafka perhaps several, comma-separated. */
  readonly address: string;
  /** Where it comes from, for people. */
  readonly origin: string;
}
