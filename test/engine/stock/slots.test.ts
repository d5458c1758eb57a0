import calculateSlot from 'cluster-key-slot';
import { ID_PATTERN, type ItemId } from '../../../engine/orders/order';
import { freeUnitsKey, itemKeys, ordersKey, saleKey } from '../../../engine/stock/keys';

const ids = [
  ...['101', 'a', 'A-very_long~id.with:every@kind+of=sign', '0'.repeat(128), 'inventory:101'],
  ...Array.from({ length: 500 }, (_, i) => `item-${String(i * 7919)}`),
];

describe('the keys of an item', () => {
  test('share one slot of a Redis Cluster, whatever its id: every script takes these and no other', () => {
    for (const id of ids) {
      expect(id).toMatch(new RegExp(ID_PATTERN));
      const itemId = id as ItemId;
      const keys = [...itemKeys(itemId), freeUnitsKey(itemId), ordersKey(itemId), saleKey(itemId)];
      expect([id, new Set(keys.map((key) => calculateSlot(key))).size]).toEqual([id, 1]);
    }
  });

  test('of different items lie in different slots', () => {
    const slots = new Set(ids.map((id) => calculateSlot(freeUnitsKey(id as ItemId))));
    expect(slots.size).toBeGreaterThan(ids.length * 0.9);
  });

  test.each(['{', '}', '{}', 'a{b}c', 'a b', ''])(
    'would not with an id such as %p, which therefore is none',
    (id) => {
      expect(id).not.toMatch(new RegExp(ID_PATTERN));
    },
  );
});
