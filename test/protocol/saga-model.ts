import type { ProtocolLedger, Reserved } from './model-ledger';
import type {
  Call,
  Charged,
  End,
  Outcome,
  OrderWorld,
  Reservation,
  Run,
  SagaRule,
  Step,
} from './world';

/** A model of the workflow and the payment provider: the calls of a run, their effects, and what the run does with the results. */
export function createSagaModel(ledger: ProtocolLedger, off?: SagaRule) {
  const keys = new Map<string, 'captured' | 'declined' | 'refunded' | 'blocked'>();
  const calls: Call[] = [];
  let clock = 0;

  const keyOf = (call: Call, generation: number) =>
    off === 'payment-key-per-generation-not-run'
      ? `${call.order}:run-${String(call.runNumber)}`
      : `${call.order}:${String(generation)}`;

  function charge(call: Call): Charged {
    const key = keyOf(call, call.generation);
    const status = keys.get(key) ?? call.charged;
    keys.set(key, status);
    return status === 'captured' ? 'captured' : 'declined';
  }

  async function refund(call: Call): Promise<void> {
    if (
      off !== 'release-before-refund' &&
      !(await ledger.isRefundable(call.order, call.generation))
    )
      return;
    const key = keyOf(call, call.generation);
    const status = keys.get(key);
    if (status === 'captured') keys.set(key, 'refunded');
    else if (!status && off !== 'refund-blocks-unseen-key') keys.set(key, 'blocked');
    await ledger.resolveCharge(call.order, call.generation);
  }

  /** Lets one call take effect; returns what the run does with the result. */
  async function effect(call: Call): Promise<(run: Run, order: OrderWorld) => void> {
    switch (call.step) {
      case 'reserve': {
        const { kind, generation, owed } = await ledger.reserve(call.order, call.fence);
        return (run, order) => {
          run.owed = [...owed];
          run.generation = generation;
          if (kind === 'reserved')
            order.reservation = { generation, owed: [...owed], runFence: run.runFence };
          goOn(run, order, AFTER_RESERVE[kind]);
        };
      }
      case 'charge': {
        const charged = charge(call);
        return (run) => {
          run.step = charged === 'captured' ? 'confirm' : compensation();
          run.compensating = charged === 'declined';
          if (run.step === 'resolve') run.owed = [run.generation];
        };
      }
      case 'confirm': {
        const answer = await ledger.confirm(call.order, call.generation, call.fence);
        return (run, order) => {
          if (answer === 'sold') end(order, 'confirmed');
          else compensate(run);
        };
      }
      case 'release': {
        const { kind, owed, cancelled } = await ledger.release(call.order, call.fence);
        return (run, order) => {
          run.owed = off === 'release-before-refund' ? [] : [...owed];
          goOn(run, order, kind === 'sold' ? 'confirmed' : cancelled ? 'cancelled' : 'failed');
        };
      }
      case 'resolve':
        await refund(call);
        return (run, order) => {
          run.owed.shift();
          if (off === 'release-before-refund' && run.then === 'failed' && run.owed.length === 0)
            run.step = 'release';
          else goOn(run, order, run.then);
        };
    }
  }

  /** The first step of compensation: release, with the refunds after it. */
  function compensation(): Step {
    return off === 'release-before-refund' ? 'resolve' : 'release';
  }

  function compensate(run: Run): void {
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
    else if (then === 'charge') run.step = 'charge';
    else end(order, then);
  }

  function end(order: OrderWorld, outcome: Outcome): void {
    order.outcome = outcome;
    order.run = undefined;
  }

  function startRun(order: OrderWorld, from?: Reservation): void {
    order.runs++;
    order.outcome = undefined;
    order.run = {
      id: ++clock,
      number: order.runs,
      runFence: from?.runFence ?? order.runs,
      step: !from ? 'reserve' : from.owed.length > 0 ? 'resolve' : 'charge',
      generation: from?.generation ?? 0,
      owed: [...(from?.owed ?? [])],
      then: 'charge',
      asked: '',
      fence: 0,
      retries: 0,
      cancelRequested: false,
      compensating: false,
    };
  }

  function send(order: OrderWorld, run: Run, charged: Charged): void {
    const asking = `${run.step} ${String(run.owed[0] ?? '')}`;
    if (run.asked !== asking) {
      run.asked = asking;
      run.fence = ++clock;
    }
    calls.push({
      order: order.name,
      run: run.id,
      runNumber: run.number,
      step: run.step,
      generation: run.step === 'resolve' ? (run.owed[0] ?? 0) : run.generation,
      fence: off === 'fence-per-step' ? run.runFence : run.fence,
      asked: run.fence,
      charged,
    });
  }

  /** Whether the run that made the call still waits for this result. */
  function waitsFor(order: OrderWorld, call: Call): Run | undefined {
    const { run } = order;
    if (run?.id !== call.run || run.step !== call.step || run.fence !== call.asked)
      return undefined;
    if (call.step === 'resolve' && run.owed[0] !== call.generation) return undefined;
    return run;
  }

  return { keys, calls, effect, compensate, startRun, send, waitsFor };
}

const AFTER_RESERVE = {
  reserved: 'charge',
  sold: 'confirmed',
  'sold-out': 'failed',
  over: 'failed',
  cancelled: 'cancelled',
} as const satisfies Record<Reserved['kind'], End>;
