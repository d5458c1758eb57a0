import { NO_REPLY, type Reply } from './pipelines';

/** Requests that one call serves; `index` is each one's place in the answer. */
export interface Group<K, T> {
  readonly key: K;
  readonly members: { readonly order: T; readonly index: number }[];
}

/** In the order in which the keys come first, and within a group in that of the requests. */
export function groupBy<K, T>(orders: readonly T[], keyOf: (order: T) => K): Group<K, T>[] {
  const groups = new Map<K, Group<K, T>>();
  orders.forEach((order, index) => {
    const key = keyOf(order);
    let group = groups.get(key);
    if (!group) groups.set(key, (group = { key, members: [] }));
    group.members.push({ order, index });
  });
  return [...groups.values()];
}

/** The answers of each group's one call, as `read` finds them in its reply, in the order of the requests. */
export function handOut<A>(
  groups: readonly Group<unknown, unknown>[],
  replies: readonly Reply[],
  read: (reply: unknown, group: Group<unknown, unknown>) => readonly (A | Error)[],
): (A | Error)[] {
  const answers: (A | Error)[] = [];
  groups.forEach((group, at) => {
    const [error, reply] = replies[at] ?? NO_REPLY;
    const found = error ?? read(reply, group);
    group.members.forEach(({ index }, i) => {
      const answer = found instanceof Error ? found : found[i];
      answers[index] = answer === undefined ? NO_ANSWER : answer;
    });
  });
  return answers;
}

export const NO_ANSWER = new Error('The script gave no answer for this attempt');
