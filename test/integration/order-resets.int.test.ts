import type { Order } from '../../engine/orders/order';
import { eventually } from '../support/eventually';
import { isChargedInDoubt, losesItsCharge } from '../support/held-up';
import { aSignal, useSaga, workflowTasksOf, type EventId, type OrderHandle } from '../support/saga';
import type { Step } from '../support/step-hooks';
import { temporalCli } from '../support/temporal-cli';

const saga = useSaga();
const poor = new Set<string>();
beforeAll(() => {
  saga.money.declineIf((key) => poor.has(key.split(':')[0] ?? ''));
});

/** A run in some state, and what lets it go on where it is held up. */
interface Driven {
  readonly order: Order;
  readonly handle: OrderHandle;
  readonly letGo: () => void;
}

/** Ways to bring a fresh order into a state from which it is reset. */
const STATES = {
  confirmed: async () => {
    const order = await saga.aQueuedOrder();
    return closed(order);
  },
  'failed for a declined payment': async () => {
    const order = await saga.aQueuedOrder();
    poor.add(order.requestId);
    const driven = await closed(order);
    poor.delete(order.requestId);
    return driven;
  },
  'failed for an unknown payment': async () => {
    const order = await saga.aQueuedOrder();
    losesItsCharge(saga, order);
    return closed(order);
  },
  'running, with its charge taken and not told': () => heldUp('after', 'chargePayment'),
  'running, with its units given back and not told': () => heldUp('after', 'releaseStock'),
  'running, with its refund made and not told': () => heldUp('after', 'refundPayment'),
  'running, with its dead letter written and not told': () => heldUp('after', 'deadLetter'),
} satisfies Record<string, () => Promise<Driven>>;

async function closed(order: Order): Promise<Driven> {
  const handle = await startedRun(order);
  await handle.result().catch((error: unknown) => error);
  return { order, handle, letGo: () => undefined };
}

/**
 * An order that is held up in one step, which is a regular one, as a run has no task to be reset to before that; to come to
 * its compensation it loses the answers of its charges.
 */
async function heldUp(when: 'before' | 'after', step: Step): Promise<Driven> {
  const order = await saga.aQueuedOrder();
  const [reached, goOn] = [aSignal(), aSignal()];
  if (step === 'chargePayment') isChargedInDoubt(saga, order);
  else losesItsCharge(saga, order);
  saga.onStep(order, when, step, () => {
    reached.give();
    return goOn.given;
  });
  const handle = await startedRun(order);
  await reached.given;
  return { order, handle, letGo: goOn.give };
}

/** The run that a start has made, and not the one that is current when the handle is asked. */
async function startedRun(order: Order): Promise<OrderHandle> {
  await saga.start(order);
  const { runId } = await saga.handleOf(order).describe();
  return saga.handleOf(order, runId);
}

/** Ways to reset a run to one of its workflow tasks. */
const WAYS = {
  once: async ({ order, handle }: Driven, eventId: EventId) => {
    await resetOf(handle, order, eventId);
  },
  'twice, the second time from the same old run': async (
    { order, handle }: Driven,
    eventId: EventId,
  ) => {
    const again = await resetOf(handle, order, eventId);
    await again.result().catch((error: unknown) => error);
    await resetOf(handle, order, eventId);
  },
  'twice at once': async ({ order, handle }: Driven, eventId: EventId) => {
    await Promise.all([resetOf(handle, order, eventId), resetOf(handle, order, eventId)]);
  },
};

async function resetOf(handle: OrderHandle, order: Order, eventId: EventId): Promise<OrderHandle> {
  const { runId } = await handle.describe();
  return saga.reset(order, { runId, eventId });
}

async function taskOf(handle: OrderHandle, index: number): Promise<EventId> {
  const task = (await workflowTasksOf(handle))[index];
  if (task === undefined) throw new Error(`workflow task ${index} is missing`);
  return task;
}

/** Waits until no run of the order is open and its money is settled. */
function atRest(order: Order) {
  return eventually(`${order.requestId} is at rest`, async () => {
    const { status } = await saga.handleOf(order).describe();
    const entry = await saga.entryOf(order);
    const open =
      status.name === 'RUNNING' || entry?.state === 'reserved' || entry?.state === 'queued';
    return !open && entry && { entry, status: status.name };
  });
}

/** What must be true of an order for one unit of one, whatever has been done to its runs. */
async function expectWhole(order: Order): Promise<{ sold: boolean; status: string }> {
  const { entry, status } = await atRest(order);
  const sold = entry.state === 'sold' ? 1 : 0;
  const money = Object.entries(saga.money.moneyOf(order.requestId));
  const captured = money.filter(([, status]) => status === 'captured').map(([key]) => key);
  expect({ state: entry.state, captured, unresolvedCharges: entry.unresolvedCharges }).toEqual({
    state: sold ? 'sold' : 'released',
    captured: sold ? [String(entry.generation)] : [],
    unresolvedCharges: [],
  });
  expect(await saga.countsOf(order)).toEqual({
    free: 1 - sold,
    held: 0,
    queued: 0,
    reserved: 0,
    sold,
    supply: 1,
  });
  return { sold: sold === 1, status };
}

