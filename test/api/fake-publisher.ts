import type { OrderPublisher } from '../../api/buy/buy';

/** An order log in memory whose acknowledgements the test gives, or holds back. */
export interface FakePublisher extends OrderPublisher {
  /** What was handed over, acknowledged or not. */
  readonly records: { readonly key: string; readonly value: Buffer }[];
  /** What happens to the next records: acknowledged at once, kept waiting, or refused with this error. */
  next: 'acknowledge' | 'wait' | Error;
  /** Acknowledges everything that waits. */
  readonly acknowledge: () => void;
}

export function createFakePublisher(): FakePublisher {
  const waiting: (() => void)[] = [];
  const publisher: FakePublisher = {
    records: [],
    next: 'acknowledge',
    append: (record) => {
      if (publisher.next instanceof Error) return Promise.reject(publisher.next);
      const offset = publisher.records.push(record) - 1;
      const appended = { partition: 0, offset: String(offset) };
      if (publisher.next === 'acknowledge') return Promise.resolve(appended);
      return new Promise((resolve) => {
        waiting.push(() => {
          resolve(appended);
        });
      });
    },
    acknowledge: () => {
      for (const resolve of waiting.splice(0)) resolve();
    },
  };
  return publisher;
}
