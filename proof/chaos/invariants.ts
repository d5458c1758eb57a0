import { isOrder } from '../../client/buyer';
import { named } from '../../client/invariants';
import {
  failureReason,
  isCancelled,
  orderStatus,
  ownedUnits,
  type LedgerEntry,
} from '../../engine/orders/ledger';
import { encodeOrderEvent, outcomeEvent, type OrderEvent } from '../../engine/orders/order-event';
import { paymentKey, type ItemId, type RequestId } from '../../engine/orders/order';
import { refundedMinor, type SaleReturn } from '../../engine/orders/sale-return';
import type { ArchivedEvent, ArchivedRow } from './archived-item';
import { GIVEN_BACK, hasTrait } from './orders-plan';
import { CLAIM_MS_MAX, orderIdOf, type Snapshot } from './snapshot';

/** A guarantee of docs/guarantees.md that did not hold, and how that shows. */
export interface Violation {
  readonly guarantee: keyof typeof CHECKS;
  readonly what: string;
}

/** What every unit costs in the harness, in minor units: the default price. */
const UNIT_PRICE = 1_000;

/** Compares the independent sources of a snapshot. An empty list: every guarantee held. */
export function findViolations(snapshot: Snapshot): Violation[] {
  return Object.entries(CHECKS).flatMap(([guarantee, check]) =>
    check(snapshot).map((what) => ({ guarantee: guarantee as keyof typeof CHECKS, what })),
  );
}

const CHECKS = {
  G1: findOversold,
  G2: findLost,
  G3: findMixedUp,
  G4: findWrongCharges,
  G5: findTracesOfRejected,
  G6: findLeakedUnits,
  G7: findWrongLetters,
  G9: findWrongCancellations,
  G10: findWrongRows,
  G12: findWrongEvents,
} as const satisfies Record<string, (snapshot: Snapshot) => string[]>;

const sold = ({ entries }: Snapshot) => [...entries].filter(([, { state }]) => state === 'sold');
const units = (list: readonly (readonly [string, LedgerEntry])[]) =>
  list.reduce((sum, [, entry]) => sum + entry.units, 0);
const captured = ({ charges }: Snapshot) => charges.filter(({ status }) => status === 'captured');

/** The orders whose buyer was told that there is one. */
const accepted = ({ purchases }: Snapshot) => purchases.filter(isOrder);

function findOversold(snapshot: Snapshot): string[] {
  const { supply, stockViolations } = snapshot;
  const paid = captured(snapshot).reduce((sum, { amount }) => sum + (amount ?? 0), 0) / UNIT_PRICE;
  const violations = [...stockViolations];
  if (units(sold(snapshot)) > supply) violations.push(`${units(sold(snapshot))} of ${supply} sold`);
  if (paid > supply) violations.push(`${paid} of ${supply} paid for`);
  return violations;
}

const FINAL = ['confirmed', 'failed', 'cancelled'];

function findLost(snapshot: Snapshot): string[] {
  const { purchases, statuses, records, runs, notIdle, reclaimed } = snapshot;
  const violations = notIdle === undefined ? [] : [notIdle];
  for (const { body, outcome, problem, tries } of purchases) {
    const id = body.request_id;
    if (outcome === 'undecided' || (outcome === 'rejected' && problem !== 'sold-out')) {
      violations.push(`${id} was answered "${problem}" at last, after ${tries} tries`);
    }
    const status = statuses.get(id) ?? 'unknown';
    if (!isOrder({ outcome })) continue;
    if (!FINAL.includes(status)) violations.push(`${id} was accepted and is ${status}`);
    if (!records.includes(id)) violations.push(`${id} was accepted and is not in the topic`);
    if (outcome === 'accepted' && tries === 1 && reclaimed.has(id)) {
      violations.push(`${id} was accepted although its hold had been taken away`);
    }
  }
  const started = new Set(runs.map(({ requestId }) => requestId));
  const hasLetter = new Set(snapshot.letters.map(({ requestId }) => requestId));
  for (const id of new Set(records)) {
    if (started.has(id) || hasLetter.has(id)) continue;
    violations.push(`${id} is in the topic and has no workflow`);
  }
  for (const { requestId, status, outcome } of runs) {
    const state = snapshot.entries.get(requestId)?.state ?? 'unknown';
    // A run that learns of the cancellation from the ledger alone completes instead of failing.
    const sells = status === 'COMPLETED' && outcome === undefined;
    const agrees = state === (sells ? 'sold' : 'released');
    if (agrees) continue;
    violations.push(`${requestId} is ${state}, its workflow ${status} ${outcome ?? ''}`);
  }
  return violations;
}

