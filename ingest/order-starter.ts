import { createHash } from 'node:crypto';
import { WorkflowExecutionAlreadyStartedError, type Client } from '@temporalio/client';
import { defaultPayloadConverter, defineSearchAttributeKey } from '@temporalio/common';
import type { Order, RequestId } from '../domain/order';
import { UnavailableError } from '../orderlog/consumer';
import { ORDER_WORKFLOW, type OrderInput, type OrderMemo } from '../workflows/contract';

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

/** What the server accepts as a key of fairness. */
const FAIRNESS_KEY_BYTES_MAX = 64;

const ITEM_ID = defineSearchAttributeKey('ItemId', 'KEYWORD');
const USER_ID = defineSearchAttributeKey('UserId', 'KEYWORD');
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
    try {
      await call('a start', () => client.workflow.start(ORDER_WORKFLOW, startOptions(input)));
      return { kind: 'started' };
    } catch (error) {
      if (!(error instanceof WorkflowExecutionAlreadyStartedError)) throw error;
      return { kind: 'exists', fingerprint: await fingerprintOf(order.requestId) };
    }
  }

  function startOptions(input: OrderInput) {
    const { order } = input;
    const memo: OrderMemo = { fingerprint: order.fingerprint };
    return {
      workflowId: order.requestId,
      taskQueue,
      // Also after the end of the first run: a record that comes again must never sell a second time.
      workflowIdReusePolicy: 'REJECT_DUPLICATE' as const,
      args: [input],
      memo: { ...memo },
      typedSearchAttributes: [
        { key: ITEM_ID, value: order.itemId },
        { key: USER_ID, value: order.userId },
      ],
      staticSummary: `${order.itemId} ×${order.amount} for ${order.userId}`,
      priority: { fairnessKey: fairnessKey(order) },
    };
  }

  /** Which order a workflow is for: its memo says so, or its argument where somebody has started it by hand. */
  async function fingerprintOf(requestId: RequestId): Promise<string | undefined> {
    const { memo } = await call('a description', () =>
      client.workflow.getHandle(requestId).describe(),
    );
    return stringField(memo, 'fingerprint') ?? (await fingerprintInHistory(requestId));
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

/** One hot item must not starve the others, so the item is the key; a long id is represented by its hash. */
function fairnessKey({ itemId }: Order): string {
  if (Buffer.byteLength(itemId) <= FAIRNESS_KEY_BYTES_MAX) return itemId;
  return createHash('sha256').update(itemId).digest('base64url');
}

function field(value: unknown, name: string): unknown {
  if (typeof value !== 'object' || value === null) return undefined;
  return Object.entries(value).find(([key]) => key === name)?.[1];
}

function stringField(value: unknown, name: string): string | undefined {
  const found = field(value, name);
  return typeof found === 'string' ? found : undefined;
}
