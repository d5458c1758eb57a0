import { activityInfo } from '@temporalio/activity';
import type { FailureReason, Order } from '../engine/orders/order';
import type { DeadLetter } from '../engine/orders/dead-letter';
import type { OrderInput } from '../engine/orders/contract';

export type DeadLetterActivities = ReturnType<typeof createDeadLetterActivities>;

/** The saga's last step for an order that failed. */
export function createDeadLetterActivities(
  writer: { write(letter: DeadLetter): Promise<void> },
  encodeOrder: (order: Order) => Buffer,
) {
  return {
    /** Returns once Kafka has acknowledged the letter. A retry writes it again under the same id. */
    async deadLetter(step: {
      input: OrderInput;
      reason: FailureReason;
      error: string;
      generation: number;
    }): Promise<void> {
      const { order, source, original } = step.input;
      const { workflowExecution, scheduledTimestampMs } = activityInfo();
      const runId = workflowExecution?.runId ?? 'no-run';
      await writer.write({
        id: `${order.requestId}:${runId}`,
        requestId: order.requestId,
        itemId: order.itemId,
        reason: step.reason,
        error: step.error,
        generation: step.generation,
        runId,
        at: scheduledTimestampMs,
        ...(source && { source }),
        value: original === undefined ? encodeOrder(order) : Buffer.from(original),
      });
    },
  };
}
