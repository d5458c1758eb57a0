import {
  Client,
  Connection,
  WorkflowExecutionAlreadyStartedError,
  WorkflowNotFoundError,
} from '@temporalio/client';
import type { Order } from '../../orders/order';
import {
  ORDER_OUTCOME,
  ORDER_WORKFLOW,
  type OrderInput,
  type OrderReplay,
} from '../../orders/contract';
import { fingerprintInMemo, orderStartOptions } from '../../orders/order-start';
import type { TemporalAccess } from '../../../platform/config/temporal-access';
import { OperatorFault } from '../operator-error';

/** How an order stands in Temporal. */
export type Standing =
  /** No run of it is remembered. */
  | { readonly kind: 'none' }
  | { readonly kind: 'failed'; readonly runId: string; readonly closedAt: number }
  | { readonly kind: 'running' | 'sold' | 'cancelled' | 'other-order' };

/** Temporal as a replay needs it. Throws an OperatorFault when there is no definite answer; both may be asked again. */
export interface OrderReplayer {
  look(order: Order): Promise<Standing>;
  /** The new run's id, or undefined when the order has one that has not failed: of several at once one wins. */
  start(input: OrderInput, replay: OrderReplay): Promise<string | undefined>;
}

const CONNECT_MS_MAX = 2_000;
const CALL_MS_MAX = 10_000;

export interface ReplayerOptions extends TemporalAccess {
  readonly taskQueue: string;
}

/** Runs `use` with a connection to Temporal and closes it. Throws an OperatorFault when nobody answers. */
export async function withOrderReplayer<T>(
  options: ReplayerOptions,
  use: (replayer: OrderReplayer) => Promise<T>,
): Promise<T> {
  const { address, namespace, security, taskQueue } = options;
  const explain = (cause: unknown) =>
    new OperatorFault('unavailable', `Temporal at ${address} gives no answer`, { cause });
  const connection = await Connection.connect({
    ...{ address, connectTimeout: CONNECT_MS_MAX },
    ...security?.reveal(),
  }).catch((error: unknown) => {
    throw explain(error);
  });
  try {
    return await use(
      createOrderReplayer(new Client({ connection, namespace }), taskQueue, explain),
    );
  } finally {
    await connection.close();
  }
}

function createOrderReplayer(
  client: Client,
  taskQueue: string,
  explain: (cause: unknown) => OperatorFault,
): OrderReplayer {
  /** The library repeats a call that got no answer under the same request, so a start is never made twice. */
  const call = <T>(use: () => Promise<T>) => client.withDeadline(Date.now() + CALL_MS_MAX, use);
  return {
    look: async (order) => {
      try {
        const handle = client.workflow.getHandle(order.requestId);
        return standing(await call(() => handle.describe()), order);
      } catch (error) {
        if (error instanceof WorkflowNotFoundError) return { kind: 'none' };
        throw explain(error);
      }
    },
    start: async (input, replay) => {
      const options = orderStartOptions(input, taskQueue, { kind: 'replay', replay });
      try {
        const handle = await call(() => client.workflow.start(ORDER_WORKFLOW, options));
        return handle.firstExecutionRunId;
      } catch (error) {
        if (error instanceof WorkflowExecutionAlreadyStartedError) return undefined;
        throw explain(error);
      }
    },
  };
}

type Described = Awaited<ReturnType<ReturnType<Client['workflow']['getHandle']>['describe']>>;

function standing(
  { type, memo, status, runId, closeTime, typedSearchAttributes }: Described,
  order: Order,
): Standing {
  const known = fingerprintInMemo(memo);
  // Where somebody has started the workflow by hand there is no memo, and the ledger tells the two apart.
  if (type !== ORDER_WORKFLOW || (known !== undefined && known !== order.fingerprint)) {
    return { kind: 'other-order' };
  }
  switch (status.name) {
    case 'COMPLETED':
      return {
        kind: typedSearchAttributes.get(ORDER_OUTCOME) === 'cancelled' ? 'cancelled' : 'sold',
      };
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
