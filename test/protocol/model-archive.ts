/** The end of an order, as an event tells it. */
export interface OrderEnd extends Acceptance {
  readonly outcome: 'confirmed' | 'failed' | 'cancelled';
  readonly generation: number;
  readonly revision: number;
}

/** An acceptance of an order. */
export interface Acceptance {
  readonly orderId: string;
  readonly acceptedAt: number;
}

/** A model of the archive, which knows what it was told, and answers while it is not away. */
export interface ModelArchive {
  isAway: boolean;
  /** Takes in what an event tells of an order, and when. */
  add(order: string, end: OrderEnd, at: number): void;
  /** How an acceptance ended; undefined: it has no end that the archive knows. Throws an ArchiveAwayError. */
  endOf(orderId: string): OrderEnd | undefined;
  /** The same; where another acceptance of the order repeats this one, how that ended. */
  endOfRequest(order: string, acceptance: Acceptance): OrderEnd | undefined;
  /** The ends of all acceptances of an order, also while it is away. */
  endsOf(order: string): readonly OrderEnd[];
}

export class ArchiveAwayError extends Error {
  override readonly name = 'ArchiveAwayError';
}

export function createModelArchive(): ModelArchive {
  const ends = new Map<string, OrderEnd & { readonly order: string; readonly at: number }>();
  const endsOf = (order: string) => [...ends.values()].filter((end) => end.order === order);
  const archive: ModelArchive = {
    isAway: false,
    add: (order, end, at) => {
      const { revision = -Infinity } = ends.get(end.orderId) ?? {};
      if (revision < end.revision) ends.set(end.orderId, { ...end, order, at });
    },
    endOf: (orderId) => {
      if (archive.isAway) throw new ArchiveAwayError('the archive does not answer');
      return ends.get(orderId);
    },
    endOfRequest: (order, { orderId, acceptedAt }) => {
      const own = archive.endOf(orderId);
      if (own) return own;
      const later = endsOf(order).filter(({ at }) => at >= acceptedAt);
      return later.sort((one, other) => one.at - other.at)[0];
    },
    endsOf,
  };
  return archive;
}
