import type { LedgerEntry } from '../../engine/orders/ledger';
import type { Acceptance, ModelArchive, OrderEnd } from './model-archive';

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
  | 'cancelled-payment-is-ended-first'
  | 'rejection-is-remembered'
  | 'first-start-ends-with-its-order'
  | 'run-is-remembered'
  | 'archived-orders-are-asked-for'
  | 'archived-sale-is-kept'
  | 'leaves-at-its-revision'
  | 'leaves-with-its-charges-settled';

export interface Entry {
  orderId: string;
  acceptedAt: number;
  state: 'held' | 'queued' | 'reserved' | 'sold' | 'released';
  token?: string;
  leased?: boolean;
  generation: number;
  fence: number;
  owed: number[];
  /** Its buyer has cancelled it. */
  cancelled?: boolean;
  /** Its buyer pays. */
  pays?: true | undefined;
  /** The run that has reserved it, or was refused. */
  run?: string | undefined;
  /** Released because there was no unit. */
  refused?: boolean | undefined;
  /** Of its last end. Two ledgers number them each in its own way. */
  revision?: number | undefined;
}

/** A step of a run. Its acceptance counts only where there is no entry, and for whether it has left. */
export interface ReserveStep extends Acceptance {
  readonly fence: number;
  /** A run from the log, not a replay or a reset. */
  readonly isFirst: boolean;
  /** Accepted so long ago that a first start without an entry comes too late. */
  readonly isOld: boolean;
  readonly run: string;
  readonly pays: boolean;
}

export type ReleaseStep = Acceptance &
  Pick<ReserveStep, 'fence'> & {
    /** The generation whose payment is declined for certain, or 0. */
    readonly declined: number;
  };

/** One generation of an order. */
export interface Generation {
  readonly orderId: string;
  readonly generation: number;
}

export interface Reserved {
  /** `ended`: a first start has met the end of its order, or it has left. `expired`: a first start has come too late. */
  readonly kind: 'reserved' | 'sold' | 'sold-out' | 'over' | 'cancelled' | 'ended' | 'expired';
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
  readonly acceptedAt?: number;
}

/** What became of an order that was to leave. */
export type Left = 'removed' | 'gone' | 'stays';

/**
 * The ledger as the protocol uses it; one unit an order. A step of an order that may have left is answered from the archive,
 * and throws an ArchiveAwayError while that is away.
 */
export interface ProtocolLedger {
  /** `at` is the time of the acceptance, if this is one: a walk has a clock of its own. */
  hold(order: string, token: string, at: number): Promise<Held>;
  undo(order: string, token: string): Promise<void>;
  /** Before a rejection of a request of which an earlier attempt may be in the log. */
  reject(order: string): Promise<'rejected' | 'exists' | 'in-progress'>;
  queue(order: string, orderId: string): Promise<boolean>;
  reserve(order: string, step: ReserveStep): Promise<Reserved>;
  confirm(order: string, step: Generation & { readonly fence: number }): Promise<'sold' | 'lost'>;
  release(order: string, step: ReleaseStep): Promise<Released>;
  /** Ends a held or queued order that will never have a run. */
  abandon(order: string, orderId: string): Promise<void>;
  cancel(order: string): Promise<Cancelled>;
  /** Whether the generation may be refunded. */
  isRefundable(order: string, generation: Generation): Promise<boolean>;
  resolveCharge(order: string, generation: Generation): Promise<void>;
  /** What an event tells of an order that has ended; undefined: it has not, or there is none. */
  endOf(order: string): Promise<OrderEnd | undefined>;
  /** What would become of an order by `archive`. */
  archivable(order: string, end: OrderEnd): Promise<Left>;
  /** Removes an order that the archive has. */
  archive(order: string, end: OrderEnd): Promise<Left>;
  /** Redis loses everything. */
  lose(): Promise<void>;
  /** Replaces a lost ledger. */
  rebuild(
    entries: ReadonlyMap<string, LedgerEntry>,
    supply: number,
  ): Promise<'rebuilt' | 'too-small'>;
  endLease(order: string): Promise<void>;
  /** The whole state, for the invariants. */
  look(): Promise<LedgerLook>;
}

