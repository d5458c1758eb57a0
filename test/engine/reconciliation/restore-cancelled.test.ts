import type { LedgerEntry } from '../../../engine/orders/ledger';
import type { OrderId, RequestId } from '../../../engine/orders/order';
import { restoreCancelled } from '../../../engine/reconciliation/restore-cancelled';
import { queuedEntry } from '../../../engine/reconciliation/restored-entry';
import { anOrder, aPurchase } from '../../support/purchases';

const ITEM = anOrder().itemId;
const orders = Array.from({ length: 1_200 }, (_, i) =>
  anOrder(aPurchase({ requestId: `req-${String(i)}` })),
);
const cancellations = new Map(
  orders.map((order) => [
    order.requestId,
    { order, at: order.acceptedAt + 1, generation: 0, unresolvedCharges: [] },
  ]),
);

/** Restores into a lost ledger that still has these entries. */
async function restoredInto(stored: ReadonlyMap<RequestId, LedgerEntry>) {
  const written = new Map<RequestId, LedgerEntry>();
  const claimed = new Set<RequestId>();
  let largest = 0;
  await restoreCancelled(
    {
      repair: {
        entry: (_, requestId) => Promise.resolve(stored.get(requestId)),
        restoreEntries: (_, entries) => {
          largest = Math.max(largest, entries.size);
          for (const [requestId, entry] of entries) written.set(requestId, entry);
          return Promise.resolve();
        },
      },
      readCancellations: () => Promise.resolve(cancellations),
      claim: ({ requestId }) => Promise.resolve(claimed.add(requestId).has(requestId)),
    },
    ITEM,
  );
  return { written, claimed, largest };
}

const CANCELLED = { state: 'released', reason: 'cancelled', cancelledByBuyer: true };

test('every cancelled order is written and claimed, in chunks, before the ledger is opened', async () => {
  const { written, claimed, largest } = await restoredInto(new Map());
  expect(written.size).toBe(orders.length);
  for (const entry of written.values()) expect(entry).toMatchObject(CANCELLED);
  expect(claimed.size).toBe(orders.length);
  expect(largest).toBeLessThanOrEqual(500);
});

test('an order that the old copy still has as queued is cancelled, and a sold one stays', async () => {
  const stored = new Map(
    orders.slice(0, 2).map((order, i) => {
      const state = i === 0 ? ('queued' as const) : ('sold' as const);
      return [order.requestId, { ...queuedEntry(order), state }];
    }),
  );
  const { written } = await restoredInto(stored);
  expect(written.get('req-0' as RequestId)).toMatchObject(CANCELLED);
  expect(written.get('req-1' as RequestId)).toMatchObject({ state: 'sold' });
});

test('an order that the old copy has under the id of an earlier acceptance is cancelled', async () => {
  const stored = new Map(
    orders.slice(0, 1).map((order) => {
      const earlier = { ...order, orderId: 'earlier' as OrderId, acceptedAt: order.acceptedAt - 1 };
      return [order.requestId, { ...queuedEntry(earlier), state: 'held' as const }];
    }),
  );
  const { written } = await restoredInto(stored);
  expect(written.get('req-0' as RequestId)).toMatchObject(CANCELLED);
});
