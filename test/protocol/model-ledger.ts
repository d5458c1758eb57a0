import type { LedgerEntry } from '../../engine/orders/ledger';

/**
 * A model of the ledger's rules for a few orders of one item, in memory, small enough for a million walks. Each rule can be
 * switched off, to show that the walks notice it. It has no users, prices, sale windows, events or clocks: a test ends a lease
 * by a call.
 */
export type LedgerRule =
  | 'reserve-respects-fence'
  | 'release-tells-sold'
  | 'owed-is-remembered'
  | 'queued-never-expires'
  | 'cancellation-is-remembered'
  | 'rejection-is-remembered'
  | 'first-start-ends-with-its-order'
  | 'run-is-remembered';

export interface Entry {
  orderId: string;
  state: 'held' | 'queued' | 'reserved' | 'sold' | 'released';
  token?: string;
  leased?: boolean;
  generation: number;
  fence: number;
  owed: number[];
  /** Its buyer has cancelled it. */
  cancelled?: boolean;
  /** The run that has reserved it, or was refused. */
  run?: string | undefined;
  /** Released because there was no unit. */
  refused?: boolean | undefined;
}

/** A step of a run. `orderId` counts only where there is no entry. */
export interface ReserveStep {
  readonly orderId: string;
  readonly fence: number;
  /** A run from the log, not a replay or a reset. */
  readonly isFirst: boolean;
  readonly run: string;
}

/** One generation of an order. */
export interface Generation {
  readonly orderId: string;
  readonly generation: number;
}

export interface Reserved {
  /** `ended`: a first start has met the end of its order. */
  readonly kind: 'reserved' | 'sold' | 'sold-out' | 'over' | 'cancelled' | 'ended';
  /** The entry's. */
  readonly orderId: string;
  readonly generation: number;
  readonly owed: readonly number[];
}

export interface Released {
  readonly kind: 'released' | 'sold';
  readonly orderId: string;
  readonly owed: readonly number[];
  readonly cancelled: boolean;
}

export type Cancelled = 'unknown' | 'cancelled' | 'under-way' | 'sold' | 'failed';

export interface Held {
  readonly kind: 'held' | 'in-progress' | 'exists' | 'sold-out';
  /** Of the entry that is held. */
  readonly orderId?: string;
}

/** The ledger as the protocol uses it; one unit an order. */
export interface ProtocolLedger {
  hold(order: string, token: string): Promise<Held>;
  undo(order: string, token: string): Promise<void>;
  /** Before a rejection of a request of which an earlier attempt may be in the log. */
  reject(order: string): Promise<'rejected' | 'exists' | 'in-progress'>;
  queue(order: string, orderId: string): Promise<boolean>;
  reserve(order: string, step: ReserveStep): Promise<Reserved>;
  confirm(order: string, step: Generation & { readonly fence: number }): Promise<'sold' | 'lost'>;
  release(order: string, step: Omit<ReserveStep, 'isFirst' | 'run'>): Promise<Released>;
  /** Ends a held or queued order that will never have a run. */
  abandon(order: string, orderId: string): Promise<void>;
  cancel(order: string): Promise<Cancelled>;
  /** Whether the generation may be refunded. */
  isRefundable(order: string, generation: Generation): Promise<boolean>;
  resolveCharge(order: string, generation: Generation): Promise<void>;
  /** Redis loses everything. */
  lose(): Promise<void>;
  /** Replaces a lost ledger. */
  rebuild(
    entries: ReadonlyMap<string, LedgerEntry>,
    supply: number,
  ): Promise<'rebuilt' | 'too-small'>;
  endLease(order: string): Promise<void>;
  /** The whole state, for the invariants. */
  look(): Promise<{ free: number; entries: Readonly<Record<string, Entry>> }>;
}

/** The ledger of an order's item. */
export type LedgerOf = (order: string) => ProtocolLedger;

/** The fields of an entry that no workflow has touched. */
const NEW = { generation: 0, fence: 0, owed: [] };

