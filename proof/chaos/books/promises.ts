import type { LedgerEntry } from '../../../engine/orders/ledger';
import { paymentKey } from '../../../engine/orders/order-status';
import { hasTrait } from '../sale/wishes';
import { CLAIM_MS_MAX, type Evidence } from './evidence';

export type PromiseName = 'G1' | 'G2' | 'G3' | 'G4' | 'G5' | 'G6' | 'G7' | 'G9';

export interface Violation {
  readonly promise: PromiseName;
  readonly what: string;
}

/** What every unit costs in the harness, in minor units: the default price. */
const UNIT_PRICE = 1_000;

/** Holds the witnesses of one item against each other. None: every promise was kept. */
export function findViolations(evidence: Evidence): Violation[] {
  const checks: Record<PromiseName, (evidence: Evidence) => string[]> = {
    G1: oversold,
    G2: lostOrDoubled,
    G3: mixedUp,
    G4: wronglyCharged,
    G5: burnt,
    G6: unbalanced,
    G7: letterless,
    G9: notCancelled,
  };
  return Object.entries(checks).flatMap(([promise, check]) =>
    check(evidence).map((what) => ({ promise: promise as PromiseName, what })),
  );
}

const sold = ({ entries }: Evidence) => [...entries].filter(([, { state }]) => state === 'sold');
const units = (list: readonly (readonly [string, LedgerEntry])[]) =>
  list.reduce((sum, [, entry]) => sum + entry.units, 0);
const captured = ({ charges }: Evidence) => charges.filter(({ status }) => status === 'captured');

/** The orders that their buyers were told of. */
const accepted = ({ purchases }: Evidence) =>
  purchases.filter(({ answer }) => answer === 'accepted' || answer === 'known');

function oversold(evidence: Evidence): string[] {
  const { supply, seen } = evidence;
  const paid = captured(evidence).reduce((sum, { amount }) => sum + (amount ?? 0), 0) / UNIT_PRICE;
  const faults = [...seen];
  if (units(sold(evidence)) > supply) faults.push(`${units(sold(evidence))} of ${supply} sold`);
  if (paid > supply) faults.push(`${paid} of ${supply} paid for`);
  return faults;
}

const FINAL = ['confirmed', 'failed', 'cancelled'];

function lostOrDoubled(evidence: Evidence): string[] {
  const { purchases, statuses, records, runs, restless, reclaimed } = evidence;
  const faults = restless === undefined ? [] : [restless];
  for (const { wish, answer, problem, tries } of purchases) {
    const id = wish.request_id;
    if (answer === 'undecided' || answer === 'wrong') {
      faults.push(`${id} was answered "${problem}" at last, after ${tries} tries`);
    }
    const status = statuses.get(id) ?? 'unknown';
    if (answer !== 'accepted' && answer !== 'known') continue;
    if (!FINAL.includes(status)) faults.push(`${id} was accepted and is ${status}`);
    if (!records.includes(id)) faults.push(`${id} was accepted and is not in the log`);
    if (answer === 'accepted' && tries === 1 && reclaimed.has(id)) {
      faults.push(`${id} was accepted although its hold had been taken away`);
    }
  }
  const started = new Set(runs.map(({ requestId }) => requestId));
  const buried = new Set(evidence.letters.map(({ requestId }) => requestId));
  for (const id of new Set(records)) {
    if (!started.has(id) && !buried.has(id)) faults.push(`${id} is in the log and has no workflow`);
  }
  for (const { requestId, status, outcome } of runs) {
    const state = evidence.entries.get(requestId)?.state ?? 'unknown';
    // A run that finds the buyer's cancellation in the ledger alone has nothing to fail with.
    const sells = status === 'COMPLETED' && outcome !== 'cancelled';
    const agrees = state === (sells ? 'sold' : 'released');
    if (!agrees) faults.push(`${requestId} is ${state}, its workflow ${status} ${outcome ?? ''}`);
  }
  return faults;
}

function mixedUp({ runs, entries, purchases }: Evidence): string[] {
  const faults: string[] = [];
  const counted = new Map<string, number>();
  for (const { requestId } of runs) counted.set(requestId, (counted.get(requestId) ?? 0) + 1);
  for (const [id, count] of counted) if (count > 1) faults.push(`${id} has ${count} workflow runs`);
  const wished = new Map(purchases.map(({ wish }) => [wish.request_id, wish]));
  for (const [id, entry] of entries) {
    const wish = wished.get(id);
    if (wish?.amount !== entry.units || wish.user_id !== entry.userId) {
      faults.push(`${id} is an order that nobody has asked for so`);
    }
  }
  return faults;
}

