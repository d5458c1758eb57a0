import { createHmac, randomBytes } from 'node:crypto';

/*
  What Stripe keeps of an account: PaymentIntents, refunds, disputes and events, and what may happen to them, written from
  Stripe's API reference. It refuses only what is named here, and it declines whom it is told to, and test cards.
*/

export interface Intent {
  readonly id: string;
  readonly object: 'payment_intent';
  readonly client_secret: string;
  readonly created: number;
  status:
    | 'requires_payment_method'
    | 'requires_confirmation'
    | 'requires_action'
    | 'requires_capture'
    | 'processing'
    | 'succeeded'
    | 'canceled';
  readonly allowed_payment_method_types: readonly string[];
  payment_method: string | null;
  amount: number;
  currency: string;
  readonly metadata: Record<string, string>;
  last_payment_error: { code: string; decline_code?: string } | null;
  latest_charge: Charge | null;
}

interface Charge {
  readonly id: string;
  readonly object: 'charge';
  readonly payment_intent: string;
  readonly amount: number;
  readonly metadata: Record<string, string>;
  status: 'succeeded' | 'pending' | 'failed';
  amount_refunded: number;
  refunded: boolean;
  failure_code: string | null;
  outcome: { reason: string } | null;
}

export interface Refund {
  readonly id: string;
  readonly object: 'refund';
  readonly created: number;
  readonly amount: number;
  readonly currency: string;
  readonly payment_intent: string;
  readonly metadata: Record<string, string>;
  status: 'pending' | 'requires_action' | 'succeeded' | 'failed' | 'canceled';
  failure_reason?: string;
}

interface Dispute {
  readonly id: string;
  readonly object: 'dispute';
  readonly created: number;
  readonly amount: number;
  readonly currency: string;
  readonly payment_intent: string;
  readonly metadata: Record<string, string>;
  readonly reason: string;
  status: string;
}

export interface AccountEvent {
  readonly id: string;
  readonly object: 'event';
  readonly created: number;
  readonly type: string;
  readonly livemode: boolean;
  readonly account?: string;
  readonly data: { readonly object: object };
}

export interface Reply {
  readonly status: number;
  readonly body: unknown;
}

/** As Stripe has it for USD. */
const AMOUNT_MIN = 50;

/** What Stripe says of payment methods that it knows nothing of, that were detached, that need their customer, and of accounts. */
const REFUSED_METHODS = new Map<string, { code?: string; param?: string }>([
  ['pm_unknown', { code: 'resource_missing', param: 'payment_method' }],
  ['pm_detached', {}],
  ['pm_of_a_customer', { code: 'parameter_missing', param: 'payment_method' }],
  ['pm_unactivated', { code: 'payment_method_unactivated', param: 'payment_method' }],
]);

/** Stripe's test cards that are declined when their buyer pays. */
const DECLINED_METHODS = new Map([
  ['pm_card_visa_chargeDeclined', 'generic_decline'],
  ['pm_card_visa_chargeDeclinedInsufficientFunds', 'insufficient_funds'],
]);

