import { randomUUID } from 'node:crypto';
import { Redis } from 'ioredis';
import { createSales, NO_RETURNS } from '../../engine/archive/sales';
import { NO_ARCHIVE } from '../../engine/archive/ledger-of-record';
import { createOutcomePublisher } from '../../engine/kafka/outcome-publisher';
import { paymentKey, type Order, type OrderId } from '../../engine/orders/order';
import { refundWorkflowId, returnsWorkflowId, type RefundInput } from '../../engine/orders/refund';
import { decodeReturnEvent, returnEventId } from '../../engine/orders/return-event';
import { createRefundStarter } from '../../engine/payments/start-refund';
import { createAfterSaleLedger } from '../../engine/stock/after-sale';
import { redisAddr } from '../support/addresses';
import { useAfterSaleMoney } from '../support/after-sale-money';
import { eventually } from '../support/eventually';
import { anAttempt, anItem, anOrder, aPurchase } from '../support/purchases';
import { redisStockOn, type RedisStock } from '../support/redis-stock';
import { aSignal, useSaga } from '../support/saga';
import { recordAfterSale } from '../replay/paths-after-sale';

type SoldOrder = Order & { readonly orderId: OrderId };

let stock: RedisStock;
beforeAll(() => {
  stock = redisStockOn(new Redis(redisAddr(), { db: 10 }));
});
afterAll(() => stock.redis.quit());
const money = useAfterSaleMoney();
const told: string[] = [];
/** Holds up the first reading that has something to tell. */
let holdUp: (() => Promise<void>) | undefined;
const saga = useSaga({
  db: 10,
  afterSale: () => ({
    sales: createSales({
      ledger: stock.ledger,
      afterSale: createAfterSaleLedger(stock.redis),
      archive: { ...NO_ARCHIVE, ...NO_RETURNS },
    }),
    provider: money.provider,
    onOddReturn: () => undefined,
    searchedMsMax: 1_000,
    returns: createOutcomePublisher(stock.ledger, {
      append: async ({ value }) => {
        const held = holdUp;
        holdUp = undefined;
        await held?.();
        const decoded = decodeReturnEvent(value);
        if (decoded.kind === 'event') told.push(returnEventId(decoded.event));
        return { partition: 0, offset: '0' };
      },
    }),
  }),
});
const refunds = (waitMs?: number) => createRefundStarter(saga.client, saga.taskQueue, waitMs);

/** An order of two units at 10.00 that was sold. */
async function aSale({ isPaid = true } = {}): Promise<SoldOrder> {
  const attempt = anAttempt(aPurchase({ itemId: anItem(), amount: 2 }));
  await stock.setFree(attempt.itemId, 5);
  await stock.admission.claimAndHold([attempt]);
  await stock.admission.queue([attempt]);
  const order = { ...anOrder(attempt), orderId: attempt.orderId as OrderId };
  await stock.ledger.reserve(order, 1);
  await stock.ledger.confirm({ ...order, generation: 1, fence: 2, paymentId: 'ch_1' });
  if (isPaid) await money.charge(keyOf(order));
  return order;
}
const inputOf = (order: SoldOrder, fields: Partial<RefundInput> = {}): RefundInput => ({
  itemId: order.itemId,
  requestId: order.requestId,
  orderId: order.orderId,
  operationId: 'op-1',
  by: 'ann',
  why: 'a test',
  ...fields,
});
const keyOf = ({ requestId, orderId }: SoldOrder) => paymentKey(requestId, orderId, 1);
const runOf = (input: RefundInput) => saga.client.workflow.getHandle(refundWorkflowId(input));
const returnsOf = async ({ requestId, itemId }: SoldOrder) =>
  (await stock.ledger.findOrder(requestId, itemId))?.entry.returns ?? [];
const toldOf = ({ orderId }: SoldOrder) => told.filter((id) => id.startsWith(orderId));

test('a refund gives money and units back once, however often it is asked for', async () => {
  const order = await aSale();
  const input = inputOf(order, { amountMinor: 500, restock: 1 });
  const outcomes = await Promise.all([1, 2, 3].map(() => refunds().refund(input)));
  for (const outcome of outcomes) {
    expect(outcome).toMatchObject({
      kind: 'done',
      result: { refund: { amountMinor: 500, status: 'succeeded' }, restocked: 1 },
    });
  }
  expect(await money.refundsOf(keyOf(order))).toHaveLength(1);
  expect(await stock.countsOf(order.itemId)).toMatchObject({ sold: 2, free: 4, supply: 6 });
  expect(new Set(toldOf(order)).size).toBe(1);
  for (const other of [{ amountMinor: 600 }, { amountMinor: 500, restock: 2 }, {}]) {
    const reused = { ...inputOf(order), ...other };
    expect(await refunds().refund(reused)).toEqual({ kind: 'operation-reused' });
  }
  await recordAfterSale('after-sale-refunded-with-a-unit-put-back', runOf(input));
  const rest = await refunds().refund(inputOf(order, { operationId: 'op-2' }));
  expect(rest).toMatchObject({ result: { refund: { amountMinor: 1_500 } } });
});

test('one that the provider refuses fails with its code, and changes nothing', async () => {
  const order = await aSale();
  const input = inputOf(order, { amountMinor: 2_001, restock: 1 });
  const refused = { kind: 'refused', code: expect.any(String) as string };
  expect(await refunds().refund(input)).toEqual(refused);
  expect(await refunds().refund(input)).toEqual(refused);
  await recordAfterSale('after-sale-refund-refused', runOf(input));
  expect(await returnsOf(order)).toEqual([]);
  expect(toldOf(order)).toEqual([]);
  expect(await stock.countsOf(order.itemId)).toMatchObject({ free: 3, supply: 5 });
});

