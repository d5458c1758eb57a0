import type { OrderAppender } from '../../api/buy/place-order';

/** An order log in memory whose acknowledgements the test gives, or holds back. */
export interface FakeAppender extends OrderAppender {
  /** What was handed over, acknowledged or not. */
  readonly records: { readonly key: string; readonly value: Buffer }[];
  /** What happens to the next records: acknowledged at once, kept waiting, or refused with this error. */
  next: 'acknowledge' | 'wait' | Error;
  /** Acknowledges everything that waits. */
  readonly acknowledge: () => void;
}

export function createFakeAppender(): FakeAppender {
  const waiting: (() => void)[] = [];
  const appender: FakeAppender = {
    records: [],
    next: 'acknowledge',
    append: (record) => {
      if (appender.next instanceof Error) return Promise.reject(appender.next);
      const offset = appender.records.push(record) - 1;
      const appended = { partition: 0, offset: String(offset) };
      if (appender.next === 'acknowledge') return Promise.resolve(appended);
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
  return appender;
}
