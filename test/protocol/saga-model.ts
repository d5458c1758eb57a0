import type { ItemId, Order, OrderId, RequestId, UserId } from '../../engine/orders/order';
import type { Generation, LedgerOf, Reserved } from './model-ledger';
import {
  canServe,
  type Call,
  type Charged,
  type End,
  type KnownToRun,
  type OrderRecord,
  type Outcome,
  type OrderWorld,
  type Reservation,
  type Run,
  type SagaRule,
  type StartedBy,
  type Step,
  type Surroundings,
} from './world';

/** A payment key at the provider, and the order that was charged first under it. */
export interface Payment {
  /** `open`: its buyer can pay. `undecided`: the bank has not said yet whether it is paid. */
  status: 'captured' | 'declined' | 'refunded' | 'blocked' | 'open' | 'undecided';
  readonly by: string;
  readonly orderId: string;
  readonly generation: number;
  readonly price: number;
}

/** A model of the workflow and the payment provider: the calls of a run, their effects, and what the run does with the results. */
export function createSagaModel(ledgerOf: LedgerOf, around: Surroundings, off?: SagaRule) {
  const payments = new Map<string, Payment>();
  const calls: Call[] = [];

  const keyOf = (
    call: Pick<Call, 'orderId' | 'generation' | 'runNumber'>,
    { request, isOlderThanOrderIds }: OrderWorld,
  ) => {
    if (off === 'payment-key-per-generation-not-run') {
      return `${request}:run-${String(call.runNumber)}`;
    }
    const hasOrderId = !isOlderThanOrderIds && off !== 'payment-key-has-order-id';
    const order = hasOrderId ? `${request}:${call.orderId}` : request;
    return `${order}:${String(call.generation)}`;
  };

  const payer = ({ orderId, generation }: Generation, { name, price }: OrderWorld) => {
    return { by: name, orderId, generation, price };
  };

  /** `fault`: there is a charge of another amount, which is not this order's. */
  function charge(call: Call, order: OrderWorld): Charged | 'fault' {
    const key = keyOf(call, order);
    const known = payments.get(key);
    if (known && known.price !== order.price && off !== 'found-charge-is-compared') return 'fault';
    const status = known?.status ?? call.charged;
    if (!known) payments.set(key, { status, ...payer(call, order) });
    if (!known && status === 'captured' && call.startedBy === 'log') {
      if (order.hasFailed) around.broken = `${order.name} had failed and was charged from the log`;
      if (order.isRevived)
        around.broken = `the audit has charged ${order.name}, which an operator had ended`;
    }
    return status === 'captured' ? 'captured' : 'declined';
  }

  async function refund(
    call: Pick<Call, 'order' | 'orderId' | 'generation' | 'runNumber'>,
    order: OrderWorld,
  ): Promise<'kept' | 'resolved'> {
    const ledger = ledgerOf(call.order);
    if (off !== 'release-before-refund' && !(await ledger.isRefundable(call.order, call)))
      return 'kept';
    const key = keyOf(call, order);
    const known = payments.get(key);
    if (!known) {
      if (off !== 'refund-blocks-unseen-key')
        payments.set(key, { status: 'blocked', ...payer(call, order) });
    } else if (known.status === 'captured' && known.price === order.price) {
      known.status = 'refunded';
    } else if (known.status === 'open') {
      known.status = 'blocked';
    }
    await ledger.resolveCharge(call.order, call);
    return 'resolved';
  }

  /** Opens the page of a payment, unless its key is known. */
  function openPage(payment: Generation, order: OrderWorld): Payment {
    const key = keyOf({ ...payment, runNumber: 0 }, order);
    const known = payments.get(key) ?? { status: 'open', ...payer(payment, order) };
    payments.set(key, known);
    return known;
  }

  /** What the run does with a payment that its buyer makes, once the provider has said how it stands. */
  function afterPayment(status: Payment['status'] | undefined) {
    return (run: Run): void => {
      if (status === 'captured' && !(run.endedBy && off === 'money-found-at-the-end-confirms')) {
        run.step = 'confirm';
      } else if (status === undefined || status === 'open' || status === 'undecided') {
        run.step = run.endedBy ? 'undecided' : 'wait';
      } else {
        isDeclined(run);
      }
    };
  }

  /** Its units go back, and nothing is left to refund. */
  function isDeclined(run: Run): void {
    run.declined = run.generation;
    run.step = 'release';
    run.compensating = true;
  }

  /** The run waits for its buyer no more. */
  function endPayment(run: Run, why: NonNullable<Run['endedBy']>): void {
    run.endedBy = why;
    if (off === 'payment-ends-before-units-go') isDeclined(run);
    else run.step = 'end';
  }

  const acceptanceOf = (call: Call, { acceptedAt }: OrderWorld) => {
    return { ...call, acceptedAt: acceptedAt.get(call.orderId) ?? 0 };
  };

  /**
   * A release looks for a reservation whose payment its run has not ended, and ends it. While a bank thinks it looks again.
   */
  async function endUntold(call: Call, order: OrderWorld): Promise<void> {
    const entry = (await ledgerOf(call.order).look()).entries[call.order];
    if (entry?.state !== 'reserved' || entry.fence > call.fence) {
      call.untold = 0;
      return;
    }
    const { orderId, generation } = entry;
    const untold = { orderId, generation };
    if (orderId === call.orderId && generation === call.declined) {
      call.untold = 0;
      return;
    }
    const key = keyOf({ ...call, ...untold }, order);
    const payment = payments.get(key) ?? { status: 'open', ...payer(untold, order) };
    const isLeft =
      off === 'untold-payment-ends-before-units-go' ||
      (off === 'every-release-looks' && call.declined > 0);
    if (!isLeft) {
      if (payment.status === 'undecided') return;
      if (payment.status === 'open') payment.status = 'blocked';
      payments.set(key, payment);
      if (payment.status !== 'captured') call.declined = generation;
    }
    call.untold = untold;
  }

  /** Lets one call take effect; returns what the run does with the result. Undefined: the call has more to do. */
  async function effect(call: Call, order: OrderWorld): Promise<((run: Run) => void) | undefined> {
    const ledger = ledgerOf(call.order);
    switch (call.step) {
      case 'reserve': {
        const run = `${call.order}.${String(call.run)}`;
        const step = {
          ...acceptanceOf(call, order),
          isFirst: call.startedBy === 'log',
          isOld: order.oldIds.has(call.orderId),
          run,
          pays: order.pays === true,
        };
        const before = (await ledger.look()).entries[call.order];
        const wasReserved = before?.state === 'reserved' && { ...before };
        const answer = await ledger.reserve(call.order, step);
        const after = (await ledger.look()).entries[call.order];
        if (order.pays && wasReserved && after?.state === 'released') {
          const { status } = payments.get(keyOf({ ...call, ...wasReserved }, order)) ?? {};
          if (status === 'open' || status === 'undecided')
            around.broken = `a reserve frees the units of ${order.name} while its payment is ${status}`;
        }
        return afterReserve(answer, call, order);
      }
      case 'charge': {
        const charged = charge(call, order);
        return (run) => {
          run.step = charged === 'captured' ? 'confirm' : compensation();
          run.compensating = charged !== 'captured';
          if (run.step === 'resolve') run.owed = [run.generation];
        };
      }
      case 'confirm': {
        const answer = await ledger.confirm(call.order, call);
        return (run) => {
          if (answer === 'lost') {
            compensate(run);
            return;
          }
          knows(run, { state: 'sold', generation: call.generation, paymentId: 'p' }, call.fence);
          end(order, run, 'confirmed');
        };
      }
      case 'find':
        return afterPayment(payments.get(keyOf(call, order))?.status);
      case 'end': {
        const key = keyOf(call, order);
        const known = payments.get(key);
        if (known?.status === 'open') known.status = 'blocked';
        if (!known && off === 'ended-payment-is-blocked') return isDeclined;
        if (!known) payments.set(key, { status: 'blocked', ...payer(call, order) });
        return afterPayment(payments.get(key)?.status);
      }
      case 'wait':
      case 'undecided':
        throw new Error(`${call.step} asks nobody`);
      case 'release': {
        if (order.pays && call.untold === undefined) {
          await endUntold(call, order);
          return undefined;
        }
        const step = acceptanceOf(call, order);
        const ended = call.untold || { ...call, generation: call.declined };
        const { status } = payments.get(keyOf({ ...call, ...ended }, order)) ?? {};
        const isPaid = status === 'captured' && call.declined === ended.generation;
        if (status === 'open' || status === 'undecided' || isPaid)
          around.broken = `the units of ${order.name} go while its payment is ${status}`;
        const { kind, orderId, owed, cancelled } = await ledger.release(call.order, step);
        return (run) => {
          run.orderId = orderId;
          if (!run.history.isTold) isTold(run, orderId);
          const { generation } = run;
          if (kind === 'sold') knows(run, { state: 'sold', generation, paymentId: 'p' }, 0);
          else {
            knows(run, { state: 'released', reason: 'sale-lost' }, call.fence, owed);
            if (cancelled) run.history.cancelledByBuyer = true;
            for (const one of run.history.generations)
              if (!owed.includes(one)) run.history.resolved.add(one);
          }
          run.owed = off === 'release-before-refund' ? [] : [...owed];
          const isCancelled = cancelled || run.endedBy === 'deadline';
          goOn(run, order, kind === 'sold' ? 'confirmed' : isCancelled ? 'cancelled' : 'failed');
        };
      }
      case 'resolve': {
        const resolved = await refund(call, order);
        return (run) => {
          if (resolved === 'resolved') run.history.resolved.add(call.generation);
          run.owed.shift();
          if (off === 'release-before-refund' && run.then === 'failed' && run.owed.length === 0)
            run.step = 'release';
          else goOn(run, order, run.then);
        };
      }
    }
  }

  function afterReserve(answer: Reserved, call: Call, order: OrderWorld) {
    const { kind, orderId, generation, owed } = answer;
    return (run: Run) => {
      run.owed = [...owed];
      run.generation = generation;
      if (kind !== 'expired') run.orderId = orderId;
      run.parked = false;
      if (kind !== 'expired') isTold(run, orderId);
      if (kind === 'reserved') {
        const known = { state: 'reserved', generation, ...(order.pays && { payBy: 1 }) } as const;
        knows(run, known, call.fence, [...owed, generation]);
        const history = copyOf(run.history);
        order.reservation = {
          orderId,
          generation,
          owed: [...owed],
          runFence: run.runFence,
          history,
        };
      } else if (kind === 'sold') {
        knows(run, { state: 'sold', generation, paymentId: 'p' }, 0, [...owed, generation]);
      } else if (kind === 'over') {
        knows(run, undefined, 0, owed);
      } else if (kind !== 'expired') {
        const fence = kind === 'sold-out' ? call.fence : 0;
        knows(run, { state: 'released', reason: 'sold-out' }, fence, owed);
      }
      if (kind === 'cancelled') run.history.cancelledByBuyer = true;
      if (kind === 'ended') run.foundEnded = true;
      goOn(run, order, AFTER_RESERVE[kind]);
    };
  }

  /** The first step of compensation: release, with the refunds after it. */
  function compensation(): Step {
    return off === 'release-before-refund' ? 'resolve' : 'release';
  }

  function compensate(run: Run): void {
    run.parked = false;
    run.step = compensation();
    run.compensating = true;
    if (run.step !== 'resolve') return;
    run.then = 'failed';
    run.owed = run.generation > 0 ? [run.generation] : [];
    if (run.owed.length === 0) run.step = 'release';
  }

  function goOn(run: Run, order: OrderWorld, then: End): void {
    run.then = then;
    if (run.owed.length > 0) run.step = 'resolve';
    else if (then === 'charge') run.step = order.pays ? 'wait' : 'charge';
    else end(order, run, then);
  }

  function end(order: OrderWorld, run: Run, outcome: Outcome): void {
    const left = order.left.find(({ orderId }) => orderId === run.orderId);
    if (left && left.outcome !== outcome)
      around.broken = `a run of ${left.orderId} ends as ${outcome}: it has left as ${left.outcome}`;
    order.endedAt = ++around.clock;
    order.mayTell = true;
    if (left && !order.hasLeft) {
      // It was accepted anew since.
      Object.assign(order, run.before);
      order.run = undefined;
      return;
    }
    if (outcome === 'failed') {
      if (!order.run?.foundEnded) order.letters++;
      order.hasFailed = true;
    }
    order.outcome = outcome;
    order.run = undefined;
  }

  function startRun(
    order: OrderWorld,
    startedBy: StartedBy,
    { orderId, from }: { readonly orderId: string; readonly from?: Reservation },
  ): void {
    const history = from ? copyOf(from.history) : newHistory(order, orderId);
    const { outcome, hasFailed } = order;
    order.runs++;
    order.outcome = undefined;
    around.workflows.set(order.request, order.name);
    order.histories.push(history);
    if (startedBy === 'operator') {
      order.hasFailed = false;
      order.isEndedByOperator = false;
      order.isRevived = false;
    }
    order.run = {
      id: ++around.clock,
      number: order.runs,
      runFence: from?.runFence ?? order.runs,
      startedBy,
      history,
      orderId: from?.orderId ?? orderId,
      step: !from ? 'reserve' : from.owed.length > 0 ? 'resolve' : order.pays ? 'wait' : 'charge',
      generation: from?.generation ?? 0,
      owed: [...(from?.owed ?? [])],
      then: 'charge',
      asked: '',
      fence: 0,
      retries: 0,
      cancelRequested: false,
      compensating: false,
      hinted: new Set(),
      endedBy: undefined,
      declined: 0,
      parked: false,
      foundEnded: false,
      before: { outcome, hasFailed },
    };
  }

  /** Ingest has a record: it becomes a run, is one already, or has the request_id of another order. */
  async function startFromLog(order: OrderWorld, record: OrderRecord): Promise<void> {
    const { name, request } = order;
    const owner = around.workflows.get(request);
    if (owner === name || owner === undefined) {
      if (owner === name && !(await awaitsRun(order, record))) return;
      if (record.revives) order.isRevived = true;
      startRun(order, 'log', record);
      return;
    }
    order.letters++;
    await ledgerOf(name).abandon(name, record.orderId);
    const entry = (await ledgerOf(name).look()).entries[name];
    if (entry?.state !== 'released' || order.outcome) return;
    order.outcome = entry.cancelled ? 'cancelled' : 'failed';
    order.hasFailed = !entry.cancelled;
  }

  async function awaitsRun(order: OrderWorld, { orderId }: OrderRecord): Promise<boolean> {
    if (order.run) return false;
    const last = order.histories.at(-1)?.order.orderId;
    if (last === orderId) return false;
    if (around.lost.has(order.item)) return true;
    const entry = (await ledgerOf(order.name).look()).entries[order.name];
    return entry?.orderId === orderId && (entry.state === 'held' || entry.state === 'queued');
  }

  function send(order: OrderWorld, run: Run, charged: Charged): void {
    const asking = `${run.step} ${String(run.owed[0] ?? '')}`;
    if (run.asked !== asking) {
      run.asked = asking;
      run.fence = ++around.clock;
    }
    calls.push({
      order: order.name,
      orderId: run.orderId,
      run: run.id,
      runNumber: run.number,
      startedBy: run.startedBy,
      step: run.step,
      generation: run.step === 'resolve' ? (run.owed[0] ?? 0) : run.generation,
      fence: off === 'fence-per-step' ? run.runFence : run.fence,
      asked: run.fence,
      declined: run.step === 'release' ? run.declined : 0,
      charged,
    });
  }

  /** Whether the run that made the call still waits for this result. */
  function waitsFor(order: OrderWorld, call: Call): Run | undefined {
    const { run } = order;
    if (run?.id !== call.run || run.step !== call.step) return undefined;
    if (call.asked !== run.fence) return undefined;
    if (call.step === 'resolve' && run.owed[0] !== call.generation) return undefined;
    return run;
  }

  /** The step fails for as long as the ledger cannot be read: the run parks. */
  function park(order: OrderWorld, run: Run): void {
    run.parked = true;
    const others = calls.filter((call) => waitsFor(order, call) !== run);
    calls.splice(0, calls.length, ...others);
  }

  /** A step that runs in a workflow task, and so in a slot of a worker, unless the order is parked. */
  const isInTask = (call: Call, order: OrderWorld) =>
    IN_TASK.includes(call.step) && waitsFor(order, call)?.parked === false;

  /** Whether the call needs a ledger that cannot be used now, or a bank has to decide on the payment first. */
  const mustWait = (call: Call, order: OrderWorld) => {
    const isUndecided = payments.get(keyOf(call, order))?.status === 'undecided';
    if (call.step === 'resolve' && isUndecided) return true;
    return !AT_THE_PROVIDER.has(call.step) && !canServe(around, order);
  };

  return {
    payments,
    calls,
    effect,
    refund,
    openPage,
    endPayment,
    compensate,
    startRun,
    startFromLog,
    send,
    waitsFor,
    park,
    isInTask,
    mustWait,
  };
}

