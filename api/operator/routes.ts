import type Router from '@koa/router';
import type { Context } from 'koa';
import type { HttpResponse } from '../http/response';
import type { Operator, OperatorRoute } from './operator';

/** Puts the operators' paths on the gateway's router. */
export function addOperatorRoutes(
  router: Router,
  operator: () => Operator,
  write: (ctx: Context, answer: HttpResponse) => void,
): void {
  const to = (route: OperatorRoute, id?: string) => async (ctx: Context) => {
    const params = ctx['params'] as Readonly<Record<string, string | undefined>>;
    const one = { request: ctx.req, id: id && params[id], query: { ...ctx.query } };
    const answer = await operator().answer(route, one);
    ctx.respond = false;
    if (answer) write(ctx, answer);
  };
  router.get('/operator/items/:item_id', to('item', 'item_id'));
  router.put('/operator/items/:item_id', to('putSale', 'item_id'));
  router.post('/operator/items/:item_id/restock', to('restock', 'item_id'));
  router.get('/operator/dead-letters', to('deadLetters'));
  // Before the ids, of which it cannot be one: an order of this name is found by its letter id.
  router.get('/operator/dead-letters/stats', to('deadLetterStats'));
  router.get('/operator/dead-letters/:id', to('deadLetter', 'id'));
  router.post('/operator/dead-letters/replay', to('replay'));
  router.post('/operator/dead-letters/discard', to('discard'));
  router.post('/operator/orders/:request_id/retry', to('retry', 'request_id'));
}
