import type { Route } from '../routes/route';
import type { Authenticate } from './buyer-auth';

/** Puts buyers' routes behind their tokens. A request without a valid one is rejected before any work. */
export function behindTokens(routes: readonly Route[], authenticate: Authenticate): Route[] {
  return routes.map((route) => ({
    ...route,
    isForBuyers: true,
    problems: [...new Set([...route.problems, 'unauthenticated', 'not-accepted'] as const)],
    handle: async ({ params, query, querystring, req, res }) => {
      const buyer = await authenticate(req);
      if ('status' in buyer) return buyer;
      return route.handle({ params, query, querystring, req, res, buyer });
    },
  }));
}