/** `now`: in ms since the epoch. */
export function createStripeAccount(now: () => number) {
  const intents = new Map<string, Intent>();
  const refunds: Refund[] = [];
  const disputes: Dispute[] = [];
  const events: { readonly event: AccountEvent; readonly visibleAt: number }[] = [];
  const listeners: ((event: AccountEvent) => void)[] = [];
  const declines = new Map<string, string>();
  let newRefunds: Refund['status'] = 'succeeded';
  let eventDelayMs = 0;

  const seconds = () => Math.floor(now() / 1_000);
  const emit = (type: string, object: object, more: Partial<AccountEvent> = {}) => {
    const event: AccountEvent = {
      id: `evt_${String(events.length + 1)}`,
      object: 'event',
      created: seconds(),
      type,
      livemode: false,
      data: { object: structuredClone(object) },
      ...more,
    };
    events.push({ event, visibleAt: now() + eventDelayMs });
    for (const listener of listeners) listener(event);
  };

  const create = (form: URLSearchParams): Intent => {
    const id = `pi_${String(intents.size + 1)}`;
    const intent: Intent = {
      id,
      object: 'payment_intent',
      client_secret: `${id}_secret_${randomBytes(8).toString('hex')}`,
      created: seconds(),
      status: 'requires_payment_method',
      amount: Number(form.get('amount')),
      currency: form.get('currency') ?? '',
      metadata: metadataOf(form),
      allowed_payment_method_types: [...form]
        .filter(([name]) => name.startsWith('allowed_payment_method_types'))
        .map(([, value]) => value),
      payment_method: null,
      last_payment_error: null,
      latest_charge: null,
    };
    intents.set(id, intent);
    return intent;
  };

  const update = (intent: Intent, form: URLSearchParams): Reply => {
    if (!isOpen(intent)) return unexpectedState();
    const method = form.get('payment_method');
    const refused = REFUSED_METHODS.get(method ?? '');
    if (refused)
      return { status: 400, body: { error: { type: 'invalid_request_error', ...refused } } };
    const amount = Number(form.get('amount'));
    if (amount < AMOUNT_MIN) {
      return refusal(400, 'invalid_request_error', 'amount_too_small', 'amount');
    }
    intent.last_payment_error = null;
    intent.amount = amount;
    intent.currency = form.get('currency') ?? '';
    if (method !== null) {
      intent.payment_method = method;
      intent.status = 'requires_confirmation';
    }
    Object.assign(intent.metadata, metadataOf(form));
    return ok(intent);
  };

  const fail = (intent: Intent, error: { code: string; decline_code?: string }): Reply => {
    intent.last_payment_error = error;
    intent.status = 'requires_payment_method';
    intent.payment_method = null;
    emit('payment_intent.payment_failed', intent);
    return {
      status: 402,
      body: { error: { type: 'card_error', ...error, message: 'The card was declined' } },
    };
  };
  const chargeOf = (intent: Intent, status: Charge['status']): Charge => ({
    id: `ch_${randomBytes(6).toString('hex')}`,
    object: 'charge',
    payment_intent: intent.id,
    amount: intent.amount,
    metadata: { ...intent.metadata },
    status,
    amount_refunded: 0,
    refunded: false,
    failure_code: status === 'failed' ? 'card_declined' : null,
    outcome: null,
  });
  const decline = (intent: Intent, code: string): Reply => {
    if (code !== 'authentication_required') {
      intent.latest_charge = { ...chargeOf(intent, 'failed'), outcome: { reason: code } };
    }
    return fail(intent, { code: 'card_declined', decline_code: code });
  };
  const succeed = (intent: Intent): Reply => {
    intent.status = 'succeeded';
    intent.last_payment_error = null;
    intent.latest_charge = chargeOf(intent, 'succeeded');
    emit('payment_intent.succeeded', intent);
    return ok(intent);
  };

  /** By the account, or by a buyer who has the client secret and a card. */
  const confirm = (intent: Intent, form: URLSearchParams, processing: boolean): Reply => {
    const byBuyer = form.has('client_secret');
    if (byBuyer && form.get('client_secret') !== intent.client_secret) {
      return refusal(400, 'invalid_request_error', 'payment_intent_invalid_parameter');
    }
    const method = form.get('payment_method') ?? intent.payment_method;
    if (!isOpen(intent) || method === null) return unexpectedState();
    const code =
      DECLINED_METHODS.get(method) ??
      (byBuyer ? undefined : declines.get(intent.metadata['payment_key'] ?? ''));
    if (code !== undefined) return decline(intent, code);
    intent.payment_method = method;
    if (method === 'pm_card_authenticationRequired') {
      if (form.get('off_session') === 'true') return decline(intent, 'authentication_required');
      intent.status = 'requires_action';
      return ok(intent);
    }
    if (processing || method === 'pm_processing') {
      intent.status = 'processing';
      intent.latest_charge = chargeOf(intent, 'pending');
      return ok(intent);
    }
    return succeed(intent);
  };

  const cancel = (intent: Intent): Reply => {
    if (!isOpen(intent) && intent.status !== 'requires_capture') return unexpectedState();
    intent.status = 'canceled';
    emit('payment_intent.canceled', intent);
    return ok(intent);
  };

  const refund = (form: URLSearchParams): Reply => {
    const intent = intents.get(form.get('payment_intent') ?? '');
    const charge = intent?.latest_charge;
    if (!intent || charge?.status !== 'succeeded') return unexpectedState();
    const left = charge.amount - charge.amount_refunded;
    if (disputes.some((one) => one.payment_intent === intent.id && one.status !== 'won')) {
      return refusal(400, 'invalid_request_error', 'charge_disputed');
    }
    if (left === 0) return refusal(400, 'invalid_request_error', 'charge_already_refunded');
    const amount = Number(form.get('amount') ?? left);
    if (amount > left) return refusal(400, 'invalid_request_error', undefined, 'amount');
    const made: Refund = {
      id: `re_${String(refunds.length + 1)}`,
      object: 'refund',
      created: seconds(),
      amount,
      currency: intent.currency,
      payment_intent: intent.id,
      metadata: metadataOf(form),
      status: newRefunds,
    };
    refunds.push(made);
    if (made.status === 'failed') made.failure_reason = 'expired_or_canceled_card';
    else count(charge, amount);
    emit('refund.created', made);
    if (made.status !== 'failed') emit('charge.refunded', charge);
    return ok(made);
  };
  const count = (charge: Charge, amount: number) => {
    charge.amount_refunded += amount;
    charge.refunded = charge.amount_refunded === charge.amount;
  };

  return {
    intents,
    refunds,
    disputes,
    create,
    update,
    confirm,
    cancel,
    refund,
    /** Events that can be seen by now, the newest first. */
    visibleEvents: () =>
      events
        .filter(({ visibleAt }) => visibleAt <= now())
        .map(({ event }) => event)
        .reverse()
        .sort((one, other) => other.created - one.created),
    onEvent: (listener: (event: AccountEvent) => void) => void listeners.push(listener),
    /** An event that no object of this account is behind. */
    emit,
    /** New events are seen in the list so much later. */
    delayEvents: (ms: number) => {
      eventDelayMs = ms;
    },
    decline: (key: string, code: string) => void declines.set(key, code),
    acceptAll: () => {
      declines.clear();
    },
    /** The bank's page: the buyer passes 3-D Secure, or does not. Nothing where the intent does not wait for it. */
    authenticate: (id: string, passed: boolean) => {
      const intent = intents.get(id);
      if (intent?.status !== 'requires_action') return;
      if (passed) succeed(intent);
      else fail(intent, { code: 'payment_intent_authentication_failure' });
    },
    /** A bank's decision on a payment in processing. */
    decide: (id: string, code?: string) => {
      const intent = intents.get(id);
      if (intent?.status !== 'processing') throw new Error(`${id} is not processing`);
      if (code === undefined) succeed(intent);
      else decline(intent, code);
    },
    /** What refunds are at first, from now on. */
    letRefundsBe: (status: Refund['status']) => {
      newRefunds = status;
    },
    /** What becomes of a refund later: a failed one gives the money back to the account. */
    settleRefund: (id: string, status: 'succeeded' | 'failed' | 'canceled') => {
      const made = refunds.find((one) => one.id === id);
      if (!made) throw new Error(`There is no refund ${id}`);
      made.status = status;
      const charge = intents.get(made.payment_intent)?.latest_charge;
      if (status !== 'succeeded' && charge) {
        made.failure_reason = 'expired_or_canceled_card';
        count(charge, -made.amount);
        emit('refund.failed', made);
      }
      emit('refund.updated', made);
    },
    /** A buyer objects at the bank, or the bank decides. */
    dispute: (id: string, status = 'needs_response'): Dispute => {
      const known = disputes.find((one) => one.payment_intent === id);
      const intent = intents.get(id);
      if (known) known.status = status;
      if (!intent) throw new Error(`There is no ${id}`);
      const made: Dispute = known ?? {
        id: `du_${String(disputes.length + 1)}`,
        object: 'dispute',
        created: seconds(),
        amount: intent.amount,
        currency: intent.currency,
        payment_intent: id,
        metadata: {},
        reason: 'fraudulent',
        status,
      };
      if (!known) disputes.push(made);
      emit(known ? 'charge.dispute.closed' : 'charge.dispute.created', made);
      return made;
    },
  };
}

/** A webhook as Stripe sends it. `at`: when it is signed, in ms since the epoch. */
export function signWebhook(body: string, secret: string, at: number) {
  const t = String(Math.floor(at / 1_000));
  const v1 = createHmac('sha256', secret).update(`${t}.${body}`).digest('hex');
  return { body: Buffer.from(body), headers: { 'stripe-signature': `t=${t},v1=${v1}` } };
}

function isOpen({ status }: Intent): boolean {
  return (
    status === 'requires_payment_method' ||
    status === 'requires_confirmation' ||
    status === 'requires_action'
  );
}

function metadataOf(form: URLSearchParams): Record<string, string> {
  const entries = [...form].flatMap(([name, value]) => {
    const field = /^metadata\[(\w+)\]$/.exec(name)?.[1];
    return field === undefined ? [] : [[field, value] as const];
  });
  return Object.fromEntries(entries);
}

export function ok(body: unknown): Reply {
  return { status: 200, body };
}

function unexpectedState(): Reply {
  return refusal(400, 'invalid_request_error', 'payment_intent_unexpected_state');
}

export function refusal(status: number, type: string, code?: string, param?: string): Reply {
  return { status, body: { error: { type, code, param, message: `refused: ${code ?? ''}` } } };
}
