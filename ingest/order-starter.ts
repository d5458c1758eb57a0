import { WorkflowExecutionAlreadyStartedError, type Client } from '@temporalio/client';
import { defaultPayloadConverter } from '@temporalio/common';
import type { RequestId } from '../engine/orders/order';
import { UnavailableError } from '../engine/kafka/consumer';
import { ORDER_WORKFLOW, type OrderInput } from '../engine/orders/contract';
import { fingerprintInMemo, orderStartOptions } from '../engine/orders/order-start';

export type StartAnswer =
  | { readonly kind: 'started' }
  /** There is or was a workflow of this id; `fingerprint` says for which order, undefined when it is of no kind we know. */
  | { readonly kind: 'exists'; readonly fingerprint: string | undefined };

/** Where orders become workflows. Every method throws UnavailableError when there is no definite answer, and may be called again. */
export interface OrderStarter {
  start(input: OrderInput): Promise<StartAnswer>;
  /** About how many orders are under way. */
  countOpen(): Promise<number>;
}

/** A call that gets no answer for so long is given up; the start may have happened, which the next try then finds. */
const CALL_MS_MAX = 5_000;

const OPEN_ORDERS = `WorkflowType = '${ORDER_WORKFLOW}' AND ExecutionStatus = 'Running'`;

/** Starts orders in Temporal, on one task queue. */
export function createOrderStarter(client: Client, taskQueue: string): OrderStarter {
  /** Whatever Temporal refuses, it is not the order's fault: a missing search attribute is refused like a bad argument. */
  async function call<T>(what: string, use: () => Promise<T>): Promise<T> {
    try {
      return await client.withDeadline(Date.now() + CALL_MS_MAX, use);
    } catch (error) {
      if (error instanceof WorkflowExecutionAlreadyStartedError) throw error;
      throw new UnavailableError(`Temporal gives no answer to ${what}`, { cause: error });
    }
  }

  async function start(input: OrderInput): Promise<StartAnswer> {
    const { order } = input;
    const options = orderStartOptions(input, taskQueue, { kind: 'first' });
    try {
      await call('a start', () => client.workflow.start(ORDER_WORKFLOW, options));
      return { kind: 'started' };
    } catch (error) {
      if (!(error instanceof WorkflowExecutionAlreadyStartedError)) throw error;
      return { kind: 'exists', fingerprint: await fingerprintOf(order.requestId) };
    }
  }

  /** Which order a workflow is for: its memo says so, or its argument where somebody has started it by hand. */
  async function fingerprintOf(requestId: RequestId): Promise<string | undefined> {
    const { memo } = await call('a description', () =>
      client.workflow.getHandle(requestId).describe(),
    );
    return fingerprintInMemo(memo) ?? (await fingerprintInHistory(requestId));
  }

  async function fingerprintInHistory(requestId: RequestId): Promise<string | undefined> {
    const { history } = await call('a history', () =>
      client.workflowService.getWorkflowExecutionHistory({
        namespace: client.options.namespace,
        execution: { workflowId: requestId },
        maximumPageSize: 1,
      }),
    );
    const attributes = history?.events?.[0]?.workflowExecutionStartedEventAttributes;
    const payload = attributes?.input?.payloads?.[0];
    const input: unknown = payload ? defaultPayloadConverter.fromPayload(payload) : undefined;
    return stringField(field(input, 'order'), 'fingerprint');
  }

  return {
    start,
    countOpen: async () => (await call('a count', () => client.workflow.count(OPEN_ORDERS))).count,
  };
}

function field(value: unknown, name: string): unknown {
  if (typeof value !== 'object' || value === null) return undefined;
  return Object.entries(value).find(([key]) => key === name)?.[1];
}

function stringField(value: unknown, name: string): string | undefined {
  const found = field(value, name);
  return typeof found === 'string' ? found : undefined;
}
