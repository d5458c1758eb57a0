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
  | 'rejection-is-remembered';

export interface Entry {
  /** The token of the attempt that made it; absent where `reserve` or `release` did. */
  orderId?: string | undefined;
  state: 'held' | 'queued' | 'reserved' | 'sold' | 'released';
  token?: string;
  leased?: boolean;
  generation: number;
  fence: number;
  owed: number[];
  /** Its buyer has cancelled it. */
  cancelled?: boolean;
}

export interface Reserved {
  readonly kind: 'reserved' | 'sold' | 'sold-out' | 'over' | 'cancelled';
  readonly generation: number;
  readonly owed: readonly number[];
}

export interface Released {
  readonly kind: 'released' | 'sold';
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
  reserve(order: string, fence: number): Promise<Reserved>;
  confirm(order: string, generation: number, fence: number): Promise<'sold' | 'lost'>;
  release(order: string, fence: number): Promise<Released>;
  cancel(order: string): Promise<Cancelled>;
  /** Whether the generation may be refunded. */
  isRefundable(order: string, generation: number): Promise<boolean>;
  resolveCharge(order: string, generation: number): Promise<void>;
  endLease(order: string): Promise<void>;
  /** The whole state, for the invariants. */
  look(): Promise<{ free: number; entries: Readonly<Record<string, Entry>> }>;
}

/** The fields of an entry that no workflow has touched. */
const NEW = { generation: 0, fence: 0, owed: [] };

export function createModelLedger(units: number, off?: LedgerRule): ProtocolLedger {
  let free = units;
  const entries: Record<string, Entry> = {};
  const rejected = new Set<string>();
  const refundableIs = (entry: Entry | undefined, generation: number) =>
    !(entry?.generation === generation && (entry.state === 'reserved' || entry.state === 'sold'));

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

  function reserve(order: string, fence: number): Reserved {
    let entry = entries[order];
    const unfenced = off === 'reserve-respects-fence';
    if (entry?.state === 'sold')
      return { kind: 'sold', generation: entry.generation, owed: entry.owed };
    if (entry?.cancelled) {
      if (entry.state === 'reserved' && entry.fence <= fence) {
        free++;
        entry.state = 'released';
        entry.fence = fence;
      }
      return { kind: 'cancelled', generation: 0, owed: entry.owed };
    }
    if (entry?.state === 'reserved') {
      if (entry.fence > fence && !unfenced)
        return { kind: 'over', generation: 0, owed: entry.owed };
      entry.fence = Math.max(entry.fence, fence);
      const { generation } = entry;
      return { kind: 'reserved', generation, owed: entry.owed.filter((one) => one !== generation) };
    }
    if (entry?.state === 'released' && entry.fence >= fence && !unfenced) {
      return { kind: 'over', generation: 0, owed: entry.owed };
    }
    if (entry?.state === 'held' || entry?.state === 'queued') {
      rejected.delete(order);
    } else {
      const no = rejected.has(order);
      if (!no) reclaim();
      entry ??= { state: 'released', ...NEW, fence, owed: [] };
      entries[order] = entry;
      if (no || free < 1) {
        entry.fence = fence;
        return { kind: 'sold-out', generation: 0, owed: entry.owed };
      }
      free--;
    }
    const owed = [...entry.owed];
    const generation = entry.generation + 1;
    const { orderId } = entry;
    entries[order] = { orderId, state: 'reserved', generation, fence, owed: [...owed, generation] };
    return { kind: 'reserved', generation, owed };
  }

  function release(order: string, fence: number): Released {
    const entry = (entries[order] ??= { state: 'released', generation: 0, fence, owed: [] });
    if (entry.state === 'sold' && off !== 'release-tells-sold')
      return { kind: 'sold', owed: entry.owed, cancelled: false };
    if (entry.state !== 'released' && entry.state !== 'sold' && entry.fence <= fence) {
      free++;
      entries[order] = { ...entry, state: 'released', fence };
    }
    const after = entries[order] ?? entry;
    after.fence = Math.max(after.fence, fence);
    return { kind: 'released', owed: after.owed, cancelled: after.cancelled === true };
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
    reserve: (order, fence) => Promise.resolve(forget(reserve(order, fence))),
    confirm: (order, generation, fence) => {
      const entry = entries[order];
      if (entry?.generation !== generation) return Promise.resolve('lost');
      if (entry.state === 'sold') return Promise.resolve('sold');
      if (entry.state !== 'reserved' || entry.fence > fence) return Promise.resolve('lost');
      const owed = entry.owed.filter((one) => one !== generation);
      entries[order] = { ...entry, state: 'sold', fence, owed };
      return Promise.resolve('sold');
    },
    release: (order, fence) => Promise.resolve(forget(release(order, fence))),
    cancel: (order) => Promise.resolve(cancel(order)),
    isRefundable: (order, generation) => Promise.resolve(refundableIs(entries[order], generation)),
    resolveCharge: (order, generation) => {
      const entry = entries[order];
      if (entry && refundableIs(entry, generation)) {
        entry.owed = entry.owed.filter((one) => one !== generation);
      }
      return Promise.resolve();
    },
    endLease: (order) => {
      const entry = entries[order];
      if (entry?.state === 'held') entry.leased = false;
      return Promise.resolve();
    },
    look: () => Promise.resolve({ free, entries }),
  };
}
