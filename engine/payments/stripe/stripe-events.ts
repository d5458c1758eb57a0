import Stripe from 'stripe';
import { createRecent } from '../../../platform/recent';
import {
  InvalidWebhookError,
  type PaymentEvent,
  type PaymentEvents,
  type PaymentHint,
} from '../payment-provider';

/** The events that say something of a key. */
const HINTS = {
  'payment_intent.succeeded': 'paid',
  'payment_intent.canceled': 'ended',
  'charge.refunded': 'returns',
  'refund.created': 'returns',
  'refund.updated': 'returns',
  'refund.failed': 'returns',
  'charge.dispute.created': 'returns',
  'charge.dispute.updated': 'returns',
  'charge.dispute.closed': 'returns',
} as const satisfies Partial<Record<Stripe.Event.Type, PaymentHint['kind']>>;

const TYPES = Object.keys(HINTS) as (keyof typeof HINTS)[];

/** How old a signature may be. */
const TOLERANCE_S = 300;

const PAGE = 100;

/** Of payments whose refunds and disputes were asked for. */
const KNOWN_MAX = 1_000;

/*
  Stripe's events. A payment has the ids of its order in its metadata, and so have the charges and the refunds that the engine
  makes. Other refunds and all disputes name the payment only: it is retrieved, once. Events of other products, accounts and
  modes give no hint.
*/
export function createStripeEvents(
  stripe: Stripe,
  { live, webhookSecrets }: { readonly live: boolean; readonly webhookSecrets: readonly string[] },
): PaymentEvents {
  const known = createRecent<string, Stripe.Metadata>(KNOWN_MAX);

  const metadataOf = async (id: string): Promise<Stripe.Metadata> => {
    const found = known.get(id) ?? (await retrieveMetadata(stripe, id));
    known.set(id, found);
    return found;
  };

  const read = async (event: Stripe.Event): Promise<PaymentEvent> => {
    const seen = { id: event.id, at: event.created * 1_000 };
    const kind = (HINTS as Readonly<Record<string, PaymentHint['kind']>>)[event.type];
    if (kind === undefined || event.account !== undefined || event.livemode !== live) return seen;
    const { metadata, payment_intent: paymentId } = event.data.object as OfAPayment;
    const hint =
      hintOf(kind, metadata) ??
      (typeof paymentId === 'string' ? hintOf(kind, await metadataOf(paymentId)) : undefined);
    return hint ? { ...seen, hint } : seen;
  };

  /** Events of some seconds, the newest first. */
  const list = (from: number, before?: number) =>
    stripe.events.list({
      types: TYPES,
      created: { gte: from, ...(before !== undefined && { lt: before }) },
      limit: PAGE,
    });

  /**
   * The events of so many seconds as fit into a page, one second at least, the first after a time that has any: Stripe shows the
   * newest first, and a reader who is behind begins with the oldest. `before`: there are more from then on.
   */
  const oldest = async (since: number) => {
    let from = since;
    let end = Math.floor(Date.now() / 1_000) + 1;
    let page = await list(from);
    if (!page.has_more) return { events: page.data, before: undefined };
    // Until then: from `from` to `end` there is more than a page.
    while (from < end) {
      const half = Math.max(1, Math.floor((end - from) / 2));
      // A page with events tells how many seconds one has.
      const pageS = Math.max(1, end - (page.data.at(-1)?.created ?? from));
      const before = from + Math.min(half, pageS);
      page = await list(from, before);
      if (page.has_more && before === from + 1) {
        return { events: await all(list(from, before)), before };
      }
      if (page.has_more) end = before;
      else if (page.data.length === 0) from = before;
      else return { events: page.data, before };
    }
    // Stripe has forgotten them meanwhile.
    return { events: [], before: end };
  };

  return {
    async readWebhook(body, header) {
      return read(verify(stripe, body, header('stripe-signature'), webhookSecrets));
    },

    async listEvents(since) {
      const { events: found, before } = await oldest(Math.floor(since / 1_000));
      const events: PaymentEvent[] = [];
      for (const event of found.reverse()) events.push(await read(event));
      return before === undefined ? { events } : { events, next: before * 1_000 };
    },
  };
}

/** What payments, charges, refunds and disputes have. */
interface OfAPayment {
  readonly metadata?: Stripe.Metadata | null;
  readonly payment_intent?: string | { readonly id: string } | null;
}

function hintOf(
  kind: PaymentHint['kind'],
  metadata: Stripe.Metadata | null | undefined,
): PaymentHint | undefined {
  const { payment_key: key, request_id: requestId, item_id: itemId } = metadata ?? {};
  if (key === undefined || requestId === undefined || itemId === undefined) return undefined;
  return { kind, key, requestId, itemId };
}

/** Empty where the payment is not the account's. */
async function retrieveMetadata(stripe: Stripe, id: string): Promise<Stripe.Metadata> {
  try {
    return (await stripe.paymentIntents.retrieve(id)).metadata;
  } catch (error) {
    if (error instanceof Stripe.errors.StripeError && error.statusCode === 404) return {};
    throw error;
  }
}

/** The event of a webhook that is signed with one of the secrets. */
function verify(
  stripe: Stripe,
  body: Buffer,
  signature: string | undefined,
  secrets: readonly string[],
): Stripe.Event {
  if (secrets.length === 0) throw new InvalidWebhookError('No webhook secret is configured');
  if (signature === undefined) throw new InvalidWebhookError('There is no stripe-signature');
  for (const secret of secrets) {
    try {
      const event: unknown = stripe.webhooks.constructEvent(body, signature, secret, TOLERANCE_S);
      if (isEvent(event)) return event;
    } catch (error) {
      if (error instanceof Stripe.errors.StripeSignatureVerificationError) continue;
    }
    throw new InvalidWebhookError('The body is no event');
  }
  throw new InvalidWebhookError('The signature is wrong, or older than 300 s');
}

function isEvent(value: unknown): value is Stripe.Event {
  return (value as Stripe.Event | null)?.object === 'event';
}

/** Of one second: at Stripe's rate limit far fewer than the library's limit. */
function all(list: Stripe.ApiListPromise<Stripe.Event>): Promise<Stripe.Event[]> {
  return list.autoPagingToArray({ limit: 10_000 });
}
