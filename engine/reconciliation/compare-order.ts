import { assertNever } from '../orders/invariant';
import type { LedgerEntry } from '../orders/ledger';
import type { Difference } from './difference';
import type { OrderRun } from './order-runs';

/** One key of the provider's, as far as it tells. */
export interface ChargeSeen {
  readonly generation: number;
  /** Whether it holds money. */
  readonly charged: boolean;
  readonly paymentId?: string;
  /** Absent: the provider does not tell. */
  readonly amountMinor?: number;
}

/** Everything that is known of one order. */
export interface OrderFacts {
  readonly requestId: string;
  readonly entry: LedgerEntry | { readonly fault: string } | undefined;
  readonly run: OrderRun | undefined;
  /** Of every generation; empty: not asked. */
  readonly charges: readonly ChargeSeen[];
  /** Whether every record that could be this order's has been through ingest. */
  readonly isLogRead: boolean;
  /** Milliseconds since the epoch, about on the clock of Redis. */
  readonly now: number;
}

/** A hold is reclaimed by whoever finds no unit; one that is left for so long was just not needed by anybody. */
const EXPIRED_HOLD_MS = 5_000;
/** An order that was queued so long ago has met ingest, unless that one is behind. */
const UNDER_WAY_MS = 60_000;

/** What does not fit between an order's entry, its latest run and its charges. */
export function compareOrder(facts: OrderFacts): Difference[] {
  const { requestId, entry, run } = facts;
  const told = compareFacts(facts);
  if (entry === undefined || 'fault' in entry || run?.status === 'running') return named(told);
  // An entry that changes hands with its id: the charges are the other order's.
  if (told.some(({ kind }) => kind === 'workflow-of-another-order')) return named(told);
  return named([...told, ...compareCharges(entry, facts.charges)]);

  function named(differences: readonly Nameless[]): Difference[] {
    return differences.map((difference) => ({ ...difference, requestId }));
  }
}

type Nameless = Omit<Difference, 'requestId'>;

function compareFacts(facts: OrderFacts): Nameless[] {
  const { entry, run, now } = facts;
  if (entry === undefined) {
    if (run?.status !== 'confirmed') return [];
    return [{ kind: 'entry-missing', there: 'a confirmed workflow, no entry', should: 'sold' }];
  }
  if ('fault' in entry) {
    return [{ kind: 'entry-unreadable', there: entry.fault, should: 'an entry of the scripts' }];
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
      return compareOpen(entry, facts);
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

/** An order that holds units needs a run, or a record that will start one. */
function compareOpen(entry: LedgerEntry, { run, isLogRead, now }: OrderFacts): Nameless[] {
  const { state } = entry;
  if (run === undefined) {
    const since = entry.timeline.at(-1)?.at ?? entry.acceptedAt;
    if (!isLogRead || now - since < UNDER_WAY_MS) return [];
    const there = `${state}, neither a record nor a workflow`;
    return [{ kind: 'record-lost', there, should: 'a workflow', mend: 'append-record' }];
  }
  const over = (should: string, mend?: Difference['mend']): Nameless[] => [
    {
      kind: 'workflow-over',
      there: `${state}, workflow ${run.status}`,
      should,
      ...(mend && { mend }),
    },
  ];
  switch (run.status) {
    case 'running':
      return [];
    case 'confirmed':
      return state === 'reserved' ? over('sold', 'confirm') : over('sold');
    case 'failed':
    case 'cancelled':
      return over('released, and its money settled', 'give-up');
    case 'ended-from-outside':
      return over('an outcome', 'start-again');
    default:
      return assertNever(run.status);
  }
}

function compareCharges(entry: LedgerEntry, charges: readonly ChargeSeen[]): Nameless[] {
  if (entry.state !== 'sold' && entry.state !== 'released') return [];
  const paid = entry.state === 'sold' ? entry.generation : undefined;
  const left = charges
    .filter(({ charged, generation }) => charged && generation !== paid)
    .map(({ generation }): Nameless => {
      const there = `${entry.state}, generation ${generation} is charged`;
      return { kind: 'charge-left', there, should: 'no charge' };
    });
  const sale = charges.find(({ generation }) => generation === paid);
  return sale ? [...left, ...compareSale(entry, sale)] : left;
}

function compareSale(entry: LedgerEntry, sale: ChargeSeen): Nameless[] {
  const total = entry.priceMinor * entry.units;
  const should = `charged ${total} ${entry.currency} (minor units)`;
  if (!sale.charged) return [{ kind: 'charge-missing', there: 'sold and not charged', should }];
  const found: Nameless[] = [];
  if (sale.amountMinor !== undefined && sale.amountMinor !== total) {
    found.push({ kind: 'charge-amount', there: `charged ${sale.amountMinor}`, should });
  }
  if (entry.paymentId !== undefined && sale.paymentId !== undefined) {
    const [there, mine] = [`payment ${sale.paymentId}`, `payment ${entry.paymentId}`];
    if (there !== mine) found.push({ kind: 'charge-id', there, should: mine });
  }
  return found;
}
