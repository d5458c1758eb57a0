import { AggregatorRegistry } from 'prom-client';
import type { joinCopies } from '../../platform/copies/copy';
import type { ReadyReport } from '../../platform/health-server';
import { readiness, type Health } from './health';
import { metricsAnswer, type Metrics } from './metrics';

/** Where several gateway processes share a port, a probe reaches one of them and means all. */
export function speakForAll(
  join: typeof joinCopies,
  { health, metrics }: { readonly health: Health; readonly metrics: Metrics },
): { readonly health: Health; readonly metrics: Metrics } {
  const siblings = join({ metrics: metrics.figures, readiness: health.report });
  return {
    health: {
      ...health,
      // Ready when one of them is: that one sells, and what the others refuse is refused with "try again".
      ready: async () => {
        const own = await health.report();
        if (own.ready) return readiness(own);
        const reports = (await siblings.ask('readiness')) as readonly ReadyReport[];
        return readiness(reports.find(({ ready }) => ready) ?? own);
      },
    },
    metrics: {
      ...metrics,
      // Counts are summed. Those of a process that has died are gone from the sum, which Prometheus takes for a restart.
      answer: async () => {
        const figures = (await siblings.ask('metrics')) as Awaited<
          ReturnType<Metrics['figures']>
        >[];
        return metricsAnswer(
          await AggregatorRegistry.aggregate(figures.map((of) => [...of])).metrics(),
        );
      },
    },
  };
}
