import { createAttemptMoves } from './attempt-moves';
import { createCancelMoves } from './cancel-moves';
import { createCheckoutMoves } from './checkout-moves';
import { createLeaveMoves } from './leave-moves';
import { ArchiveAwayError, type ModelArchive } from './model-archive';
import type { Entry, LedgerLook, ProtocolLedger } from './model-ledger';
import { createSagaModel } from './saga-model';
import { AN_AFTERNOON, type Scenario } from './scenarios';
import { createTimeMoves } from './time-moves';
import {
  anOrder,
  canServe,
  inWorld,
  leftEnd,
  type Move,
  type OrderWorld,
  type Reservation,
  type SagaRule,
  type Step,
  type Call,
  type Surroundings,
  type World,
} from './world';

/**
 * Two orders, one unit of each item, and all failures: gateway attempts that crash on any line, repeated records, activities
 * that run late, twice or lose their result, runs whose steps fail, buyers who cancel or pay themselves, and runs that are reset to their first
 * task or to just after their reservation, up to four runs of one order; and the troubles of the scenario. A walk makes one
 * possible move after the other until none is left.
 */
export function createWorld(
  ledgerOfItem: (item: string) => ProtocolLedger,
  {
    archive,
    off,
    scenario = AN_AFTERNOON,
  }: {
    /** The one that the ledgers ask. */
    readonly archive: ModelArchive;
    readonly off?: SagaRule | undefined;
    readonly scenario?: Scenario | undefined;
  },
): World {
  const orders = scenario.orders.map((plan) => anOrder(plan));
  const items = [...new Set(orders.map(({ item }) => item))];
  const ledgers = new Map(items.map((item) => [item, ledgerOfItem(item)]));
  const itemOf = new Map(orders.map(({ name, item }) => [name, item]));
  const ledgerOf = (name: string): ProtocolLedger => {
    const ledger = ledgers.get(itemOf.get(name) ?? '');
    if (!ledger) throw new Error(`no ledger has ${name}`);
    return ledger;
  };
  const around: Surroundings = {
    claims: new Map(),
    finished: new Set(),
    ordersLeave: scenario.trouble.leaves > 0,
    archive,
    clock: 0,
    workflows: new Map(),
    lost: new Set(),
    sick: new Set(),
    left: { ...scenario.trouble },
  };
  const saga = createSagaModel(ledgerOf, around, off);
  const { payments, calls, effect, compensate, startRun, startFromLog, send, waitsFor } = saga;
  const attemptMoves = createAttemptMoves(ledgerOf, around, off);
  const cancelMoves = createCancelMoves(ledgerOf, around, { saga, off });
  const checkoutMoves = createCheckoutMoves(ledgerOf, around, { saga, off });
  const leaveMoves = createLeaveMoves(ledgerOf, around, off);
  const timeMoves = createTimeMoves(ledgerOf, around, { orders, saga, off });
  const orderOfCall = (name: string) => orders.find((order) => order.name === name);

  /** Whether the runs of other orders leave a slot for a step in a workflow task. */
  function hasSlot(order: OrderWorld): boolean {
    const taken = calls.filter((call) => {
      const other = orderOfCall(call.order);
      return other && other !== order && saga.isInTask(call, other);
    });
    return taken.length < scenario.slots;
  }

  function runMoves(order: OrderWorld): Move[] {
    const { run } = order;
    if (!run || run.step === 'wait' || run.step === 'undecided') return [];
    const isServed = canServe(around, order);
    const waiting = calls.filter(
      (call) => call.order === order.name && waitsFor(order, call),
    ).length;
    const moves: Move[] = [];
    const isInTask = (run.step === 'reserve' || run.step === 'confirm') && !run.parked;
    const canAsk = run.parked ? isServed : !isInTask || hasSlot(order);
    if (canAsk && (waiting === 0 || (run.retries < order.retriesMax && waiting < 2))) {
      for (const charged of run.step === 'charge'
        ? (['captured', 'declined'] as const)
        : (['captured'] as const)) {
        moves.push(
          inWorld(`${order.name}.${String(run.number)} asks to ${run.step} (${charged})`, () => {
            if (waiting > 0) run.retries++;
            send(order, run, charged);
          }),
        );
      }
    }
    if (waiting > 0 && ASKED_ANEW.has(run.step) && run.retries < order.retriesMax) {
      moves.push(
        inWorld(`${order.name}.${String(run.number)} asks anew to ${run.step}`, () => {
          run.retries++;
          run.asked = '';
          run.fence = 0;
        }),
      );
    }
    const mayGiveUp = run.step === 'charge' || run.step === 'confirm' || run.step === 'reserve';
    if (waiting > 0 && mayGiveUp && isServed) {
      moves.push(
        inWorld(`${order.name}.${String(run.number)} gives up on ${run.step}`, () => {
          compensate(run);
        }),
      );
    }
    return moves;
  }

  /** A reset of a run that Temporal has, or a replay of an order of which it has none. */
  function resetMoves(order: OrderWorld): Move[] {
    if (order.runs === 0 || order.runs >= order.runsMax) return [];
    const { run, reservation } = order;
    const owner = around.workflows.get(order.request);
    const hasLetter = order.hasFailed || order.left.some(({ outcome }) => outcome === 'failed');
    if (owner !== order.name && (owner !== undefined || !hasLetter)) return [];
    const reset = (name: string, orderId: string, from?: Reservation): Move => ({
      ...inWorld(name, () => {
        startRun(order, 'operator', { orderId, ...(from && { from }) });
      }),
      optional: true,
    });
    // The reset of an earlier acceptance's run ends the run of a later one: what an operator ends, an operator starts again.
    const isOfRun = (recordId: string) =>
      !run ||
      run.history.recordId === recordId ||
      !order.left.some(({ orderId }) => orderId === recordId);
    const moves = recordsOf(order)
      .filter(isOfRun)
      .map((orderId) => reset(`${order.name} is reset from the record of ${orderId}`, orderId));
    if (reservation && isOfRun(reservation.history.recordId))
      moves.push(reset(`${order.name} is reset late`, reservation.orderId, reservation));
    return moves;
  }

  /** Undefined while the archive is away or the call has more to do: the step goes on. */
  async function answered(call: Call, order: OrderWorld) {
    try {
      return await effect(call, order);
    } catch (error) {
      if (error instanceof ArchiveAwayError) return undefined;
      throw error;
    }
  }

  function callMoves(): Move[] {
    return calls.flatMap((call, i): Move[] => {
      const order = orderOfCall(call.order);
      if (!order || saga.mustWait(call, order)) return [];
      const title = `${call.order}.${String(call.runNumber)} ${call.step} g${String(call.generation)}`;
      const moves: Move[] = [
        {
          name: `${title} takes effect`,
          apply: async () => {
            const then = await answered(call, order);
            if (!then) return;
            calls.splice(i, 1);
            const run = waitsFor(order, call);
            if (run) then(run);
          },
        },
      ];
      const run = order.run;
      if (run?.id === call.run && run.retries < order.retriesMax) {
        moves.push({
          name: `${title} takes effect, its answer is lost`,
          apply: async () => {
            if (!(await answered(call, order))) return;
            run.retries++;
            calls.splice(i, 1);
          },
        });
      }
      return moves;
    });
  }

  function ingestMoves(order: OrderWorld): Move[] {
    const record = order.log[order.consumed];
    // Ingest takes the record of a later order for a repetition then: see the limits in docs/guarantees.md.
    if (isOfEarlierOrder(order)) return [];
    const owner = around.workflows.get(order.request) ?? order.name;
    // Another order has the id: the units of this one go back, which needs its ledger.
    if (!record || (owner !== order.name && !canServe(around, order))) return [];
    return [
      {
        name: `ingest reads ${order.name}`,
        apply: async () => {
          order.consumed++;
          await startFromLog(order, record);
        },
      },
    ];
  }

  return {
    async moves() {
      const first = orders.find(
        ({ beginsAccepted, attempts }) => beginsAccepted && attempts[0] === 'new',
      );
      if (first) return [attemptMoves.accept(first)];
      const moves = callMoves();
      for (const order of orders) {
        const ledger = ledgerOf(order.name);
        const entry = (await ledger.look()).entries[order.name];
        if (entry?.state === 'held' && entry.leased) {
          moves.push({
            name: `the lease of ${order.name} ends`,
            apply: () => ledger.endLease(order.name),
            optional: true,
          });
        }
        moves.push(...attemptMoves.of(order), ...runMoves(order), ...resetMoves(order));
        moves.push(...cancelMoves(order), ...ingestMoves(order), ...(await checkoutMoves(order)));
      }
      moves.push(...(await timeMoves()), ...(await leaveMoves(orders)));
      return moves;
    },

    async violation() {
      if (around.broken !== undefined) return around.broken;
      for (const order of orders) {
        const violation = await violationOfLeft(order);
        if (violation !== undefined) return violation;
      }
      for (const [item, ledger] of ledgers) {
        if (around.lost.has(item)) continue;
        const look = await ledger.look();
        const { free, entries, archived } = look;
        const taken =
          archived + Object.values(entries).filter(({ state }) => state !== 'released').length;
        if (free + taken !== 1)
          return `${item}: free ${String(free)} + taken ${String(taken)} is not the supply of 1`;
        for (const order of orders) {
          const { name, accepted, toldCancelled, toldRejected, hasLeft } = order;
          if (itemOf.get(name) !== item) continue;
          if (hasLeft && LIVE.has(entries[name]?.state ?? 'released'))
            return `${name} has left the ledger, and is ${String(entries[name]?.state)} again`;
          const state = stateOf(order, look);
          if (accepted && !state) return `${name} was answered 202 and has no entry`;
          if (toldRejected && LIVE.has(state ?? 'released'))
            return `${name} is alive, though its buyer was told that there is no unit`;
          if (toldCancelled && state !== 'released')
            return `${name} is not released, though its buyer was told it is cancelled`;
        }
      }
      return undefined;
    },

    async violationAtEnd() {
      for (const item of items) {
        const paid = orders.filter((order) => order.item === item && !order.wasTerminated);
        const captured = paid.flatMap(({ name }) => capturedBy(name));
        if (captured.length > 1) return `${item}: ${String(captured.length)} charges for one unit`;
      }
      for (const order of orders) {
        const { name, toldCancelled, wasTerminated, outcome } = order;
        if (toldCancelled && !wasTerminated && capturedBy(name).length > 0)
          return `${name} was charged, though its buyer was told it is cancelled`;
        // A run that was terminated has left its order as it was; the ledger of a sick item may still be mended.
        if ((order.isEndedByOperator && !outcome) || !canServe(around, order)) continue;
        const violation = await violationOfOrder(order);
        if (violation !== undefined) return violation;
      }
      return undefined;
    },
  };

  /** Everything was settled before an order left, and nothing can be taken or refunded afterwards. */
  async function violationOfLeft({ name, left }: OrderWorld): Promise<string | undefined> {
    for (const { orderId, outcome, generation } of left) {
      const charges = capturedBy(name).filter((payment) => payment.orderId === orderId).length;
      const isSold = outcome === 'confirmed';
      if (charges !== (isSold ? 1 : 0))
        return `${orderId} has left as ${outcome} with ${String(charges)} charges`;
      if (!isSold || archive.isAway) continue;
      if (await ledgerOf(name).isRefundable(name, { orderId, generation }))
        return `${orderId} has left as ${outcome}, and its charge may be refunded`;
    }
    return undefined;
  }

  async function violationOfOrder(order: OrderWorld): Promise<string | undefined> {
    const { name, accepted, outcome, letters, wasTerminated } = order;
    const look = await ledgerOf(name).look();
    const entry = look.entries[name];
    const state = stateOf(order, look);
    const earlier = order.left.slice(0, order.hasLeft ? -1 : undefined);
    const captured = capturedBy(name).filter(
      ({ orderId }) => !earlier.some((left) => left.orderId === orderId),
    ).length;
    // It was cancelled before it had a run, and the log has lost its record.
    if (entry?.cancelled && state === 'released' && !outcome && order.log.length === 0)
      return undefined;
    if (accepted && !outcome) return `${name} was accepted and has no outcome`;
    if ((state === 'sold') !== (outcome === 'confirmed'))
      return `${name} is ${String(state)} but ${String(outcome)}`;
    if (captured !== (state === 'sold' ? 1 : 0))
      return `${name} is ${String(state)} with ${String(captured)} charges`;
    if (entry?.cancelled && state === 'released' && outcome !== 'cancelled')
      return `${name} was cancelled by its buyer but ${String(outcome)}`;
    if (state === 'queued' || state === 'reserved') return `${name} was left ${state}`;
    if (outcome === 'failed' && letters === 0 && !wasTerminated)
      return `${name} has failed without a dead letter`;
    // A rebuild may not know of a generation whose page was opened: what is paid there is given back after its hint.
    const isComplete = around.left.losses === scenario.trouble.losses;
    if (isComplete && outcome && paymentsOf(name).some(({ status }) => status === 'open'))
      return `${name} is ${outcome}, and can still be paid`;
    return undefined;
  }

  function paymentsOf(name: string) {
    return [...payments.values()].filter(({ by }) => by === name);
  }

  function capturedBy(name: string) {
    return paymentsOf(name).filter(({ status }) => status === 'captured');
  }
}