export type SagaModel = ReturnType<typeof createSagaModel>;

const AT_THE_PROVIDER: ReadonlySet<Step> = new Set(['charge', 'find', 'end']);

const IN_TASK: readonly Step[] = ['reserve', 'confirm'];

const AFTER_RESERVE = {
  reserved: 'charge',
  sold: 'confirmed',
  'sold-out': 'failed',
  expired: 'failed',
  over: 'failed',
  ended: 'failed',
  cancelled: 'cancelled',
} as const satisfies Record<Reserved['kind'], End>;

/** What the history of a run has once a result of its is recorded. */
function knows(
  { history }: Run,
  known: KnownToRun['known'],
  fence: number,
  generations: readonly number[] = [],
): void {
  for (const generation of generations) if (generation > 0) history.generations.add(generation);
  history.fence = Math.max(history.fence, fence);
  if (known) history.known = known;
}

function isTold({ history }: Run, orderId: string): void {
  history.isTold = true;
  history.order = { ...history.order, orderId: orderId as OrderId };
}

function newHistory(order: OrderWorld, orderId: string): KnownToRun {
  return {
    order: orderOf(order, orderId),
    recordId: orderId,
    isTold: false,
    cancelledByBuyer: false,
    fence: 0,
    generations: new Set(),
    resolved: new Set(),
  };
}

function copyOf(history: KnownToRun): KnownToRun {
  return {
    ...history,
    generations: new Set(history.generations),
    resolved: new Set(history.resolved),
  };
}

/** Moves end it, no clock. */
export const PAY_WITHIN_MS = 3_600_000;

/** The order of an attempt's record. Each order id has a time of acceptance of its own. */
export function orderOf(
  { name, item, price, acceptedAt, pays }: OrderWorld,
  orderId: string,
): Order {
  return {
    requestId: name as RequestId,
    orderId: orderId as OrderId,
    userId: 'u' as UserId,
    itemId: item as ItemId,
    amount: 1,
    priceMinor: price,
    currency: 'USD',
    fingerprint: name,
    acceptedAt: acceptedAt.get(orderId) ?? 0,
    ...(pays && { payWithinMs: PAY_WITHIN_MS }),
  };
}
