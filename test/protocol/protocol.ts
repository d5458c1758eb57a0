import type { ProtocolLedger } from './model-ledger';

/**
 * Two orders, one unit, and everything that can go wrong on the way: gateway attempts that die on any line, records that
 * come twice, activities that run late, twice or without their answer arriving, runs that give up on a step, and runs that
 * are reset, to their first task or to just after their reservation, up to four of one order. A walk picks one possible
 * move after the other until nothing is left to do.
 */
export type SagaRule =
  | 'release-before-refund'
  | 'fence-per-step'
  | 'queue-before-answer'
  | 'refund-blocks-unseen-key'
  | 'payment-key-per-generation-not-run';

type Step = 'reserve' | 'settle' | 'charge' | 'confirm' | 'release';
type End = 'charge' | 'confirmed' | 'failed';
type Charged = 'captured' | 'declined';

interface Run {
  readonly id: number;
  /** Counts the runs of this order. */
  readonly number: number;
  /** The fence it would have if fences were made once a run: a run reset late inherits what is in its history. */
  readonly runFence: number;
  step: Step;
  generation: number;
  owed: number[];
  /** What comes when everything owed is settled. */
  then: End;
  /** Which asking this is, so that a retry carries the fence of its first try. */
  asked: string;
  fence: number;
  retries: number;
}

interface Call {
  readonly order: string;
  readonly run: number;
  readonly runNumber: number;
  readonly step: Step;
  readonly generation: number;
  readonly fence: number;
  readonly charged: Charged;
}

interface Reservation {
  readonly generation: number;
  readonly owed: readonly number[];
  readonly runFence: number;
}

interface OrderWorld {
  readonly name: string;
  readonly attempts: ('new' | 'held' | 'acked' | 'over')[];
  accepted: boolean;
  appended: number;
  consumed: number;
  runs: number;
  run: Run | undefined;
  outcome: 'confirmed' | 'failed' | undefined;
  /** Where the last reservation left a run: what a late reset goes back to. */
  reservation: Reservation | undefined;
  readonly runsMax: number;
  readonly retriesMax: number;
}

export interface Move {
  readonly name: string;
  readonly apply: () => Promise<void>;
  /** Whether it may be left undone: nobody has to reset a run, and a lease need not end in time. */
  readonly optional?: boolean;
}

export interface World {
  moves(): Promise<Move[]>;
  /** What is broken now; undefined when nothing is. */
  violation(): Promise<string | undefined>;
  /** What is broken once nothing moves any more. */
  violationAtEnd(): Promise<string | undefined>;
}

export const ORDERS = ['A', 'B'] as const;