export interface LedgerLook {
  readonly free: number;
  readonly entries: Readonly<Record<string, Entry>>;
  /** Units of sold orders that have left. */
  readonly archived: number;
}

/** The ledger of an order's item. */
export type LedgerOf = (order: string) => ProtocolLedger;

/** The fields of an entry that no workflow has touched. */
const NEW = { generation: 0, fence: 0, owed: [] };

export function createModelLedger(
  units: number,
  archive: ModelArchive,
  off?: LedgerRule,
): ProtocolLedger {
  let free = units;
  let archived = 0;
  let archivedUntil: number | undefined;
  let revisions = 0;
  const entries: Record<string, Entry> = {};
  const rejected = new Set<string>();
  const isEntryOf = (entry: Entry | undefined, orderId: string): entry is Entry =>
    entry?.orderId === orderId;
  const refundableIs = (entry: Entry | undefined, { orderId, generation }: Generation) =>
    !isEntryOf(entry, orderId) ||
    entry.generation !== generation ||
    (entry.state !== 'reserved' && entry.state !== 'sold');

  /** Whether only the archive knows what became of an acceptance. */
  const mayHaveLeft = (entry: Entry | undefined, { orderId, acceptedAt }: Acceptance) =>
    off !== 'archived-orders-are-asked-for' &&
    !isEntryOf(entry, orderId) &&
    archivedUntil !== undefined &&
    acceptedAt <= archivedUntil;

  /** The end of an order that may have left. Its generation had an entry. */
  function endIfLeft(order: string, { orderId }: Generation): OrderEnd | undefined {
    const step = { orderId, acceptedAt: -Infinity };
    return mayHaveLeft(entries[order], step) ? archive.endOf(orderId) : undefined;
  }

  const isSale = (end: OrderEnd, { generation }: Generation) =>
    end.outcome === 'confirmed' && end.generation === generation;

  /** Puts an entry at its end. */
  function finish(entry: Entry, state: 'sold' | 'released'): void {
    entry.state = state;
    entry.revision = ++revisions;
  }

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

  function hold(order: string, token: string, at: number): Held {
    const entry = entries[order];
    if (entry && entry.state !== 'held') return { kind: 'exists' };
    if (entry?.leased && entry.token !== token) return { kind: 'in-progress' };
    if (!entry) {
      reclaim();
      if (free < 1) return { kind: 'sold-out' };
      free--;
    }
    const { orderId = token, acceptedAt = at } = entry ?? {};
    entries[order] = { orderId, acceptedAt, state: 'held', token, leased: true, ...NEW };
    return { kind: 'held', orderId, acceptedAt };
  }

  function reserve(order: string, step: ReserveStep): Reserved {
    const { fence, isFirst, run } = step;
    const unfenced = off === 'reserve-respects-fence';
    const entry = entries[order];
    const answer = (kind: Reserved['kind'], { orderId, owed }: Entry): Reserved => {
      return { kind, orderId, generation: 0, owed };
    };
    const end = mayHaveLeft(entry, step) ? archive.endOfRequest(order, step) : undefined;
    if (end) {
      const { orderId, acceptedAt, generation } = end;
      if (orderId !== step.orderId) return reserve(order, { ...step, orderId, acceptedAt });
      if (end.outcome === 'confirmed') return { kind: 'sold', orderId, generation, owed: [] };
      const kind = end.outcome === 'cancelled' ? 'cancelled' : 'ended';
      return { kind, orderId, generation: 0, owed: [] };
    }
    if (!entry) {
      if (isFirst && step.isOld) return { kind: 'expired', orderId: '', generation: 0, owed: [] };
      return reserveAfresh(order, step, newEntry(step));
    }
    const { orderId, generation } = entry;
    if (entry.state === 'sold') return { kind: 'sold', orderId, generation, owed: entry.owed };
    const mayRelease = entry.state === 'reserved' && entry.fence <= fence;
    const isEndedFirst = mayRelease && entry.pays && off !== 'cancelled-payment-is-ended-first';
    if (entry.cancelled && !isEndedFirst) {
      if (mayRelease) {
        free++;
        finish(entry, 'released');
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
      finish(entry, 'released');
      return { kind: 'sold-out', orderId: entry.orderId, generation: 0, owed: entry.owed };
    }
    free--;
    return open(order, entry, step);
  }

  /** Opens the next generation. */
  function open(order: string, entry: Entry, { fence, run, ...step }: ReserveStep) {
    const { orderId, acceptedAt, revision } = entry;
    const pays = entry.pays ?? ((step.pays && step.orderId === orderId) || undefined);
    const owed = [...entry.owed];
    const generation = entry.generation + 1;
    const unresolved = [...owed, generation];
    entries[order] = {
      orderId,
      acceptedAt,
      state: 'reserved',
      generation,
      fence,
      owed: unresolved,
      run,
      revision,
      pays,
    };
    return { kind: 'reserved', orderId, generation, owed } as const;
  }

  function newEntry({
    orderId,
    acceptedAt,
    fence,
  }: Acceptance & Pick<ReserveStep, 'fence'>): Entry {
    return { orderId, acceptedAt, state: 'released', ...NEW, fence };
  }

  function release(order: string, step: ReleaseStep): Released {
    const { fence, declined } = step;
    const end = mayHaveLeft(entries[order], step) ? archive.endOfRequest(order, step) : undefined;
    if (end) {
      const { orderId, acceptedAt } = end;
      if (orderId !== step.orderId) return release(order, { orderId, acceptedAt, fence, declined });
      const kind = end.outcome === 'confirmed' ? 'sold' : 'released';
      return { kind, orderId, owed: [], cancelled: end.outcome === 'cancelled' };
    }
    const isNew = !entries[order];
    const entry = (entries[order] ??= newEntry(step));
    if (isNew) finish(entry, 'released');
    const { orderId } = entry;
    if (entry.state === 'sold' && off !== 'release-tells-sold')
      return { kind: 'sold', orderId, owed: entry.owed, cancelled: false };
    entry.owed = entry.owed.filter((one) => one !== declined);
    if (entry.state !== 'released' && entry.state !== 'sold' && entry.fence <= fence) {
      free++;
      finish(entry, 'released');
    }
    entry.fence = Math.max(entry.fence, fence);
    return { kind: 'released', orderId, owed: entry.owed, cancelled: entry.cancelled === true };
  }

  function confirm(order: string, step: Generation & { readonly fence: number }): 'sold' | 'lost' {
    const { orderId, generation, fence } = step;
    const end = endIfLeft(order, step);
    if (end) return isSale(end, step) ? 'sold' : 'lost';
    const entry = entries[order];
    if (!isEntryOf(entry, orderId) || entry.generation !== generation) return 'lost';
    if (entry.state === 'sold') return 'sold';
    if (entry.state !== 'reserved' || entry.fence > fence) return 'lost';
    const owed = entry.owed.filter((one) => one !== generation);
    Object.assign(entry, { fence, owed, run: undefined });
    finish(entry, 'sold');
    return 'sold';
  }

  function cancel(order: string): Cancelled {
    const entry = entries[order];
    if (!entry || entry.state === 'held') return 'unknown';
    if (entry.state === 'sold') return 'sold';
    const isSettled = !entry.pays || entry.owed.length === 0;
    if (entry.state === 'released' && !entry.cancelled) return 'failed';
    if (entry.state === 'released') return isSettled ? 'cancelled' : 'under-way';
    if (off !== 'cancellation-is-remembered') entry.cancelled = true;
    if (entry.state === 'reserved') return 'under-way';
    free++;
    finish(entry, 'released');
    return isSettled ? 'cancelled' : 'under-way';
  }

  function endOf(order: string): OrderEnd | undefined {
    const entry = entries[order];
    return entry && endOfEntry(entry);
  }

  function archivable(order: string, { orderId, revision }: OrderEnd): Left {
    const entry = entries[order];
    if (!isEntryOf(entry, orderId)) return 'gone';
    const isEnded = entry.state === 'sold' || entry.state === 'released';
    const isIt = entry.revision === revision || off === 'leaves-at-its-revision';
    const isSettled = entry.owed.length === 0 || off === 'leaves-with-its-charges-settled';
    return isEnded && isIt && isSettled ? 'removed' : 'stays';
  }

  const forget = <T extends { readonly owed: readonly number[] }>(answer: T): T =>
    off === 'owed-is-remembered' ? { ...answer, owed: [] } : { ...answer, owed: [...answer.owed] };

  return {
    hold: (order, token, at) => Promise.resolve(hold(order, token, at)),
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
      const { acceptedAt } = entry;
      if (entry.state === 'held') entries[order] = { orderId, acceptedAt, state: 'queued', ...NEW };
      return Promise.resolve(true);
    },
    reserve: (order, step) => told(() => forget(reserve(order, step))),
    confirm: (order, step) => told(() => confirm(order, step)),
    release: (order, step) => told(() => forget(release(order, step))),
    abandon: (order, orderId) => {
      const entry = entries[order];
      if (isEntryOf(entry, orderId) && (entry.state === 'held' || entry.state === 'queued')) {
        const { acceptedAt } = entry;
        const released: Entry = { orderId, acceptedAt, state: 'released', ...NEW };
        finish(released, 'released');
        entries[order] = released;
        free++;
      }
      return Promise.resolve();
    },
    cancel: (order) => Promise.resolve(cancel(order)),
    isRefundable: (order, step) =>
      told(() => {
        const end = endIfLeft(order, step);
        if (!end || off === 'archived-sale-is-kept') return refundableIs(entries[order], step);
        return !isSale(end, step);
      }),
    resolveCharge: (order, generation) => {
      const entry = entries[order];
      if (isEntryOf(entry, generation.orderId) && refundableIs(entry, generation)) {
        entry.owed = entry.owed.filter((one) => one !== generation.generation);
      }
      return Promise.resolve();
    },
    endOf: (order) => Promise.resolve(endOf(order)),
    archivable: (order, end) => Promise.resolve(archivable(order, end)),
    archive: (order, end) => {
      const left = archivable(order, end);
      const entry = entries[order];
      if (left === 'removed' && entry) {
        if (entry.state === 'sold') archived++;
        archivedUntil = Math.max(archivedUntil ?? 0, entry.acceptedAt);
        Reflect.deleteProperty(entries, order);
      }
      return Promise.resolve(left);
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
      archived = 0;
      // Of what was accepted before it was opened, which is everything of the walk, the archive is asked.
      archivedUntil = Infinity;
      return Promise.resolve('rebuilt');
    },
    endLease: (order) => {
      const entry = entries[order];
      if (entry?.state === 'held') entry.leased = false;
      return Promise.resolve();
    },
    look: () => Promise.resolve({ free, entries, archived }),
  };
}

/** A result, or a rejection where the archive is away. */
function told<T>(ask: () => T): Promise<T> {
  return new Promise((resolve) => {
    resolve(ask());
  });
}

/** What an event tells of an entry; undefined: it has not ended. */
export function endOfEntry(entry: Entry): OrderEnd | undefined {
  const { state, orderId, acceptedAt, generation, cancelled, revision } = entry;
  if ((state !== 'sold' && state !== 'released') || revision === undefined) return undefined;
  const outcome = state === 'sold' ? 'confirmed' : cancelled ? 'cancelled' : 'failed';
  return { orderId, acceptedAt, outcome, generation, revision };
}

function fromRestored(entry: LedgerEntry): Entry {
  const { orderId = '', state, generation, fence, unresolvedCharges, cancelledByBuyer } = entry;
  const refused = entry.reason === 'sold-out' || undefined;
  const { acceptedAt, revision } = entry;
  const owed = [...unresolvedCharges];
  const pays = entry.payWithinMs !== undefined || undefined;
  const restored = { orderId, acceptedAt, state, generation, fence, owed, refused, revision, pays };
  return cancelledByBuyer ? { ...restored, cancelled: true } : restored;
}