function wronglyCharged(evidence: Evidence): string[] {
  const faults: string[] = [];
  const owed = new Map(
    sold(evidence).map(([id, { generation, units: amount }]) => [
      paymentKey(id, generation),
      amount * UNIT_PRICE,
    ]),
  );
  for (const { key, amount } of captured(evidence)) {
    const due = owed.get(key);
    if (due === undefined) faults.push(`${key} is charged and sold nothing`);
    else if (due !== amount) faults.push(`${key} is charged ${String(amount)}, not ${due}`);
  }
  const paid = new Set(captured(evidence).map(({ key }) => key));
  for (const key of owed.keys()) if (!paid.has(key)) faults.push(`${key} is sold and not paid`);
  return faults;
}

function burnt(evidence: Evidence): string[] {
  const { purchases, entries, records, charges, claims, buyers, reclaimed } = evidence;
  const faults: string[] = [];
  const rejected = purchases.filter(({ answer }) => answer === 'rejected');
  for (const { wish, tries, unanswered, askedAt } of rejected) {
    const id = wish.request_id;
    const entry = entries.get(id);
    // A try that its buyer has given up is still carried out when it arrives: as a new question, after this one.
    if (unanswered > 0 && entry && entry.acceptedAt >= askedAt) continue;
    // What a dead or frozen gateway has left in the log may only fail, and for the reason that the buyer was told.
    const left = hasTrait(wish, 'abandoned') || reclaimed.has(id);
    const mayBe = left && entry?.state === 'released' && entry.reason === 'sold-out';
    if (entry && !mayBe) faults.push(`${id} was rejected and is ${entry.state}`);
    if (records.includes(id) && !left) faults.push(`${id} was rejected and is in the log`);
    if (charges.some(({ key }) => key.startsWith(`${id}:`))) faults.push(`${id} was charged`);
    // A gateway that died before it could drop the claim leaves it to its TTL; the buyer has never had that answer.
    const claimMs = claims.get(id);
    if (!left && claimMs !== undefined && (tries === 1 || claimMs > CLAIM_MS_MAX)) {
      faults.push(`${id} was rejected and is claimed for ${claimMs} ms`);
    }
  }
  for (const [user, owned] of buyers) {
    const bought = units(sold(evidence).filter(([, entry]) => entry.userId === user));
    if (bought !== owned) faults.push(`${user} has ${bought} units and is counted with ${owned}`);
  }
  return faults;
}

function unbalanced(evidence: Evidence): string[] {
  const { counts, supply } = evidence;
  const bought = units(sold(evidence));
  const wanted = { free: supply - bought, held: 0, queued: 0, reserved: 0, sold: bought, supply };
  return Object.entries(wanted)
    .filter(([state, count]) => counts[state as keyof typeof counts] !== count)
    .map(([state, count]) => `${state} is ${counts[state as keyof typeof counts]}, not ${count}`);
}

function letterless(evidence: Evidence): string[] {
  const faults: string[] = [];
  for (const [id, { state, reason }] of evidence.entries) {
    const letters = evidence.letters.filter(({ requestId }) => requestId === id);
    const distinct = new Set(letters.map((letter) => letter.id)).size;
    const wanted = state === 'released' && reason !== 'cancelled' ? 1 : 0;
    // Where a record is in the log twice, each of the two is refused under its own place.
    const enough = reason === 'request-id-reused' ? distinct >= 1 : distinct === wanted;
    if (!enough) faults.push(`${id} (${reason ?? state}) has ${distinct} dead letters`);
    const other = letters.find((letter) => letter.reason !== reason);
    if (other) faults.push(`${id} failed as ${reason ?? state}, its letter says ${other.reason}`);
  }
  const runs = new Map(evidence.runs.map(({ requestId, outcome }) => [requestId, outcome]));
  for (const { wish } of accepted(evidence)) {
    const entry = evidence.entries.get(wish.request_id);
    const outcome = runs.get(wish.request_id);
    if (outcome !== undefined && outcome !== entry?.reason) {
      faults.push(
        `${wish.request_id} failed as ${entry?.reason ?? ''}, its workflow as ${outcome}`,
      );
    }
  }
  return faults;
}

/** What a buyer was told who cancelled is what became of the order; that nothing of it is charged is G4's. */
function notCancelled({ purchases, statuses, entries }: Evidence): string[] {
  return purchases.flatMap(({ wish: { request_id: id }, cancelled }) => {
    if (cancelled === undefined) return [];
    const status = statuses.get(id) ?? 'unknown';
    if (status !== cancelled) return [`${id} was called ${cancelled} and is ${status}`];
    const reason = entries.get(id)?.reason;
    const agrees = cancelled !== 'cancelled' || reason === 'cancelled';
    return agrees ? [] : [`${id} was called cancelled and was released as ${reason ?? ''}`];
  });
}