test('one whose workflow was terminated goes on when it is asked for again', async () => {
  const order = await aSale();
  const input = inputOf(order, { amountMinor: 500, restock: 1 });
  const [reached, goOn] = [aSignal(), aSignal()];
  holdUp = () => {
    reached.give();
    return goOn.given;
  };
  const first = refunds().refund(input);
  await reached.given;
  await runOf(input).terminate('by the test');
  goOn.give();
  await first.catch(() => undefined);
  expect(await refunds().refund(input)).toMatchObject({ kind: 'done', result: { restocked: 1 } });
  expect(await money.refundsOf(keyOf(order))).toHaveLength(1);
});

test('a payment that the provider does not have is looked for, and refused when its index must have it', async () => {
  const early = await aSale({ isPaid: false });
  const found = refunds().refund(inputOf(early));
  await money.charge(keyOf(early));
  expect(await found).toMatchObject({ kind: 'done' });
  const elsewhere = inputOf(await aSale({ isPaid: false }));
  expect(await refunds().refund(elsewhere)).toEqual({ kind: 'refused', code: 'not_charged' });
});

test('more units than were sold are refused before any money is given back', async () => {
  const order = await aSale();
  await refunds().refund(inputOf(order, { amountMinor: 500, restock: 1 }));
  const many = await refunds().refund(inputOf(order, { operationId: 'op-2', restock: 2 }));
  expect(many).toEqual({ kind: 'refused', code: 'too-many-units' });
  expect(await money.refundsOf(keyOf(order))).toHaveLength(1);
});

test('a pending one puts no units back, and is told again when it fails', async () => {
  await money.keepPending();
  const order = await aSale();
  expect(await refunds(500).refund(inputOf(order, { restock: 2 }))).toEqual({ kind: 'pending' });
  expect(await returnsOf(order)).toMatchObject([{ status: 'pending', operationId: 'op-1' }]);
  expect(await stock.countsOf(order.itemId)).toMatchObject({ free: 3, supply: 5 });
  await recordAfterSale('after-sale-refund-pending', runOf(inputOf(order)));
  await money.fail(keyOf(order));
  await Promise.all([1, 2, 3].map(() => refunds().noteReturns(inputOf(order))));
  await eventually('the failure is noted', async () => {
    const [refund] = await returnsOf(order);
    return refund?.status === 'failed';
  });
  expect([...new Set(toldOf(order))]).toHaveLength(2);
  expect(await stock.countsOf(order.itemId)).toMatchObject({ free: 3, supply: 5 });
  await runOf(inputOf(order)).terminate();
});

test('a hint about a refund in the dashboard is told, and one about an unknown order is nothing', async () => {
  const order = await aSale();
  await money.refund(keyOf(order), 300);
  await refunds().noteReturns(inputOf(order));
  await eventually('it is told', () => Promise.resolve(toldOf(order).length === 1));
  expect(await returnsOf(order)).toMatchObject([{ amountMinor: 300 }]);
  const reading = saga.client.workflow.getHandle(returnsWorkflowId(inputOf(order)));
  await reading.result();
  await recordAfterSale('after-sale-returns-read', reading);
  const unsold = anOrder(anAttempt(aPurchase({ itemId: anItem(), requestId: randomUUID() })));
  await stock.setFree(unsold.itemId, 1);
  const input = inputOf({ ...unsold, orderId: randomUUID() as OrderId });
  // The ledger has never had it, and there is no archive to ask: the reading waits for one.
  await refunds().noteReturns(input);
  expect(await stock.countsOf(unsold.itemId)).toMatchObject({ free: 1, sold: 0 });
  await saga.client.workflow.getHandle(`returns/${input.requestId}/${input.orderId}`).terminate();
});

test('hints that come during a reading are answered by one more', async () => {
  const order = await aSale();
  const [reached, goOn] = [aSignal(), aSignal()];
  holdUp = () => {
    reached.give();
    return goOn.given;
  };
  await money.refund(keyOf(order), 300);
  await refunds().noteReturns(inputOf(order));
  await reached.given;
  await money.refund(keyOf(order), 200);
  await Promise.all([1, 2].map(() => refunds().noteReturns(inputOf(order))));
  goOn.give();
  const reading = saga.client.workflow.getHandle(returnsWorkflowId(inputOf(order)));
  await reading.result();
  await recordAfterSale('after-sale-returns-read-twice', reading);
  expect(await returnsOf(order)).toMatchObject([{ amountMinor: 300 }, { amountMinor: 200 }]);
  expect(new Set(toldOf(order)).size).toBe(2);
});

test('a run that is reset gives nothing back twice', async () => {
  const order = await aSale();
  const input = inputOf(order, { amountMinor: 500, restock: 1 });
  await refunds().refund(input);
  const workflowId = refundWorkflowId(input);
  const { runId } = await saga.client.workflow.getHandle(workflowId).describe();
  const { runId: again } = await saga.client.workflowService.resetWorkflowExecution({
    namespace: 'default',
    workflowExecution: { workflowId, runId },
    reason: 'a test',
    workflowTaskFinishEventId: 4 as never,
    requestId: randomUUID(),
  });
  await saga.client.workflow.getHandle(workflowId, again).result();
  expect(await money.refundsOf(keyOf(order))).toHaveLength(1);
  expect(await stock.countsOf(order.itemId)).toMatchObject({ sold: 2, free: 4, supply: 6 });
});