function findMixedUp({ runs, entries, purchases }: Snapshot): string[] {
  const violations: string[] = [];
  const counted = new Map<string, number>();
  for (const { requestId } of runs) counted.set(requestId, (counted.get(requestId) ?? 0) + 1);
  for (const [id, count] of counted) {
    if (count > 1) violations.push(`${id} has ${count} workflow runs`);
  }
  const planned = new Map(purchases.map(({ body }) => [body.request_id, body]));
  for (const [id, entry] of entries) {
    const body = planned.get(id);
    if (body?.amount !== entry.units || body.user_id !== entry.userId) {
      violations.push(`${id} is another order than its buyer asked for`);
    }
  }
  return violations;
}

/** States of a payment in which nobody can pay any more, or has. */
const SETTLED = ['captured', 'declined', 'refunded', 'blocked', 'cancelled'];

function findWrongCharges(snapshot: Snapshot): string[] {
  const violations: string[] = [];
  const dueByKey = new Map(
    sold(snapshot).map(([id, { orderId, generation, units: amount }]) => [
      paymentKey(id, orderId, generation),
      amount * UNIT_PRICE,
    ]),
  );
  for (const { key, amount } of captured(snapshot)) {
    const due = dueByKey.get(key);
    if (due === undefined) violations.push(`${key} is charged and sold nothing`);
    else if (due !== amount) violations.push(`${key} is charged ${String(amount)}, not ${due}`);
  }
  for (const { key, status } of snapshot.charges) {
    if (!SETTLED.includes(status)) violations.push(`${key} is still ${status} at the provider`);
  }
  violations.push(...findWrongRefunds(snapshot));
  const paid = new Set(captured(snapshot).map(({ key }) => key));
  for (const key of dueByKey.keys())
    if (!paid.has(key)) violations.push(`${key} is sold and not paid`);
  return violations;
}

/** A part of the money was given back once where that was asked for, and nowhere else; with its unit, if an operator asked. */
function findWrongRefunds(snapshot: Snapshot): string[] {
  const violations: string[] = [];
  const refunded = new Map(captured(snapshot).map((charge) => [charge.key, charge.refunded ?? 0]));
  for (const [id, entry] of sold(snapshot)) {
    const order = { request_id: id };
    const byOperator = hasTrait(order, 'given-back');
    const due = byOperator || hasTrait(order, 'dashboard') ? GIVEN_BACK.amountMinor : 0;
    const given = refunded.get(paymentKey(id, entry.orderId, entry.generation));
    if (given !== undefined && given !== due)
      violations.push(`${id}: ${given} given back of ${due}`);
    const known = refundedMinor(entry.returns);
    if (known !== due) violations.push(`${id}: ${known} of ${due} is known to be given back`);
    const back = entry.units - ownedUnits(entry);
    const backDue = byOperator ? GIVEN_BACK.restock : 0;
    if (back !== backDue) violations.push(`${id}: ${back} units put back of ${backDue}`);
  }
  return violations;
}

