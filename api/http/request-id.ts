import { randomUUID } from 'node:crypto';
import type { IncomingMessage } from 'node:http';
import type { Clients } from './clients';

const ID = Symbol('X-Request-Id');

/** A property, because a look-up in a map of all requests costs more. */
interface Named extends IncomingMessage {
  [ID]: string | undefined;
}

/**
 * Names one HTTP request, in the X-Request-Id of its response and in the log. Not the request_id of a purchase: a buyer
 * sends that again with each attempt, and each attempt is a request of its own here.
 */
export function httpRequestId(req: IncomingMessage): string {
  return ((req as Named)[ID] ??= randomUUID());
}

/** Takes over the name that a trusted proxy has given to the request, so that its log and ours agree. */
export function adoptRequestId(req: IncomingMessage, clients: Pick<Clients, 'isProxy'>): void {
  const given = req.headers['x-request-id'];
  if (typeof given !== 'string' || !/^[\w.:=@/+-]{1,128}$/.test(given)) return;
  if (clients.isProxy(req)) (req as Named)[ID] = given;
}
