import { assertNever } from '../orders/invariant';
import type { LedgerEntry } from '../orders/ledger';
import { refundedMinor } from '../orders/sale-return';
import type { OrderRun } from './order-runs';

/** What an audit can find. The words are part of its JSON, of the metrics and of the log. */
export const DIFFERENCE_KINDS = [
  'ledger-lost',
  'ledger-unregistered',
  'stock-missing',
  'stock-unreadable',
  'entry-unreadable',
  'entry-missing',
  'counts',
  'hold-expired',
  'record-lost',
  'run-missing',
  'workflow-over',
  'workflow-of-another-order',
  'outcome',
  'charge-missing',
  'charge-amount',
  'charge-id',
  'charge-left',
  'untold',
  'unended',
  'archive-counts',
] as const;
export type DifferenceKind = (typeof DIFFERENCE_KINDS)[number];

/**
 * The repair of a difference with one right answer, a word of the JSON. `give-up`: release the order and refund it. `tell`:
 * publish its event, which has the same id however often that is done.
 */
export type Mend =
  | 'register'
  | 'recount'
  | 'reclaim'
  | 'append-record'
  | 'confirm'
  | 'give-up'
  | 'start-again'
  | 'tell';

export interface Difference {
  readonly kind: DifferenceKind;
  readonly requestId?: string;
  /** For people: what was found, and what was expected. */
  readonly there: string;
  readonly should: string;
  /** Absent: several answers could be right, so an operator decides. */
  readonly mend?: Mend;
}

/** One payment key at the provider. */
export interface Charge {
  readonly generation: number;
  /** Whether the key holds money. */
  readonly charged: boolean;
  readonly paymentId?: string | undefined;
  /** Present where it is charged, as is the currency. */
  readonly amountMinor?: number | undefined;
  readonly currency?: string | undefined;
}

export interface OrderFacts {
  readonly requestId: string;
  readonly entry: LedgerEntry | { readonly problem: string } | undefined;
  readonly run: OrderRun | undefined;
  /** The charges of all generations; empty when they were not looked up. */
  readonly charges: readonly Charge[];
  /** Whether ingest has read every record that could be this order's. */
  readonly isLogRead: boolean;
  /** Whether the log has a record of this order, which ingest has started then. Looked up where nothing else decides. */
  readonly hasRecord: boolean;
  /** Whether the archive, which has all of the log, was not told of its end. */
  readonly isUntold: boolean;
  /** How long Temporal keeps a run that has ended. */
  readonly runsKeptMs: number;
  /** Milliseconds since the epoch, close to the clock of Redis. */
  readonly now: number;
}

/** An expired hold is reclaimed when a buyer finds no free unit. Until one does, it simply stays. */
const EXPIRED_HOLD_MS = 5_000;
/** Ingest starts an order within this time unless it is behind. */
const UNDER_WAY_MS = 60_000;

/** What does not agree between an order's entry, its latest run and its charges. */
export function compareOrder(facts: OrderFacts): Difference[] {
  const { requestId, entry, run, charges } = facts;
  const found = compareEntry(facts);
  const isChecked =
    entry !== undefined &&
    !('problem' in entry) &&
    run?.status !== 'running' &&
    // Then the charges under this request_id are the other order's.
    !found.some(({ kind }) => kind === 'workflow-of-another-order');
  if (isChecked) found.push(...compareCharges(entry, charges));
  // An open run tells it, and what contradicts itself is told by nobody.
  if (isChecked && found.length === 0 && facts.isUntold) {
    const there = `${entry.state}, no such end in the archive`;
    found.push({ kind: 'untold', there, should: 'told', mend: 'tell' });
  }
  return found.map((difference) => ({ ...difference, requestId }));
}

