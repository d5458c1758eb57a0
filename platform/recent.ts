/** The last `max` values that were set, by key: beyond it the one that was set first is dropped. */
export function createRecent<Key, Value>(max: number) {
  const values = new Map<Key, Value>();
  return {
    get: (key: Key): Value | undefined => values.get(key),
    set: (key: Key, value: Value): void => {
      values.delete(key);
      values.set(key, value);
      const [oldest] = values.keys();
      if (values.size > max && oldest !== undefined) values.delete(oldest);
    },
    delete: (key: Key): boolean => values.delete(key),
  };
}
