import {
  Client,
  Connection,
  WorkflowExecutionAlreadyStartedError,
  WorkflowNotFoundError,
} from '@temporalio/client';
import type { Order } from '../orders/order';
import {
  ORDER_OUTCOME,
  ORDER_WORKFLOW,
  type OrderInput,
  type OrderReplay,
} from '../orders/contract';
import { fingerprintInMemo, orderIdInMemo, orderStartOptions } from '../orders/order-start';
import type { TemporalAccess } from '../../platform/config/access';
import { unavailable } from './operator';

/** The state of an order's latest run. */
export type RunState =
  /** Temporal knows no run of it. */
  | { readonly kind: 'none' }
  | { readonly kind: 'failed'; readonly runId: string; readonly closedAt: number }
  | { readonly kind: 'running' | 'sold' | 'cancelled' | 'other-order' };

/** Temporal as a replay uses it. Both methods throw an OperatorError without a definite answer, and may be repeated. */
export interface OrderReplayer {
  look(order: Order): Promise<RunState>;
  /** Returns the new run's id; undefined when the order has a run that has not failed. Only one concurrent start succeeds. */
  start(input: OrderInput, replay: OrderReplay): Promise<string | undefined>;
}

const CONNECT_MS_MAX = 2_000;
const CALL_MS_MAX = 10_000;

/** Runs `use` with a connection to Temporal and closes it. Throws an OperatorError when Temporal does not answer. */
export async function withOrderReplayer<T>(
  { address, namespace, security, taskQueue }: TemporalAccess & { readonly taskQueue: string },
  use: (replayer: OrderReplayer) => Promise<T>,
): Promise<T> {
  const failed = unavailable(`Temporal at ${address} gives no answer`);
  const connection = await Connection.connect({
    address,
    connectTimeout: CONNECT_MS_MAX,
    ...security?.reveal(),
  }).catch(failed);
  const client = new Client({ connection, namespace });
  // The library repeats a call without an answer under the same request id, so a start is never made twice.
  const call = <R>(send: () => Promise<R>) => client.withDeadline(Date.now() + CALL_MS_MAX, send);
  try {
    return await use({
      look: async (order) => {
        try {
          const handle = client.workflow.getHandle(order.requestId);
          return runState(await call(() => handle.describe()), order);
        } catch (error) {
          if (error instanceof WorkflowNotFoundError) return { kind: 'none' };
          return failed(error);
        }
      },
      start: async (input, replay) => {
        const options = orderStartOptions(input, taskQueue, { kind: 'replay', replay });
        try {
          const handle = await call(() => client.workflow.start(ORDER_WORKFLOW, options));
          return handle.firstExecutionRunId;
        } catch (error) {
          if (error instanceof WorkflowExecutionAlreadyStartedError) return undefined;
          return failed(error);
        }
      },
    });
  } finally {
    await connection.close();
  }
}

type RunDescription = Awaited<ReturnType<ReturnType<Client['workflow']['getHandle']>['describe']>>;

function runState(
  { type, memo, status, runId, closeTime, typedSearchAttributes }: RunDescription,
  order: Order,
): RunState {
  const fingerprint = fingerprintInMemo(memo) ?? order.fingerprint;
  const orderId = orderIdInMemo(memo) ?? order.orderId;
  // A workflow that was started by hand has no memo; the ledger then tells the two orders apart.
  const isSame = fingerprint === order.fingerprint && orderId === order.orderId;
  if (type !== ORDER_WORKFLOW || !isSame) return { kind: 'other-order' };
  switch (status.name) {
    case 'COMPLETED': {
      const isCancelled = typeof typedSearchAttributes.get(ORDER_OUTCOME) === 'string';
      return { kind: isCancelled ? 'cancelled' : 'sold' };
    }
    case 'CANCELLED':
      return { kind: 'cancelled' };
    case 'FAILED':
    case 'TERMINATED':
    case 'TIMED_OUT':
      return { kind: 'failed', runId, closedAt: closeTime?.getTime() ?? 0 };
    case 'RUNNING':
    case 'PAUSED':
    case 'CONTINUED_AS_NEW':
    case 'UNSPECIFIED':
    case 'UNKNOWN':
      return { kind: 'running' };
  }
}
