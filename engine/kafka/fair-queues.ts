/** What waits for its turn. */
export interface Waiting {
  /** Queues are served in turn. */
  readonly queue: string;
  /** Of two with the same key the second waits until the first is done. Undefined: waits for no other. */
  readonly key: string | undefined;
}

/** Queues that are served in turn, each in the order of arrival, so that a long one does not delay a short one. */
export function createFairQueues<T extends Waiting>() {
  /** In the order of their turns. No queue here is empty. */
  const queues = new Map<string, Fifo<T>>();
  /** For each key that is not done: those with the same key that came after it. */
  const followers = new Map<string, T[]>();

  function queueOf(waiting: T): Fifo<T> {
    let queue = queues.get(waiting.queue);
    if (!queue) queues.set(waiting.queue, (queue = createFifo()));
    return queue;
  }

  return {
    /** Lets one wait behind all of its queue, and of its key. */
    add(waiting: T): void {
      const { key } = waiting;
      const before = key === undefined ? undefined : followers.get(key);
      if (before) {
        before.push(waiting);
        return;
      }
      if (key !== undefined) followers.set(key, []);
      queueOf(waiting).push(waiting);
    },

    /** Lets one that was taken, and is not done, wait again in front of its queue. */
    putBack(waiting: T): void {
      queueOf(waiting).unshift(waiting);
    },

    /** Takes the next whose turn it is. `mayGo` is asked for the first of each queue; a queue may wait for others. */
    take(mayGo: (first: T) => boolean): T | undefined {
      for (const [name, queue] of queues) {
        const first = queue.first();
        if (first === undefined || !mayGo(first)) continue;
        queue.shift();
        // The next turn of this queue is after that of all others.
        queues.delete(name);
        if (queue.first() !== undefined) queues.set(name, queue);
        return first;
      }
      return undefined;
    },

    /** Ends what `add` began: the next with the same key may go. */
    done({ key }: T): void {
      if (key === undefined) return;
      const next = followers.get(key)?.shift();
      if (next) queueOf(next).push(next);
      else followers.delete(key);
    },

    /** Whether any waits for its turn. */
    get isEmpty(): boolean {
      return queues.size === 0;
    },
  };
}

type Fifo<T> = ReturnType<typeof createFifo<T>>;

/** An array's own `shift` moves all elements of a long one. */
function createFifo<T>() {
  let items: T[] = [];
  let start = 0;
  return {
    first: (): T | undefined => items[start],
    push: (item: T): void => {
      items.push(item);
    },
    unshift: (item: T): void => {
      if (start > 0) items[--start] = item;
      else items.unshift(item);
    },
    shift: (): void => {
      start++;
      // Each element is moved once at most for each that has left.
      if (start * 2 <= items.length) return;
      items = items.slice(start);
      start = 0;
    },
  };
}
