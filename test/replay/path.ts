import type { OrderHandle, Saga } from '../support/saga';
import type { Step } from '../support/step-hooks';

/** One path through the workflow, and a way to drive an order along it. */
export interface Path {
  /** Every step that the history has, in the order in which the workflow asked for it. */
  readonly steps: readonly (Step | 'sellAtOnce')[];
  /** How the run closes: confirmed, cancelled, or the reason it fails with. */
  readonly outcome: string;
  /** Drives a new order to the end of the path. `requestId` is the path's name, so that histories read alike. */
  readonly drive: (saga: Saga, requestId: string) => Promise<OrderHandle>;
}
