import {
  isCancellation,
  log as workerLog,
  TemporalFailure,
  upsertSearchAttributes,
} from '@temporalio/workflow';
import { ORDER_OUTCOME, PARKED } from '../engine/orders/contract';

/** Adds a line to what the Web UI shows of an order. */
export type ProgressLog = (line: string) => void;

/**
 * Tries a step at once, and parks the order if the step cannot get on: the server then retries it as `later`, for as long as
 * it takes. Between two tries a parked order holds no slot of a worker, and its history does not grow.
 */
export async function orPark<T>(
  log: ProgressLog,
  atOnce: () => Promise<T>,
  later: () => Promise<T>,
): Promise<T> {
  try {
    return await atOnce();
  } catch (error) {
    if (!(error instanceof TemporalFailure) || isCancellation(error)) throw error;
    const reason = rootMessage(error);
    log(`parked: ${reason}`);
    workerLog.warn('an order is parked', { reason });
  }
  upsertSearchAttributes([{ key: ORDER_OUTCOME, value: PARKED }]);
  try {
    return await later();
  } finally {
    log('no longer parked');
    upsertSearchAttributes([{ key: ORDER_OUTCOME, value: null }]);
  }
}

/** The message of the innermost cause: the outer failures only name the activity. */
export function rootMessage(error: Error): string {
  return error.cause instanceof Error ? rootMessage(error.cause) : error.message;
}