export function createWorld(ledger: ProtocolLedger, off?: SagaRule): World {
  const orders = ORDERS.map((name, i) => anOrder(name, i === 0 ? [2, 4, 2] : [1, 2, 1]));
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
    if (off !== 'release-before-refund' && !(await ledger.maySettle(call.order, call.generation)))
      return;
    const key = keyOf(call, call.generation);
    const status = keys.get(key);
    if (status === 'captured') keys.set(key, 'refunded');
    else if (!status && off !== 'refund-blocks-unseen-key') keys.set(key, 'blocked');
    await ledger.settle(call.order, call.generation);
  }

  /** Lets one call take effect; the answer is what the run would do with it. */
  async function effect(call: Call): Promise<(run: Run, order: OrderWorld) => void> {
    switch (call.step) {
      case 'reserve': {
        const { kind, generation, owed } = await ledger.reserve(call.order, call.fence);
        return (run, order) => {
          run.owed = [...owed];
          run.generation = generation;
          if (kind === 'reserved')
            order.reservation = { generation, owed: [...owed], runFence: run.runFence };
          goOn(
            run,
            order,
            kind === 'reserved' ? 'charge' : kind === 'sold' ? 'confirmed' : 'failed',
          );
        };
      }
      case 'charge': {
        const charged = charge(call);
        return (run) => {
          run.step = charged === 'captured' ? 'confirm' : compensation();
          if (run.step === 'settle') run.owed = [run.generation];
        };
      }
      case 'confirm': {
        const answer = await ledger.confirm(call.order, call.generation, call.fence);
        return (run, order) => {
          if (answer === 'sold') end(order, 'confirmed');
          else giveUp(run);
        };
      }
      case 'release': {
        const { kind, owed } = await ledger.release(call.order, call.fence);
        return (run, order) => {
          run.owed = off === 'release-before-refund' ? [] : [...owed];
          goOn(run, order, kind === 'sold' ? 'confirmed' : 'failed');
        };
      }
      case 'settle':
        await refund(call);
        return (run, order) => {
          run.owed.shift();
          if (off === 'release-before-refund' && run.then === 'failed' && run.owed.length === 0)
            run.step = 'release';
          else goOn(run, order, run.then);
        };
    }
  }

  /** The first step of compensation: by design release, and the refunds after it. */
  function compensation(): Step {
    return off === 'release-before-refund' ? 'settle' : 'release';
  }

  function giveUp(run: Run): void {
    run.step = compensation();
    if (run.step !== 'settle') return;
    run.then = 'failed';
    run.owed = run.generation > 0 ? [run.generation] : [];
    if (run.owed.length === 0) run.step = 'release';
  }

  function goOn(run: Run, order: OrderWorld, then: End): void {
    run.then = then;
    if (run.owed.length > 0) run.step = 'settle';
    else if (then === 'charge') run.step = 'charge';
    else end(order, then);
  }

  function end(order: OrderWorld, outcome: 'confirmed' | 'failed'): void {
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
      step: !from ? 'reserve' : from.owed.length > 0 ? 'settle' : 'charge',
      generation: from?.generation ?? 0,
      owed: [...(from?.owed ?? [])],
      then: 'charge',
      asked: '',
      fence: 0,
      retries: 0,
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
      generation: run.step === 'settle' ? (run.owed[0] ?? 0) : run.generation,
      fence: off === 'fence-per-step' ? run.runFence : run.fence,
      charged,
    });
  }

  /** Whether the run that made the call still waits for just this answer. */
  function waitsFor(order: OrderWorld, call: Call): Run | undefined {
    const { run } = order;
    if (run?.id !== call.run || run.step !== call.step) return undefined;
    if (call.step === 'settle' && run.owed[0] !== call.generation) return undefined;
    return run;
  }

  function attemptMoves(order: OrderWorld): Move[] {
    return order.attempts.flatMap((state, i): Move[] => {
      const token = `${order.name}${String(i)}`;
      const become = (next: (typeof order.attempts)[number]) => {
        order.attempts[i] = next;
      };
      switch (state) {
        case 'new':
          if (i > 0 && order.attempts[i - 1] === 'new') return [];
          return [
            {
              name: `${token} holds`,
              apply: async () => {
                become((await ledger.hold(order.name, token)) === 'held' ? 'held' : 'over');
              },
            },
          ];
        case 'held':
          return [
            {
              name: `${token} appends`,
              apply: () => {
                order.appended++;
                if (off === 'queue-before-answer') order.accepted = true;
                become('acked');
                return Promise.resolve();
              },
            },
            {
              name: `${token} undoes its hold`,
              apply: async () => {
                await ledger.undo(order.name, token);
                become('over');
              },
            },
            dies(`${token} dies holding`, () => {
              become('over');
            }),
          ];
        case 'acked':
          return [
            {
              name: `${token} queues and answers`,
              apply: async () => {
                if (await ledger.queue(order.name)) order.accepted = true;
                become('over');
              },
            },
            dies(`${token} dies after the ack`, () => {
              become('over');
            }),
          ];
        case 'over':
          return [];
      }
    });
  }

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
          dies(`${order.name}.${String(run.number)} asks to ${run.step} (${charged})`, () => {
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
        dies(`${order.name}.${String(run.number)} gives up on ${run.step}`, () => {
          giveUp(run);
        }),
      );
    }
    return moves;
  }

  function resetMoves(order: OrderWorld): Move[] {
    if (order.runs === 0 || order.runs >= order.runsMax) return [];
    const reset = (name: string, from?: Reservation): Move => ({
      ...dies(name, () => {
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
        if (order.consumed < order.appended) {
          moves.push(
            dies(`ingest reads ${order.name}`, () => {
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
      return forgotten && `${forgotten.name} was answered 202 and has no entry`;
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
        if (state === 'queued' || state === 'reserved') return `${name} was left ${state}`;
      }
      return undefined;
    },
  };
}

function anOrder(
  name: string,
  [attempts, runsMax, retriesMax]: [number, number, number] | number[],
): OrderWorld {
  return {
    name,
    attempts: Array.from({ length: attempts ?? 1 }, () => 'new' as const),
    accepted: false,
    appended: 0,
    consumed: 0,
    runs: 0,
    run: undefined,
    outcome: undefined,
    reservation: undefined,
    runsMax: runsMax ?? 1,
    retriesMax: retriesMax ?? 1,
  };
}

/** A move that touches nothing outside the world. */
function dies(name: string, change: () => void): Move {
  return {
    name,
    apply: () => {
      change();
      return Promise.resolve();
    },
  };
}
