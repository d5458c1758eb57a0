import type { NativeConnection } from '@temporalio/worker';
import type { startConsumer } from '../engine/kafka/consumer';
import { within } from '../platform/until';
import type { ReadyReport } from '../platform/health-server';
import type { RedisConnection } from '../platform/redis';

/** A probe has a second or two of patience itself. */
const ANSWER_MS_MAX = 1_000;

/** Tells whether ingest can do its work right now, dependency by dependency. Never rejects. */
export function createReadiness(deps: {
  readonly consumer: Awaited<ReturnType<typeof startConsumer>>;
  readonly temporal: NativeConnection;
  readonly redis: RedisConnection;
}): () => Promise<ReadyReport> {
  const { consumer, temporal, redis } = deps;
  return async () => {
    const [temporalAnswers, redisAnswers] = await Promise.all([
      answers(
        temporal.withDeadline(Date.now() + ANSWER_MS_MAX, () =>
          temporal.workflowService.getSystemInfo({}),
        ),
      ),
      answers(redis.ping()),
    ]);
    const dependencies = {
      kafka: consumer.joined,
      temporal: temporalAnswers,
      redis: redisAnswers,
    };
    return { ready: Object.values(dependencies).every(Boolean), dependencies };
  };
}

async function answers(call: Promise<unknown>): Promise<boolean> {
  return within(call, ANSWER_MS_MAX, 'a readiness probe').then(
    () => true,
    () => false,
  );
}