describe.each(Object.entries(STATES))('an order that is %s', (_, drive) => {
  test.each(Object.entries(WAYS))(
    'can be reset to each of its workflow tasks, %s',
    async (_way, reset) => {
      const specimen = await drive();
      const tasks = await workflowTasksOf(specimen.handle);
      specimen.letGo();
      const resets = tasks.map(async (_task, index) => {
        const driven = await drive();
        await reset(driven, await taskOf(driven.handle, index));
        await atRest(driven.order);
        // What the old run still has under way comes to its end beside, or after, the new ones.
        driven.letGo();
        const { sold, status } = await expectWhole(driven.order);
        expect(status).toBe(sold ? 'COMPLETED' : 'FAILED');
        return sold;
      });
      // From its first task an order is sold after all, as nothing is in its way any more.
      expect((await Promise.all(resets))[0]).toBe(true);
    },
    30_000,
  );
});

describe('a failed order that a later run has sold', () => {
  test('stays sold and paid once when its failed run is reset to any of its workflow tasks', async () => {
    const drive = STATES['failed for an unknown payment'];
    const specimen = await drive();
    const tasks = await workflowTasksOf(specimen.handle);
    const resets = tasks.map(async (_task, index) => {
      const { order, handle } = await drive();
      const { runId } = await handle.describe();
      expect(await (await saga.reset(order)).result()).toMatchObject({ generation: 2 });
      const again = await saga.reset(order, { runId, eventId: await taskOf(handle, index) });
      await again.result().catch((error: unknown) => error);
      return expectWhole(order);
    });
    const ends = await Promise.all(resets);
    expect(ends.map(({ sold }) => sold)).toEqual(tasks.map(() => true));
    // A reset past the release tells once more what the old run had found out: only the ledger knows better.
    expect(ends.map(({ status }) => status)).toEqual([
      ...['COMPLETED', 'COMPLETED', 'FAILED', 'FAILED', 'FAILED'],
    ]);
  });
});

describe('failed orders', () => {
  const someFailed = async () => {
    const driven = await Promise.all([1, 2, 3].map(STATES['failed for a declined payment']));
    const items = driven.map(({ order }) => `'${order.itemId}'`).join(', ');
    const query = `WorkflowType='orderWorkflow' AND ExecutionStatus='Failed' AND ItemId IN (${items})`;
    const { client } = saga;
    await eventually('all are found by the query', async () => {
      return (await client.workflow.count(query)).count === driven.length;
    });
    const endedBatches = async () => {
      const { operationInfo } = await client.workflowService.listBatchOperations({
        namespace: 'default',
      });
      return operationInfo.filter(({ closeTime }) => closeTime).length;
    };
    const resetAll = async () => {
      const before = await runIds(driven);
      const endedBefore = await endedBatches();
      await temporalCli(
        ...['workflow', 'reset', '--query', query, '--type', 'FirstWorkflowTask'],
        ...['--reason', 'cards were renewed', '--yes'],
      );
      await eventually('each has a new run', async () => {
        const now = await runIds(driven);
        return now.every((runId, index) => runId !== before[index]);
      });
      // The server starts no other batch before this one has ended in its list, which lags behind.
      await eventually('the batch has ended', async () => (await endedBatches()) > endedBefore);
    };
    return { orders: driven.map(({ order }) => order), resetAll };
  };
  const runIds = (driven: readonly Driven[]) =>
    Promise.all(driven.map(async ({ order }) => (await saga.handleOf(order).describe()).runId));

  test('are sold by a batch reset of the temporal command, and charged nothing by a second one', async () => {
    const { orders, resetAll } = await someFailed();
    await resetAll();
    const first = await Promise.all(orders.map(expectWhole));
    // The query still finds the runs that failed: this batch resets orders that have been sold since.
    await resetAll();
    const second = await Promise.all(orders.map(expectWhole));
    const sold = orders.map(() => ({ sold: true, status: 'COMPLETED' }));
    expect({ first, second }).toEqual({ first: sold, second: sold });
    for (const { requestId } of orders) {
      expect(saga.money.moneyOf(requestId)).toEqual({ '1': 'declined', '2': 'captured' });
    }
  }, 60_000);

  test('can be started again, and of several starts at once exactly one succeeds', async () => {
    const { order, handle } = await STATES['failed for a declined payment']();
    const failed = (await handle.describe()).runId;
    const starts = await Promise.allSettled(
      Array.from({ length: 5 }, () => saga.start(order, 'ALLOW_DUPLICATE_FAILED_ONLY')),
    );
    const refusals = starts.flatMap((start) =>
      start.status === 'rejected' ? [(start.reason as Error).name] : [],
    );
    expect(refusals).toEqual(Array(4).fill('WorkflowExecutionAlreadyStartedError'));
    expect(await expectWhole(order)).toEqual({ sold: true, status: 'COMPLETED' });
    expect((await saga.handleOf(order).describe()).runId).not.toBe(failed);
    await expect(saga.start(order, 'ALLOW_DUPLICATE_FAILED_ONLY')).rejects.toThrow(
      'Workflow execution already started',
    );
    expect(await expectWhole(order)).toEqual({ sold: true, status: 'COMPLETED' });
  });
});
