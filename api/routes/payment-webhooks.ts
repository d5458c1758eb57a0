import { Type } from '@sinclair/typebox';
import { HINT_OUTCOMES, type ActOnHint } from '../../engine/payments/payment-hints';
import { InvalidWebhookError, type PaymentEvents } from '../../engine/payments/payment-provider';
import type { ReadBody } from '../http/body-reader';
import { RequestError } from '../http/errors';
import { problem } from '../http/problems';
import { json } from '../http/response';
import { jsonResponse, NO_STORE, object, oneOf, type Route } from './route';

/** Stripe's events have some kilobytes; those with long lists some hundred. */
export const WEBHOOK_BYTES_MAX = 512 * 1024;

const Received = object({
  outcome: oneOf(HINT_OUTCOMES, 'what was done about it'),
});

/**
 * Where the payment provider sends its events. Each is a hint: the run of its order is told to ask the provider. The signature
 * is the only credential, so buyers' tokens are not asked for.
 */
export function paymentWebhookRoute({
  events,
  act,
  readBody,
  onHint,
}: {
  readonly events: Pick<PaymentEvents, 'readWebhook'>;
  readonly act: ActOnHint;
  /** Of bodies of up to WEBHOOK_BYTES_MAX. */
  readonly readBody: ReadBody;
  readonly onHint: (outcome: string) => void;
}): Route {
  return {
    method: 'post',
    path: '/webhooks/payments',
    id: 'paymentWebhook',
    summary: 'Receive an event of the payment provider',
    description:
      'For the payment provider alone: the body is checked against its signature. A late, repeated or unknown event changes nothing.',
    body: {
      schema: Type.Unknown({ description: 'an event of the provider' }),
      example: { id: 'evt_1' },
    },
    responses: [
      jsonResponse(200, 'Received; it need not be sent again.', {
        schema: Received,
        example: { outcome: 'run-asked' },
      }),
    ],
    problems: [
      'invalid-request',
      'request-timeout',
      'too-large',
      'unsupported-media-type',
      'internal',
      'not-accepted',
    ],
    handle: async ({ req }) => {
      const body = await readBody(req);
      if (typeof body !== 'string') return body;
      try {
        const header = (name: string) => {
          const value = req.headers[name];
          return typeof value === 'string' ? value : undefined;
        };
        const { hint } = await events.readWebhook(Buffer.from(body), header);
        const outcome = hint ? await act(hint) : 'ignored';
        onHint(outcome);
        return json(200, { outcome }, NO_STORE);
      } catch (error) {
        if (error instanceof InvalidWebhookError) {
          onHint('refused');
          return problem('invalid-request', { detail: error.message });
        }
        // The provider sends it again.
        const message = 'An event of the payment provider could not be acted on';
        throw new RequestError(message, { problem: 'not-accepted', cause: error });
      }
    },
  };
}
