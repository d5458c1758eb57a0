import Router from '@koa/router';
import Koa, { type Context } from 'koa';
import type { Logger } from '../platform/logger';
import type { Buy } from './buy/buy';
import type { CancelOrder } from './cancel/cancel-order';
import type { Docs } from './docs/docs';
import type { Health } from './health';
import { RequestError, type ErrorLog } from './http/errors';
import { explainProblem, problem } from './http/problems';
import { writeResponse, type HttpResponse } from './http/response';
import type { Items } from './items';
import type { Metrics } from './metrics';
import type { Operator } from './operator/operator';
import { addOperatorRoutes } from './operator/routes';
import type { OrderEvents } from './orders/order-events';
import type { Orders } from './orders/orders';

export interface AppDeps {
  readonly buy: Buy;
  readonly orders: Orders;
  readonly cancelOrder: CancelOrder;
  readonly events: OrderEvents;
  readonly items: Items;
  readonly health: Health;
  readonly metrics: Metrics;
  readonly docs: Docs;
  readonly operator: Operator;
  readonly errors: ErrorLog;
  readonly logger: Logger;
  readonly isClosing: () => boolean;
}

/**
 * The paths of the gateway. Routes return answers; this file alone writes them and turns what was thrown into a
 * problem: what a RequestError says, otherwise 500, for then it is a bug.
 */
export function createApp(deps: AppDeps): Koa {
  const { buy, metrics, errors, logger, isClosing } = deps;
  const app = new UnwatchedKoa();

  /** Past Koa's own writer: it would set each header by itself and look at the body's type again. */
  const write = (ctx: Context, answer: HttpResponse) => {
    ctx.respond = false;
    writeResponse(ctx.req, ctx.res, answer, { close: isClosing() });
  };

  // Connections that break in the middle of an answer; nobody is left to be told.
  app.on('error', (error: unknown) => {
    logger.debug({ err: error }, 'connection lost');
  });

  const answerBuy = async (ctx: Context) => {
    if (ctx.method !== 'POST') {
      write(ctx, methodNotAllowed(['POST']));
      return;
    }
    const startedAt = performance.now();
    const answer = await buy.respond(ctx.req);
    ctx.respond = false;
    if (!answer) return;
    metrics.countBuy(answer, (performance.now() - startedAt) / 1_000);
    write(ctx, answer);
  };

  app.use(async (ctx, next) => {
    try {
      if (!isReadable(ctx.url)) {
        write(ctx, problem('invalid-request', { detail: 'The request target is not a URL.' }));
      } else if (ctx.path === '/buy') {
        // Past the router, whose matching costs more than all else that is done here for a purchase.
        await answerBuy(ctx);
      } else {
        await next();
      }
    } catch (error) {
      const known = error instanceof RequestError ? error : undefined;
      const type = known?.problem ?? 'internal';
      if (type === 'not-accepted') errors.report('a reader got no answer', error);
      else if (type === 'outcome-unknown') errors.report('a cancellation got no answer', error);
      else logger.error({ err: error, method: ctx.method, url: ctx.url }, 'a bug');
      write(ctx, problem(type, { requestId: known?.requestId }));
    }
  });

  const router = createRouter(deps, write);
  app.use(router.routes());
  app.use((ctx) => {
    const methods = router.match(ctx.path, ctx.method).path.flatMap((layer) => layer.methods);
    write(ctx, methods.length > 0 ? methodNotAllowed(methods) : problem('not-found'));
  });
  return app;
}

/**
 * Koa follows each response to its end, to report what it could not send, and then writes what the middleware has left
 * in the context: nothing, here. Both took 5 µs of the 57 of an invalid purchase. A Koa that no longer asks this method
 * does its own again, which is as right. What becomes of a fault is Koa's own: without it, that would be a crash.
 */
class UnwatchedKoa extends Koa {
  handleRequest(ctx: Context, middleware: (ctx: Context) => Promise<void>): Promise<void> {
    ctx.res.on('error', (error) => this.emit('error', error));
    return middleware(ctx).catch((error: unknown) => {
      ctx.onerror(error as Error);
    });
  }
}

function createRouter(
  { orders, cancelOrder, events, items, health, metrics, docs, operator }: AppDeps,
  write: (ctx: Context, answer: HttpResponse) => void,
): Router {
  const router = new Router();
  router.get('/orders/:request_id', async (ctx) => {
    write(ctx, await orders.answer(ctx.params['request_id']));
  });
  router.delete('/orders/:request_id', async (ctx) => {
    const { querystring: query, headers } = ctx;
    write(ctx, await cancelOrder.answer({ rawId: ctx.params['request_id'], query, headers }));
  });
  router.get('/orders/:request_id/events', async (ctx) => {
    const answer = await events.open(ctx.params['request_id'], ctx.req, ctx.res);
    ctx.respond = false;
    if (answer !== 'streaming') write(ctx, answer);
  });
  router.get('/items/:item_id', async (ctx) => {
    write(ctx, await items.answer(ctx.params['item_id'], ctx.req.headers['if-none-match']));
  });
  router.get('/problems/:type', (ctx) => {
    write(ctx, explainProblem(ctx.params['type'] ?? ''));
  });
  router.get('/livez', (ctx) => {
    write(ctx, health.live());
  });
  router.get('/readyz', async (ctx) => {
    write(ctx, await health.ready());
  });
  router.get('/metrics', async (ctx) => {
    write(ctx, await metrics.response());
  });
  router.get('/openapi.json', (ctx) => {
    write(ctx, docs.openApi(ctx.req.headers['if-none-match']));
  });
  router.get('/docs', (ctx) => {
    write(ctx, docs.page(ctx.req.headers['if-none-match']));
  });
  addOperatorRoutes(router, () => operator, write);
  return router;
}

/** What is no path may be a whole URL, as for a proxy; Koa throws over what is neither. */
function isReadable(target: string): boolean {
  return target.startsWith('/') || URL.canParse(target);
}

function methodNotAllowed(methods: readonly string[]): HttpResponse {
  return problem('method-not-allowed', { headers: { allow: [...new Set(methods)].join(', ') } });
}
