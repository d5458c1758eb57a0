import { createAttemptMoves } from './attempt-moves';
import { createCancelMoves } from './cancel-moves';
import type { ProtocolLedger } from './model-ledger';
import { createSagaModel } from './saga-model';
import {
  anOrder,
  inWorld,
  type Move,
  type OrderWorld,
  type Reservation,
  type SagaRule,
  type Step,
  type World,
} from './world';

const ORDERS = ['A', 'B'] as const;

/** Tried at once, and then again under a fence of its own, while the first try may still take effect. */
const PARKING_STEPS: ReadonlySet<Step> = new Set(['reserve', 'confirm', 'release']);

/**
 * Two orders, one unit, and all failures: gateway attempts that crash on any line, repeated records, activities that run late,
 * twice or lose their result, runs whose steps fail, buyers who cancel, and runs that are reset to their first task or to
 * just after their reservation, up to four runs of one order. A walk makes one possible move after the other until none is
 * left.
 */
export function createWorld(ledger: ProtocolLedger, off?: SagaRule): World {
  const orders = ORDERS.map((name, i) => anOrder(name, i === 0 ? FIRST : SECOND));
  const { keys, calls, effect, compensate, startRun, send, waitsFor } = createSagaModel(
    ledger,
    off,
  );
  const attemptMoves = createAttemptMoves(ledger, off);
  const cancelMoves = createCancelMoves(ledger, compensate);

  function runMoves(order: OrderWorld): Move[] {
    const { run } = order;
    if (!run) return [];
    const waiting = calls.filter(
      (call) => call.order === order.name && waitsFor(order, call),
    ).length;
    const moves: Move[] = [];
    if (waiting === 0 || (run.retries < order.retriesMax && waiting < 2)) {
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
    if (
      waiting > 0 &&
      (run.step === 'reserve' || run.step === 'charge' || run.step === 'confirm')
    ) {
      moves.push(
        inWorld(`${order.name}.${String(run.number)} gives up on ${run.step}`, () => {
          compensate(run);
        }),
      );
    }
    if (waiting > 0 && PARKING_STEPS.has(run.step) && run.retries < order.retriesMax) {
      moves.push(
        inWorld(`${order.name}.${String(run.number)} parks in ${run.step}`, () => {
          run.retries++;
          run.asked = '';
          run.fence = 0;
        }),
      );
    }
    return moves;
  }

  function resetMoves(order: OrderWorld): Move[] {
    if (order.runs === 0 || order.runs >= order.runsMax) return [];
    const reset = (name: string, from?: Reservation): Move => ({
      ...inWorld(name, () => {
        startRun(order, from);
      }),
      optional: true,
    });
    const moves = [reset(`${order.name} is reset`)];
    if (order.reservation) moves.push(reset(`${order.name} is reset late`, order.reservation));
    return moves;
  }

  function callMoves(): Move[] {
    return calls.flatMap((call, i): Move[] => {
      const order = orders.find(({ name }) => name === call.order);
      if (!order) return [];
      const title = `${call.order}.${String(call.runNumber)} ${call.step} g${String(call.generation)}`;
      const moves: Move[] = [
        {
          name: `${title} takes effect`,
          apply: async () => {
            calls.splice(i, 1);
            const then = await effect(call);
            const run = waitsFor(order, call);
            if (run) then(run, order);
          },
        },
      ];
      const run = order.run;
      if (run?.id === call.run && run.retries < order.retriesMax) {
        moves.push({
          name: `${title} takes effect, its answer is lost`,
          apply: async () => {
            run.retries++;
            calls.splice(i, 1);
            await effect(call);
          },
        });
      }
      return moves;
    });
  }

  return {
    async moves() {
      const { entries } = await ledger.look();
      const moves = callMoves();
      for (const order of orders) {
        if (entries[order.name]?.state === 'held' && entries[order.name]?.leased) {
          moves.push({
            name: `the lease of ${order.name} ends`,
            apply: () => ledger.endLease(order.name),
            optional: true,
          });
        }
        moves.push(...attemptMoves(order), ...runMoves(order), ...resetMoves(order));
        moves.push(...cancelMoves(order));
        if (order.consumed < order.appended) {
          moves.push(
            inWorld(`ingest reads ${order.name}`, () => {
              order.consumed++;
              if (order.runs === 0) startRun(order);
            }),
          );
        }
      }
      return moves;
    },

    async violation() {
      const { free, entries } = await ledger.look();
      const taken = Object.values(entries).filter(({ state }) => state !== 'released').length;
      if (free + taken !== 1)
        return `free ${String(free)} + taken ${String(taken)} is not the supply of 1`;
      const forgotten = orders.find(({ name, accepted }) => accepted && !entries[name]);
      if (forgotten) return `${forgotten.name} was answered 202 and has no entry`;
      const revived = orders.find(
        ({ name, toldCancelled }) => toldCancelled && entries[name]?.state !== 'released',
      );
      const undead = orders.find(
        ({ name, toldRejected }) => toldRejected && LIVE.has(entries[name]?.state ?? 'released'),
      );
      if (undead) return `${undead.name} is alive, though its buyer was told that there is no unit`;
      return (
        revived && `${revived.name} is not released, though its buyer was told it is cancelled`
      );
    },

    async violationAtEnd() {
      const { entries } = await ledger.look();
      for (const { name, accepted, outcome } of orders) {
        const state = entries[name]?.state;
        const captured = [...keys].filter(
          ([key, status]) => key.startsWith(`${name}:`) && status === 'captured',
        );
        if (accepted && !outcome) return `${name} was accepted and has no outcome`;
        if ((state === 'sold') !== (outcome === 'confirmed'))
          return `${name} is ${String(state)} but ${String(outcome)}`;
        if (captured.length !== (state === 'sold' ? 1 : 0)) {
          return `${name} is ${String(state)} with ${String(captured.length)} charges`;
        }
        if (entries[name]?.cancelled && state === 'released' && outcome !== 'cancelled')
          return `${name} was cancelled by its buyer but ${String(outcome)}`;
        if (state === 'queued' || state === 'reserved') return `${name} was left ${state}`;
      }
      return undefined;
    },
  };
}
const LIVE = new Set<string>(['queued', 'reserved', 'sold']);

/** Everything happens to the first order; the second one competes for the same unit. */
const FIRST = { attempts: 3, runsMax: 4, retriesMax: 2, cancelsMax: 2 };
const SECOND = { attempts: 1, runsMax: 2, retriesMax: 1, cancelsMax: 1 };
