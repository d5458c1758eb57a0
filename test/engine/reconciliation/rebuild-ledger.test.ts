import type { Cancellation } from '../../../engine/orders/cancellation-record';
import type { LedgerEntry } from '../../../engine/orders/ledger';
import type { Order, OrderId, RequestId } from '../../../engine/orders/order';
import { createOrderHistory } from '../../../engine/reconciliation/order-history';
import { rebuildLedger, type RebuildDeps } from '../../../engine/reconciliation/rebuild-ledger';
import { cancelledEntry } from '../../../engine/reconciliation/restored-entry';
import { anOrder } from '../../support/purchases';

const ORDER = anOrder();
const { itemId, requestId } = ORDER;
const AT = ORDER.acceptedAt + 500;
const CANCELLATION: Cancellation = { order: ORDER, at: AT, generation: 0, unresolvedCharges: [] };

/** Rebuilds a ledger whose orders are in the log alone, and returns its entries. */
async function rebuiltFrom(logged: readonly Order[], cancellations = [CANCELLATION]) {
  const written = new Map<RequestId, LedgerEntry>();
  const history = createOrderHistory({
    runs: {
      keptMs: () => Promise.resolve(Infinity),
      runIds: () => Promise.resolve(new Map()),
      look: () => Promise.resolve(undefined),
      history: () => Promise.reject(new Error('there is no run')),
    },
    readOrders: () =>
      Promise.resolve(
        new Map(logged.map((order) => [order.requestId, { order, isFinished: false }])),
      ),
    readCancellations: () =>
      Promise.resolve(new Map(cancellations.map((one) => [one.order.requestId, one]))),
    logReachesBackTo: () => Promise.resolve(true),
  });
  const deps: RebuildDeps = {
    repair: {
      standing: () => Promise.resolve({ free: null, open: false, hasArchived: false }),
      beginRebuild: () => Promise.resolve('rebuild'),
      stageEntries: (_item, _rebuild, entries) => {
        for (const [id, entry] of entries) written.set(id, entry);
        return Promise.resolve();
      },
      sale: () => Promise.resolve(undefined),
      stageOwners: () => Promise.reject(new Error('there is no archive')),
      dropRebuild: () => Promise.reject(new Error('nothing is missing')),
      finishRebuild: () => Promise.resolve({ kind: 'open' }),
    },
    registry: { registration: () => Promise.resolve({ token: 'token', at: 0, isAgain: false }) },
    history,
    claim: () => Promise.resolve(true),
  };
  await rebuildLedger(deps, {
    itemId,
    stock: { given: 'supply', units: 5 },
    by: 'test',
    why: 'test',
  });
  return written;
}

const CANCELLED = { state: 'released', reason: 'cancelled', cancelledByBuyer: true };

describe('a rebuilt ledger', () => {
  test('has a cancelled order as cancelled, though its record waits in the log', async () => {
    const entry = (await rebuiltFrom([ORDER])).get(requestId);
    expect(entry).toMatchObject({ ...CANCELLED, finishedAt: AT, generation: 0 });
    expect(entry?.timeline.map(({ state }) => state)).toEqual(['queued', 'released']);
  });

  test('has a cancelled order as cancelled, though log and runs have forgotten it', async () => {
    expect((await rebuiltFrom([])).get(requestId)).toMatchObject(CANCELLED);
  });

  test('has an order as cancelled that was accepted twice, though the log names the first acceptance', async () => {
    const first = { ...ORDER, orderId: 'first' as OrderId };
    const second = { ...ORDER, orderId: 'second' as OrderId, acceptedAt: ORDER.acceptedAt + 100 };
    const cancellation = { ...CANCELLATION, order: second, generation: 1, unresolvedCharges: [1] };
    const entry = (await rebuiltFrom([first], [cancellation])).get(requestId);
    expect(entry).toMatchObject({ ...CANCELLED, orderId: 'second', unresolvedCharges: [1] });
  });

  test('has other orders as queued', async () => {
    const other = anOrder();
    const entries = await rebuiltFrom([ORDER, other].map((order) => ({ ...order, itemId })));
    expect(entries.get(other.requestId)).toMatchObject({ state: 'queued' });
  });
});

describe('the entry of a cancelled order', () => {
  const reserved: LedgerEntry = {
    ...cancelledEntry(CANCELLATION),
    state: 'reserved',
    generation: 1,
    fence: 7,
    unresolvedCharges: [1],
    timeline: [{ at: AT, state: 'reserved' }],
  };

  test('keeps the unresolved charges and the fence that its runs know of', () => {
    expect(cancelledEntry(CANCELLATION, reserved)).toMatchObject({
      ...CANCELLED,
      generation: 1,
      fence: 7,
      unresolvedCharges: [1],
    });
  });

  test('keeps those of the cancellation where there is no run', () => {
    const charged = { ...CANCELLATION, generation: 1, unresolvedCharges: [1] };
    expect(cancelledEntry(charged)).toMatchObject({ generation: 1, unresolvedCharges: [1] });
  });

  test('stays sold, since its money was taken', () => {
    const sold: LedgerEntry = { ...reserved, state: 'sold' };
    expect(cancelledEntry(CANCELLATION, sold)).toBe(sold);
  });

  test('is that of the same order id, whenever its record says that it was accepted', () => {
    const orderId = 'told' as OrderId;
    const cancellation = { ...CANCELLATION, order: { ...ORDER, orderId } };
    const told: LedgerEntry = { ...reserved, orderId, acceptedAt: ORDER.acceptedAt - 100 };
    expect(cancelledEntry(cancellation, told)).toMatchObject({ ...CANCELLED, orderId });
  });

  test('is not that of another request', () => {
    const other: LedgerEntry = { ...reserved, state: 'queued', fingerprint: 'another' };
    expect(cancelledEntry(CANCELLATION, other)).toBe(other);
  });

  test('is not that of a later order under the same request_id', () => {
    const later: LedgerEntry = { ...reserved, state: 'queued', acceptedAt: AT + 1 };
    expect(cancelledEntry(CANCELLATION, later)).toBe(later);
  });
});