function findTracesOfRejected(snapshot: Snapshot): string[] {
  const { purchases, entries, records, charges, claims, buyers, reclaimed } = snapshot;
  const violations: string[] = [];
  const rejected = purchases.filter(({ outcome }) => outcome === 'rejected');
  for (const { body, tries, unanswered, sentAt } of rejected) {
    const id = body.request_id;
    const entry = entries.get(id);
    // A try that the buyer has stopped waiting for may arrive after this one, and is then a new purchase.
    if (unanswered > 0 && entry && entry.acceptedAt >= sentAt) continue;
    // A record that a dead or frozen gateway has left must fail, for the reason that the buyer was told.
    const isLeft = hasTrait(body, 'abandoned') || reclaimed.has(id);
    const mayBe = isLeft && entry?.state === 'released' && entry.reason === 'sold-out';
    if (entry && !mayBe) violations.push(`${id} was rejected and is ${entry.state}`);
    if (records.includes(id) && !isLeft) violations.push(`${id} was rejected and is in the topic`);
    if (charges.some(({ key }) => key.startsWith(`${id}:`))) violations.push(`${id} was charged`);
    // A gateway that died before it could drop the claim leaves it to its TTL. Its buyer got no response to that try.
    const claimMs = claims.get(id);
    if (!isLeft && claimMs !== undefined && (tries === 1 || claimMs > CLAIM_MS_MAX)) {
      violations.push(`${id} was rejected and is claimed for ${claimMs} ms`);
    }
  }
  for (const [user, owned] of buyers) {
    const bought = sold(snapshot)
      .filter(([, entry]) => entry.userId === user)
      .reduce((sum, [, entry]) => sum + ownedUnits(entry), 0);
    if (bought === owned) continue;
    violations.push(`${user} has ${bought} units and is counted with ${owned}`);
  }
  return violations;
}

function findLeakedUnits(snapshot: Snapshot): string[] {
  const { counts, supply } = snapshot;
  const bought = units(sold(snapshot));
  const wanted = { free: supply - bought, held: 0, queued: 0, reserved: 0, sold: bought, supply };
  return Object.entries(wanted)
    .filter(([state, count]) => counts[state as keyof typeof counts] !== count)
    .map(([state, count]) => `${state} is ${counts[state as keyof typeof counts]}, not ${count}`);
}

/**
 * The harness has released such an order in the place of a later run. The run that is there may find money that came after
 * that, or, where its worker has died, reserve once more, and learn that a later step took effect.
 */
const mayEndOtherwise = (id: string, outcome: string | undefined) =>
  (outcome === 'late-payment' || outcome === 'sale-lost') &&
  hasTrait({ request_id: id }, 'late-money');

function findWrongLetters(snapshot: Snapshot): string[] {
  const violations: string[] = [];
  for (const [id, { state, reason }] of snapshot.entries) {
    const letters = snapshot.letters.filter(
      (letter) => letter.requestId === id && !mayEndOtherwise(id, letter.reason),
    );
    const distinct = new Set(letters.map((letter) => letter.id)).size;
    const wanted = state === 'released' && !isCancelled(reason) ? 1 : 0;
    // A record that is in the topic twice is rejected twice, each time under its own offset.
    const enough = reason === 'request-id-reused' ? distinct >= 1 : distinct === wanted;
    if (!enough) violations.push(`${id} (${reason ?? state}) has ${distinct} dead letters`);
    const other = letters.find((letter) => letter.reason !== reason);
    if (!other) continue;
    violations.push(`${id} failed as ${reason ?? state}, its letter says ${other.reason}`);
  }
  const runs = new Map(snapshot.runs.map(({ requestId, outcome }) => [requestId, outcome]));
  for (const { body } of accepted(snapshot)) {
    const entry = snapshot.entries.get(body.request_id);
    const outcome = runs.get(body.request_id);
    if (mayEndOtherwise(body.request_id, outcome)) continue;
    if (outcome !== undefined && outcome !== entry?.reason) {
      violations.push(
        `${body.request_id} failed as ${entry?.reason ?? ''}, its workflow as ${outcome}`,
      );
    }
  }
  return violations;
}

