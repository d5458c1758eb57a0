import type { LedgerEntry } from '../../engine/orders/ledger';
import {
  cancelledEntry,
  queuedEntry,
  refusedEntry,
  restoredEntry,
} from '../../engine/reconciliation/restored-entry';
import type { RunHistory } from '../../engine/reconciliation/run-history';
import type { LedgerOf } from './model-ledger';
import { orderOf, type SagaModel } from './saga-model';
import {
  canServe,
  inWorld,
  type KnownToRun,
  type Move,
  type OrderWorld,
  type SagaRule,
  type Surroundings,
  type Trouble,
} from './world';

/** What time, operators and disasters do to the orders: none of it has to happen, and each only so often in a walk. */
export function createTimeMoves(
  ledgerOf: LedgerOf,
  around: Surroundings,
  {
    orders,
    saga,
    off,
  }: { orders: readonly OrderWorld[]; saga: SagaModel; off: SagaRule | undefined },
) {
  const { left, workflows, claims, lost, sick } = around;
  const may = (trouble: keyof Trouble, name: string, change: () => void): Move[] => {
    if (left[trouble] === 0) return [];
    const move = inWorld(name, () => {
      left[trouble]--;
      change();
    });
    return [{ ...move, optional: true }];
  };

  function retentionMoves(order: OrderWorld): Move[] {
    const { name, request, log } = order;
    const moves: Move[] = [];
    if (claims.get(request) === name)
      moves.push(
        ...may('retentions', `the claim of ${name} ends`, () => {
          claims.delete(request);
          around.finished.delete(request);
          order.leftClaim = undefined;
        }),
      );
    if (workflows.get(request) === name && !order.run) {
      moves.push(
        ...may('retentions', `Temporal forgets ${name}`, () => {
          workflows.delete(request);
          // No call is under way for days.
          saga.calls.splice(
            0,
            saga.calls.length,
            ...saga.calls.filter((call) => call.order !== name),
          );
          order.histories.length = 0;
          order.reservation = undefined;
          order.hasGap = true;
          order.isOld = true;
          for (const [orderId, acceptedAt] of order.acceptedAt)
            if (acceptedAt <= order.endedAt) order.oldIds.add(orderId);
        }),
      );
    }
    if (order.isOld && order.consumed > 0) {
      moves.push(
        ...may('retentions', `the log drops what ingest has read of ${name}`, () => {
          log.splice(0, order.consumed);
          order.consumed = 0;
        }),
      );
    }
    return moves;
  }

  function logMoves(order: OrderWorld): Move[] {
    const { name, log } = order;
    const moves: Move[] = [];
    if (order.consumed > 0) {
      moves.push(
        ...may('rereads', `the log of ${name} is read again`, () => {
          order.consumed = 0;
        }),
      );
    }
    if (log.length > 0) {
      moves.push(
        ...may('lostRecords', `the log loses ${name}`, () => {
          log.length = 0;
          order.consumed = 0;
          order.hasGap = true;
        }),
      );
    }
    return moves;
  }

  /** By itself the audit appends what was accepted and never started, where no run can have been forgotten. */
  async function auditMoves(order: OrderWorld): Promise<Move[]> {
    const { name, request, log } = order;
    if (left.audits === 0 || !canServe(around, order)) return [];
    const entry = (await ledgerOf(name).look()).entries[name];
    if (!entry || (entry.state !== 'queued' && entry.state !== 'reserved')) return [];
    if (workflows.has(request) || order.consumed < log.length) return [];
    const isUntouched = entry.state === 'queued' && entry.generation === 0 && !entry.cancelled;
    const wasNeverStarted = isUntouched && log.length === 0 && !order.isOld;
    if (!wasNeverStarted && off !== 'audit-appends-what-nobody-ended') return [];
    const { orderId } = entry;
    return [
      inWorld(`the audit appends ${name}`, () => {
        left.audits--;
        log.push({ orderId, revives: order.isEndedByOperator });
      }),
    ];
  }

  function operatorMoves(order: OrderWorld): Move[] {
    if (!order.run) return [];
    return may('terminations', `an operator terminates ${order.name}`, () => {
      order.run = undefined;
      order.wasTerminated = true;
      order.isEndedByOperator = true;
      order.endedAt = ++around.clock;
    });
  }

  function ledgerMoves(item: string): Move[] {
    const ofItem = orders.filter((order) => order.item === item);
    const [first] = ofItem;
    if (!first) return [];
    const ledger = ledgerOf(first.name);
    if (lost.has(item)) {
      const isIncomplete = ofItem.some(({ hasGap }) => hasGap);
      if (isIncomplete && off !== 'rebuild-needs-the-whole-history') return [];
      return [
        {
          name: `an operator rebuilds ${item}`,
          apply: async () => {
            const rebuilt = await ledger.rebuild(restore(ofItem), 1);
            if (rebuilt === 'rebuilt') lost.delete(item);
          },
          optional: true,
        },
      ];
    }
    if (sick.has(item)) {
      return [{ ...inWorld(`${item} can be read again`, () => sick.delete(item)), optional: true }];
    }
    return [
      ...may('sicknesses', `${item} cannot be read`, () => sick.add(item)),
      ...may('losses', `Redis loses ${item}`, () => {
        lost.add(item);
        // That a buyer was rejected was known to Redis alone.
        for (const order of ofItem) order.toldRejected = false;
      }).map((move) => ({
        ...move,
        apply: async () => {
          await ledger.lose();
          await move.apply();
        },
      })),
    ];
  }

  /** The entries of an item from the runs, the log and the cancellations. */
  function restore(ofItem: readonly OrderWorld[]): Map<string, LedgerEntry> {
    const entries = new Map<string, LedgerEntry>();
    for (const order of ofItem) {
      const { name, request, histories, log, cancellations } = order;
      const record = log.at(-1);
      const entryOf = workflows.has(request) ? refusedEntry : queuedEntry;
      let entry =
        restoredEntry(histories.map((history) => toRunHistory(history, order))) ??
        (record && entryOf(orderOf(order, record.orderId)));
      for (const cancellation of cancellations) entry = cancelledEntry(cancellation, entry);
      if (entry) entries.set(name, entry);
    }
    return entries;
  }

  return async (): Promise<Move[]> => {
    const moves = [...new Set(orders.map(({ item }) => item))].flatMap(ledgerMoves);
    for (const order of orders) {
      moves.push(...retentionMoves(order), ...logMoves(order), ...operatorMoves(order));
      moves.push(...(await auditMoves(order)));
    }
    for (const call of saga.calls) {
      const order = orders.find(({ name }) => name === call.order);
      if (!order || off === 'unreadable-ledger-parks' || !saga.mustWait(call, order)) continue;
      const run = saga.waitsFor(order, call);
      if (run && !run.parked && saga.isInTask(call, order)) {
        moves.push(
          inWorld(`${order.name} parks`, () => {
            saga.park(order, run);
          }),
        );
      }
    }
    return moves;
  };
}

/** A buyer may have opened the payment of a generation that no history has: nothing else is charged unrecorded here. */
function toRunHistory(history: KnownToRun, { pays }: Pick<OrderWorld, 'pays'>): RunHistory {
  return { ...history, mayHaveCharged: pays === true && !history.isTold, isOtherOrder: false };
}
