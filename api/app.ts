import Router from '@koa/router';
import Koa, { type Context } from 'koa';
import type { Logger } from '../platform/logger';
import { RequestError, type ErrorLog } from './http/errors';
import { problem, withAbsoluteType } from './http/problems';
import { httpRequestId } from './http/request-id';
import { writeResponse, type HttpResponse } from './http/response';
import type { Route } from './routes/route';

/**
 * Serves the routes. Their handlers return responses; only this file writes them and turns what a handler throws into a
 * problem: the one of a RequestError, otherwise 500, because it is a bug.
 */
export function createApp({
  routes,
  errors,
  logger,
  isClosing,
  publicUrl,
}: {
  readonly routes: readonly Route[];
  readonly errors: ErrorLog;
  readonly logger: Logger;
  readonly isClosing: () => boolean;
  /** Absent: the types of problems are relative. */
  readonly publicUrl?: string | undefined;
}): Koa {
  const app = new Koa();
  const buy = routes.find(({ path }) => path === '/buy');

  /** Koa's own writer is bypassed: it sets each header by itself and inspects the body's type again. */
  const write = (ctx: Context, response: HttpResponse | undefined) => {
    ctx.respond = false;
    if (!response) return;
    writeResponse(ctx.req, ctx.res, withAbsoluteType(response, publicUrl), { close: isClosing() });
  };

  // Connections that break while a response is written; no one is left to be told.
  app.on('error', (error: unknown, ctx?: Context) => {
    logger.debug({ err: error, ...(ctx && requestFields(ctx)) }, 'connection lost');
  });

  app.use(async (ctx, next) => {
    try {
      if (!isReadable(ctx.url)) {
        write(ctx, problem('invalid-request', { detail: 'The request target is not a URL.' }));
      } else if (ctx.path === '/buy' && buy) {
        // Past the router: its matching costs more than everything else here.
        const { req, res } = ctx;
        if (ctx.method !== 'POST') write(ctx, methodNotAllowed(['POST']));
        else write(ctx, await buy.handle({ req, res, params: {}, query: {}, querystring: '' }));
      } else {
        await next();
      }
    } catch (error) {
      const known = error instanceof RequestError ? error : undefined;
      const type = known?.problem ?? 'internal';
      const fields = requestFields(ctx);
      if (type === 'not-accepted') errors.report('a reader got no answer', error, fields);
      else if (type === 'outcome-unknown') {
        errors.report('a cancellation got no answer', error, fields);
      } else {
        // Without the query, which can hold a user_id.
        logger.error({ err: error, method: ctx.method, path: ctx.path, ...fields }, 'a bug');
      }
      write(ctx, problem(type, known?.options ?? {}));
    }
  });

  const router = new Router();
  for (const { method, path, handle } of routes) {
    if (path === '/buy') continue;
    router[method](path.replaceAll(/\{(\w+)\}/g, ':$1'), async (ctx) => {
      write(ctx, await handle(ctx));
    });
  }
  app.use(router.routes());
  app.use((ctx) => {
    const methods = router.match(ctx.path, ctx.method).path.flatMap((layer) => layer.methods);
    write(ctx, methods.length > 0 ? methodNotAllowed(methods) : problem('not-found'));
  });
  return app;
}

function requestFields({ req }: Context) {
  return { httpRequestId: httpRequestId(req) };
}

/** A target that is no path may be a whole URL, as sent to a proxy. Koa throws over anything else. */
function isReadable(target: string): boolean {
  return target.startsWith('/') || URL.canParse(target);
}

function methodNotAllowed(methods: readonly string[]): HttpResponse {
  return problem('method-not-allowed', { headers: { allow: [...new Set(methods)].join(', ') } });
}