/** The buyer was told what became of the order. G4 checks that a cancelled order is not charged. */
function findWrongCancellations({ purchases, statuses, entries }: Snapshot): string[] {
  return purchases.flatMap(({ body: { request_id: id }, cancelled }) => {
    if (cancelled === undefined) return [];
    const status = statuses.get(id) ?? 'unknown';
    if (status !== cancelled) return [`${id} was called ${cancelled} and is ${status}`];
    const reason = entries.get(id)?.reason;
    // Whose payment was due is cancelled as well.
    const isCancelled = reason === 'cancelled' || reason === 'payment-deadline';
    const agrees = cancelled !== 'cancelled' || isCancelled;
    return agrees ? [] : [`${id} was called cancelled and was released as ${reason ?? ''}`];
  });
}

/** Every order is told as the ledger has it, and nothing else under the same id. */
function findWrongEvents({ entries, events, returns }: Snapshot): string[] {
  const violations: string[] = [];
  const contents = new Map<string, string>();
  const newest = new Map<RequestId, OrderEvent>();
  for (const event of events) {
    const { order, revision } = event;
    const id = `${order.orderId}:${revision}`;
    const content = textOf(event);
    if ((contents.get(id) ?? content) !== content) violations.push(`${id} tells two things`);
    contents.set(id, content);
    const known = newest.get(order.requestId);
    if (!known || known.revision < revision) newest.set(order.requestId, event);
  }
  for (const [requestId, entry] of entries) {
    const told = newest.get(requestId as RequestId);
    const itemId = told?.order.itemId ?? ('' as ItemId);
    const event = outcomeEvent({ itemId, requestId: requestId as RequestId, entry });
    if (event === undefined || (told && textOf(event) === textOf(told))) continue;
    violations.push(`${requestId} is ${event.status}, and told as ${told?.status ?? 'nothing'}`);
  }
  const toldReturns = new Set(returns.map(({ order, returned }) => nameOf(order, returned)));
  for (const [id, entry] of entries) {
    const untold = (entry.returns ?? []).filter(
      (one) => !toldReturns.has(nameOf({ requestId: id }, one)),
    );
    violations.push(...untold.map((one) => `${nameOf({ requestId: id }, one)} is not told`));
  }
  for (const requestId of newest.keys()) {
    if (!entries.has(requestId))
      violations.push(`${requestId} is told, and there is no such order`);
  }
  return violations;
}

const nameOf = ({ requestId }: { readonly requestId: string }, { kind, id, status }: SaleReturn) =>
  `${kind} ${id} of ${requestId} as ${status}`;
const textOf = (event: OrderEvent) => encodeOrderEvent(event).toString();

/** Every accepted order is archived once, as the ledger, the workflows, the provider and the topics have it, and nothing else is. */
function findWrongRows(snapshot: Snapshot): string[] {
  const { archive, entries, orderIds, letters } = snapshot;
  if (!archive) return [];
  const violations = archive.setAside.map((record) => `${record} is set aside`);
  if (archive.behind !== undefined) violations.push(archive.behind);
  const rows = new Map(archive.orders.map((row) => [row.orderId, row]));
  // The acceptance of an order that has another order id.
  const orders = archive.orders.filter(({ status }) => status !== 'repeated');
  for (const { body } of accepted(snapshot)) {
    const count = orders.filter(({ requestId }) => requestId === body.request_id).length;
    if (count !== 1)
      violations.push(`${body.request_id} was accepted and is archived ${count} times`);
  }
  for (const [requestId, entry] of entries) {
    const row = rows.get(orderIdOf({ ...entry, requestId }));
    if (!row) violations.push(`${requestId} is not archived`);
    else violations.push(...wrongFields(row, entry));
  }
  for (const { orderId, requestId } of orders) {
    const entry = entries.get(requestId);
    if (entry && orderIdOf({ ...entry, requestId }) === orderId) continue;
    violations.push(`${orderId} of ${requestId} is archived, and the ledger has no such order`);
  }
  return [
    ...violations,
    ...differences('orders', [...rows.keys()], [...orderIds]),
    ...differences('events', archive.events.map(eventText), snapshot.events.map(toldText)),
    ...differences(
      'dead letters',
      archive.letters,
      letters.map(({ id }) => id),
    ),
    ...orders.flatMap((row) => [...wrongPayments(row, snapshot), ...wrongOutcomes(row, snapshot)]),
  ];
}