/** Whether the open run is one of an order that has left, while its request has become another order. */
function isOfEarlierOrder({ run, left, hasLeft, acceptedAt }: OrderWorld): boolean {
  const last = left.at(-1);
  if (!run || !last || hasLeft) return false;
  return (acceptedAt.get(run.history.recordId) ?? 0) <= last.acceptedAt;
}

/** The order ids with which an operator may start an order: of the runs that Temporal has, or else of its dead letters. */
function recordsOf({ histories, acceptedAt, left }: OrderWorld): string[] {
  const ofRuns = histories.map(({ recordId }) => recordId);
  if (ofRuns.length > 0) return [...new Set(ofRuns)];
  return [...new Set([...[...acceptedAt.keys()].slice(0, 1), ...left.map((end) => end.orderId)])];
}

/** The state of the newest acceptance of an order. */
function stateOf(order: OrderWorld, { entries }: LedgerLook): Entry['state'] | undefined {
  const left = leftEnd(order);
  if (!left) return entries[order.name]?.state;
  return left.outcome === 'confirmed' ? 'sold' : 'released';
}

/**
 * Asked for again under a fence of its own, by a task after a lost one or because the step parks, while the first try may
 * still take effect.
 */
const ASKED_ANEW: ReadonlySet<Step> = new Set(['reserve', 'confirm', 'release']);

const LIVE = new Set<string>(['queued', 'reserved', 'sold']);
