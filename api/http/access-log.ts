import type { RequestListener } from 'node:http';
import type { Logger } from '../../platform/logger';
import type { Clients } from './clients';
import { httpRequestId } from './request-id';

/** One line of the log for each request, once it is answered or its client has left. */
export function logAccess(
  listener: RequestListener,
  clients: Pick<Clients, 'addressOf'>,
  logger: Logger,
): RequestListener {
  return (req, res) => {
    const startedAt = performance.now();
    // Of a connection that is gone the address is not known any more.
    const address = clients.addressOf(req);
    res.once('close', () => {
      const { method, url = '' } = req;
      logger.info(
        {
          httpRequestId: httpRequestId(req),
          address,
          method,
          // Without the query, which can hold a user_id.
          path: url.split('?', 1)[0],
          status: res.headersSent ? res.statusCode : undefined,
          // The client has left before it had the whole response.
          ...(!res.writableFinished && { aborted: true }),
          ms: Math.round((performance.now() - startedAt) * 10) / 10,
        },
        'request',
      );
    });
    listener(req, res);
  };
}