/** In what a row differs from the ledger's entry of the same order. */
function wrongFields(row: ArchivedRow, entry: LedgerEntry): string[] {
  const { userId, units: amount, priceMinor, currency, acceptedAt, finishedAt } = entry;
  const status = orderStatus(entry);
  const wanted: Partial<ArchivedRow> = {
    userId,
    amount,
    priceMinor,
    currency,
    acceptedAt,
    status: status ?? 'held',
    reason: failureReason(entry),
    paymentId: entry.paymentId ?? null,
    generation: entry.generation,
    refundedMinor: refundedMinor(entry.returns),
    // No event tells of an order without an order id. Its row has the time of its dead letter.
    ...(entry.orderId !== undefined && {
      revision: Math.max(entry.revision ?? 0, finishedAt ?? 0),
      finishedAt: finishedAt ?? null,
    }),
  };
  return Object.entries(wanted)
    .filter(([field, value]) => row[field as keyof ArchivedRow] !== value)
    .map(([field, value]) => {
      const archived = row[field as keyof ArchivedRow];
      return `${row.requestId} is archived with ${field} ${archived}, not ${value}`;
    });
}

/** A confirmed order has one payment, under its own key, and no other one has any. */
function wrongPayments(row: ArchivedRow, snapshot: Snapshot): string[] {
  const { requestId, generation, amount, priceMinor, currency, status, paymentId } = row;
  const payments = captured(snapshot).filter(({ key }) => key.startsWith(`${requestId}:`));
  const [payment] = payments;
  if (status !== 'confirmed' && !payment) return [];
  const { orderId } = snapshot.entries.get(requestId) ?? {};
  const isRight =
    status === 'confirmed' &&
    payments.length === 1 &&
    payment?.key === paymentKey(requestId, orderId, generation) &&
    payment.payment_id === paymentId &&
    payment.amount === amount * priceMinor &&
    payment.currency === currency;
  if (isRight) return [];
  const found = payments.map(({ key, payment_id: id }) => `${key} (${id})`).join();
  return [`${requestId} is archived as ${status} (${paymentId}), its payments are ${found}`];
}

/** What a run's status says of an order, where there is no search attribute that does. */
const ENDS: Readonly<Record<string, string>> = { COMPLETED: 'confirmed', CANCELLED: 'cancelled' };

/** A confirmed order has a run that has completed, another one is named as its run ended. Some have no run. */
function wrongOutcomes({ requestId, status, reason }: ArchivedRow, { runs }: Snapshot): string[] {
  const run = runs.find((one) => one.requestId === requestId);
  if (!run) return [];
  const outcome = run.outcome ?? ENDS[run.status] ?? run.status;
  const archived = reason ?? status;
  return outcome === archived || mayEndOtherwise(requestId, outcome)
    ? []
    : [`${requestId} is archived as ${archived}, its workflow ended as ${outcome}`];
}

function differences(what: string, archived: readonly string[], told: readonly string[]): string[] {
  const [rows, records] = [new Set(archived), new Set(told)];
  return [
    ...named(
      `${what} in the topics and not archived`,
      [...records].filter((one) => !rows.has(one)),
    ),
    ...named(
      `${what} archived and not in the topics`,
      [...rows].filter((one) => !records.has(one)),
    ),
  ];
}

function eventText({ orderId, revision, at, status, ...of }: ArchivedEvent): string {
  return [orderId, revision, at, status, of.reason, of.paymentId, of.generation].join(' ');
}

function toldText({ order, reason, paymentId, ...event }: OrderEvent): string {
  const { orderId } = order;
  return eventText({ ...event, orderId, reason: reason ?? null, paymentId: paymentId ?? null });
}