export function createModelLedger(units: number, off?: LedgerRule): ProtocolLedger {
  let free = units;
  const entries: Record<string, Entry> = {};
  const rejected = new Set<string>();
  const isEntryOf = (entry: Entry | undefined, orderId: string): entry is Entry =>
    entry?.orderId === orderId;
  const refundableIs = (entry: Entry | undefined, { orderId, generation }: Generation) =>
    !isEntryOf(entry, orderId) ||
    entry.generation !== generation ||
    (entry.state !== 'reserved' && entry.state !== 'sold');

  function reclaim(): void {
    for (const [order, entry] of Object.entries(entries)) {
      if (free > 0) return;
      const expired = entry.state === 'held' && entry.leased === false;
      if (expired || (off === 'queued-never-expires' && entry.state === 'queued')) {
        Reflect.deleteProperty(entries, order);
        free++;
      }
    }
  }

  function hold(order: string, token: string): Held {
    const entry = entries[order];
    if (entry && entry.state !== 'held') return { kind: 'exists' };
    if (entry?.leased && entry.token !== token) return { kind: 'in-progress' };
    if (!entry) {
      reclaim();
      if (free < 1) return { kind: 'sold-out' };
      free--;
    }
    const { orderId = token } = entry ?? {};
    entries[order] = { orderId, state: 'held', token, leased: true, ...NEW };
    return { kind: 'held', orderId };
  }

  function reserve(order: string, step: ReserveStep): Reserved {
    const { fence, isFirst, run } = step;
    const unfenced = off === 'reserve-respects-fence';
    const entry = entries[order];
    const answer = (kind: Reserved['kind'], { orderId, owed }: Entry): Reserved => {
      return { kind, orderId, generation: 0, owed };
    };
    if (!entry) return reserveAfresh(order, step, newEntry(step));
    const { orderId, generation } = entry;
    if (entry.state === 'sold') return { kind: 'sold', orderId, generation, owed: entry.owed };
    if (entry.cancelled) {
      if (entry.state === 'reserved' && entry.fence <= fence) {
        free++;
        entry.state = 'released';
        entry.fence = fence;
      }
      return answer('cancelled', entry);
    }
    if (entry.state === 'reserved') {
      if (entry.fence > fence && !unfenced) return answer('over', entry);
      entry.fence = Math.max(entry.fence, fence);
      entry.run = run;
      const owed = entry.owed.filter((one) => one !== generation);
      return { kind: 'reserved', orderId, generation, owed };
    }
    if (entry.state === 'released') {
      const isRepeat = entry.run === run && off !== 'run-is-remembered';
      const mustNotTry = isFirst && off !== 'first-start-ends-with-its-order';
      if (isRepeat && entry.refused && (isFirst || entry.fence === fence))
        return answer('sold-out', entry);
      if (mustNotTry && !isRepeat) return answer('ended', entry);
      if (mustNotTry || (entry.fence >= fence && !unfenced)) return answer('over', entry);
      return reserveAfresh(order, step, entry);
    }
    rejected.delete(order);
    return open(order, entry, step);
  }

  /** Takes a unit for an order that has none. */
  function reserveAfresh(order: string, step: ReserveStep, entry: Entry): Reserved {
    const { fence, run } = step;
    const no = rejected.has(order);
    if (!no) reclaim();
    entries[order] = entry;
    if (no || free < 1) {
      entry.fence = fence;
      entry.run = run;
      entry.refused = true;
      return { kind: 'sold-out', orderId: entry.orderId, generation: 0, owed: entry.owed };
    }
    free--;
    return open(order, entry, step);
  }

  /** Opens the next generation. */
  function open(order: string, entry: Entry, { fence, run }: ReserveStep) {
    const { orderId } = entry;
    const owed = [...entry.owed];
    const generation = entry.generation + 1;
    const unresolved = [...owed, generation];
    entries[order] = { orderId, state: 'reserved', generation, fence, owed: unresolved, run };
    return { kind: 'reserved', orderId, generation, owed } as const;
  }

  function newEntry({ orderId, fence }: Pick<ReserveStep, 'orderId' | 'fence'>): Entry {
    return { orderId, state: 'released', ...NEW, fence };
  }

  function release(order: string, step: Pick<ReserveStep, 'orderId' | 'fence'>): Released {
    const { fence } = step;
    const entry = (entries[order] ??= newEntry(step));
    const { orderId } = entry;
    if (entry.state === 'sold' && off !== 'release-tells-sold')
      return { kind: 'sold', orderId, owed: entry.owed, cancelled: false };
    if (entry.state !== 'released' && entry.state !== 'sold' && entry.fence <= fence) {
      free++;
      entries[order] = { ...entry, state: 'released', fence };
    }
    const after = entries[order] ?? entry;
    after.fence = Math.max(after.fence, fence);
    return { kind: 'released', orderId, owed: after.owed, cancelled: after.cancelled === true };
  }

  function cancel(order: string): Cancelled {
    const entry = entries[order];
    if (!entry || entry.state === 'held') return 'unknown';
    if (entry.state === 'sold') return 'sold';
    if (entry.state === 'released') return entry.cancelled ? 'cancelled' : 'failed';
    if (off !== 'cancellation-is-remembered') entry.cancelled = true;
    if (entry.state === 'reserved') return 'under-way';
    free++;
    entry.state = 'released';
    return 'cancelled';
  }

  const forget = <T extends { readonly owed: readonly number[] }>(answer: T): T =>
    off === 'owed-is-remembered' ? { ...answer, owed: [] } : { ...answer, owed: [...answer.owed] };

  return {
    hold: (order, token) => Promise.resolve(hold(order, token)),
    undo: (order, token) => {
      const entry = entries[order];
      if (entry?.state === 'held' && entry.token === token) {
        Reflect.deleteProperty(entries, order);
        free++;
      }
      return Promise.resolve();
    },
    reject: (order) => {
      const entry = entries[order];
      if (entry) return Promise.resolve(entry.state === 'held' ? 'in-progress' : 'exists');
      if (off !== 'rejection-is-remembered') rejected.add(order);
      return Promise.resolve('rejected');
    },
    queue: (order, orderId) => {
      const entry = entries[order];
      if (entry?.orderId !== orderId) return Promise.resolve(false);
      if (entry.state === 'held') entries[order] = { orderId, state: 'queued', ...NEW };
      return Promise.resolve(true);
    },
    reserve: (order, step) => Promise.resolve(forget(reserve(order, step))),
    confirm: (order, { orderId, generation, fence }) => {
      const entry = entries[order];
      if (!isEntryOf(entry, orderId) || entry.generation !== generation)
        return Promise.resolve('lost');
      if (entry.state === 'sold') return Promise.resolve('sold');
      if (entry.state !== 'reserved' || entry.fence > fence) return Promise.resolve('lost');
      const owed = entry.owed.filter((one) => one !== generation);
      entries[order] = { ...entry, state: 'sold', fence, owed, run: undefined };
      return Promise.resolve('sold');
    },
    release: (order, step) => Promise.resolve(forget(release(order, step))),
    abandon: (order, orderId) => {
      const entry = entries[order];
      if (isEntryOf(entry, orderId) && (entry.state === 'held' || entry.state === 'queued')) {
        entries[order] = { orderId, state: 'released', ...NEW };
        free++;
      }
      return Promise.resolve();
    },
    cancel: (order) => Promise.resolve(cancel(order)),
    isRefundable: (order, generation) => Promise.resolve(refundableIs(entries[order], generation)),
    resolveCharge: (order, generation) => {
      const entry = entries[order];
      if (isEntryOf(entry, generation.orderId) && refundableIs(entry, generation)) {
        entry.owed = entry.owed.filter((one) => one !== generation.generation);
      }
      return Promise.resolve();
    },
    lose: () => {
      for (const order of Object.keys(entries)) Reflect.deleteProperty(entries, order);
      rejected.clear();
      free = 0;
      return Promise.resolve();
    },
    rebuild: (restored, supply) => {
      const taken = [...restored.values()].filter(({ state }) => state !== 'released').length;
      if (taken > supply) return Promise.resolve('too-small');
      for (const [order, entry] of restored) entries[order] = fromRestored(entry);
      free = supply - taken;
      return Promise.resolve('rebuilt');
    },
    endLease: (order) => {
      const entry = entries[order];
      if (entry?.state === 'held') entry.leased = false;
      return Promise.resolve();
    },
    look: () => Promise.resolve({ free, entries }),
  };
}

function fromRestored(entry: LedgerEntry): Entry {
  const { orderId = '', state, generation, fence, unresolvedCharges, cancelledByBuyer } = entry;
  const refused = entry.reason === 'sold-out' || undefined;
  const restored = { orderId, state, generation, fence, owed: [...unresolvedCharges], refused };
  return cancelledByBuyer ? { ...restored, cancelled: true } : restored;
}