function compareEntry(facts: OrderFacts): Difference[] {
  const { entry, run, now } = facts;
  if (entry === undefined) {
    if (run?.status !== 'confirmed') return [];
    return [{ kind: 'entry-missing', there: 'a confirmed workflow, no entry', should: 'sold' }];
  }
  if ('problem' in entry) {
    return [{ kind: 'entry-unreadable', there: entry.problem, should: 'an entry of the scripts' }];
  }
  const { state } = entry;
  if (state !== 'held' && run?.fingerprint !== undefined && run.fingerprint !== entry.fingerprint) {
    const there = `${state}, the workflow is another order's`;
    return [{ kind: 'workflow-of-another-order', there, should: 'one order under one id' }];
  }
  switch (state) {
    case 'held': {
      const overMs = now - (entry.leaseUntil ?? 0);
      if (overMs < EXPIRED_HOLD_MS) return [];
      const there = `held, lease over for ${Math.round(overMs / 1000)} s`;
      return [{ kind: 'hold-expired', there, should: 'given back', mend: 'reclaim' }];
    }
    case 'queued':
    case 'reserved':
      return compareUnfinished(entry, facts);
    case 'sold':
      if (run?.status !== 'failed' && run?.status !== 'cancelled') return [];
      return [{ kind: 'outcome', there: `sold, workflow ${run.status}`, should: 'one outcome' }];
    case 'released':
      if (run?.status !== 'confirmed') return [];
      return [{ kind: 'outcome', there: 'released, workflow confirmed', should: 'one outcome' }];
    default:
      return assertNever(state);
  }
}

/** A queued or reserved order needs a run, or a record that will start one. */
function compareUnfinished(entry: LedgerEntry, facts: OrderFacts): Difference[] {
  const { run, isLogRead, now } = facts;
  const { state } = entry;
  if (run === undefined) {
    const since = entry.timeline.at(-1)?.at ?? entry.acceptedAt;
    if (!isLogRead || now - since < UNDER_WAY_MS) return [];
    if (wasNeverStarted(entry, facts)) {
      const there = `${state}, neither a record nor a workflow`;
      return [{ kind: 'record-lost', there, should: 'a workflow', mend: 'append-record' }];
    }
    const there = `${state}, its workflow is gone`;
    return [{ kind: 'run-missing', there, should: 'an outcome', mend: 'start-again' }];
  }
  const over = { kind: 'workflow-over', there: `${state}, workflow ${run.status}` } as const;
  switch (run.status) {
    case 'running':
      return [];
    case 'confirmed':
      // A queued order cannot be confirmed without a reserve.
      return [{ ...over, should: 'sold', ...(state === 'reserved' && { mend: 'confirm' }) }];
    case 'failed':
    case 'cancelled':
      return [{ ...over, should: 'released, and its charges resolved', mend: 'give-up' }];
    case 'ended-from-outside':
      return [{ ...over, should: 'an outcome', mend: 'start-again' }];
    default:
      return assertNever(run.status);
  }
}

/** The clocks of Redis and Temporal may differ by so much. */
export const CLOCKS_DIFFER_MS_MAX = 3_600_000;

/**
 * Whether no run of the order can have existed, so that nobody can have ended one: it has reserved nothing, the log has no
 * record of it, and a run that ended since its acceptance would still be there.
 */
export function wasNeverStarted(
  entry: LedgerEntry,
  { hasRecord, runsKeptMs, now }: Pick<OrderFacts, 'hasRecord' | 'runsKeptMs' | 'now'>,
): boolean {
  const isUntouched = entry.state === 'queued' && entry.generation === 0 && !entry.cancelledByBuyer;
  return isUntouched && !hasRecord && now - entry.acceptedAt < runsKeptMs - CLOCKS_DIFFER_MS_MAX;
}

function compareCharges(entry: LedgerEntry, charges: readonly Charge[]): Difference[] {
  const { state, priceMinor, units, currency } = entry;
  if (state !== 'sold' && state !== 'released') return [];
  const paid = state === 'sold' ? entry.generation : undefined;
  const found: Difference[] = charges
    .filter(({ charged, generation }) => charged && generation !== paid)
    .map(({ generation }) => ({
      kind: 'charge-left',
      there: `${state}, generation ${generation} is charged`,
      should: 'no charge',
    }));
  const sale = charges.find(({ generation }) => generation === paid);
  if (!sale) return found;
  const total = priceMinor * units;
  const should = `charged ${total} ${currency} (minor units)`;
  if (!sale.charged) {
    // Nothing is left of the charge where all of it was given back on purpose.
    if (refundedMinor(entry.returns) >= total) return found;
    return [...found, { kind: 'charge-missing', there: 'sold and not charged', should }];
  }
  if (sale.amountMinor !== total || sale.currency !== currency) {
    const there = `charged ${String(sale.amountMinor)} ${String(sale.currency)}`;
    found.push({ kind: 'charge-amount', there, should });
  }
  if (
    sale.paymentId !== undefined &&
    entry.paymentId !== undefined &&
    sale.paymentId !== entry.paymentId
  ) {
    const there = `payment ${sale.paymentId}`;
    found.push({ kind: 'charge-id', there, should: `payment ${entry.paymentId}` });
  }
  return found;
}
