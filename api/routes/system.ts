import { Type } from '@sinclair/typebox';
import type { Health } from '../health';
import type { Metrics } from '../metrics';
import { explainProblem, PROBLEMS } from '../http/problems';
import { jsonResponse, object, oneOf, pathParameter, textResponse, type Route } from './route';

export const Live = object({ live: Type.Literal(true) });

export const ReadyReport = object({
  ready: Type.Boolean(),
  dependencies: Type.Record(Type.String(), Type.Boolean(), {
    description: 'whether each dependency answers',
  }),
  warnings: Type.Optional(
    Type.Array(Type.String(), {
      description:
        'what is wrong although the gateway can answer, such as why purchases are refused',
    }),
  ),
});

export const ProblemExplanation = object({
  type: Type.String({ pattern: '/problems/[a-z-]+$' }),
  title: Type.String(),
  status: Type.Integer({ minimum: 400, maximum: 599 }),
  detail: Type.String(),
});

/** The last part of a problem's type, which is the last part of a path under /problems. */
export const ProblemName = oneOf(Object.keys(PROBLEMS), 'the last part of the type of a problem');

/** What both listeners say about the gateway itself. */
export function systemRoutes(health: Health): Route[] {
  const explanation = { type: '/problems/sold-out', ...PROBLEMS['sold-out'] };
  return [
    {
      method: 'get',
      path: '/problems/{type}',
      id: 'problem',
      summary: 'Explain a problem',
      description: 'The type of every problem document is a link to this route.',
      parameters: [pathParameter('type', 'sold-out', 'the last part of the type', ProblemName)],
      responses: [
        jsonResponse(200, 'What the problem means and what to do about it.', {
          schema: ProblemExplanation,
          example: explanation,
        }),
      ],
      problems: ['not-found'],
      handle: ({ params }) => explainProblem(params['type'] ?? ''),
    },
    {
      method: 'get',
      path: '/livez',
      id: 'livez',
      summary: 'Liveness',
      description: 'Whether the process runs. Does not check dependencies.',
      responses: [
        jsonResponse(200, 'The process runs.', { schema: Live, example: { live: true } }),
      ],
      problems: [],
      handle: () => health.live(),
    },
    {
      method: 'get',
      path: '/readyz',
      id: 'readyz',
      summary: 'Readiness',
      description:
        'Whether the gateway can answer buyers: with the order or item, or with a `503` that says why. It stays ready while Kafka is away and says so in `warnings`; reads go on.',
      responses: [
        jsonResponse(200, 'Ready.', {
          schema: ReadyReport,
          example: { ready: true, dependencies: { redis: true, kafka: true } },
        }),
        jsonResponse(
          503,
          'Redis is away, without which no request can be answered, or the gateway is shutting down.',
          {
            schema: ReadyReport,
            example: { ready: false, dependencies: { redis: false, kafka: true } },
          },
          { 'Retry-After': 'seconds' },
        ),
      ],
      problems: [],
      handle: () => health.ready(),
    },
  ];
}

export function metricsRoute(metrics: Metrics): Route {
  return {
    method: 'get',
    path: '/metrics',
    id: 'metrics',
    summary: 'Metrics',
    description: 'The metrics of the gateway and its process.',
    responses: [
      textResponse(
        'In the Prometheus format.',
        'text/plain',
        'flash_sale_buys_total{answer="accepted"} 1\n',
      ),
    ],
    problems: [],
    handle: () => metrics.response(),
  };
}
