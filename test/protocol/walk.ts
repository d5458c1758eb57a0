import type { World } from './world';

/** A longer walk goes in circles, which is an error of the protocol too. */
const MOVES_MAX = 300;

export interface Violation {
  readonly what: string;
  readonly walk: number;
  readonly trace: readonly string[];
}

export interface Walked {
  readonly walks: number;
  readonly moves: number;
  readonly violation?: Violation;
}

/** Random numbers that a seed repeats: a linear congruential generator, good enough to pick moves. */
export function createRandom(seed: number): (below: number) => number {
  let state = seed >>> 0;
  return (below) => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return Math.floor((state / 4_294_967_296) * below);
  };
}

/** Walks through fresh worlds until one breaks a promise, `walks` are done or `msMax` is over. */
export async function walkWorlds(
  makeWorld: (walk: number) => World | Promise<World>,
  { walks, seed, msMax = Infinity }: { walks: number; seed: number; msMax?: number },
): Promise<Walked> {
  const random = createRandom(seed);
  const until = Date.now() + msMax;
  let moves = 0;
  for (let walk = 0; walk < walks; walk++) {
    if (Date.now() > until) return { walks: walk, moves };
    const { what, trace } = await walkOnce(await makeWorld(walk), random);
    moves += trace.length;
    if (what !== undefined) return { walks: walk + 1, moves, violation: { what, walk, trace } };
  }
  return { walks, moves };
}

async function walkOnce(world: World, random: (below: number) => number) {
  const trace: string[] = [];
  while (trace.length < MOVES_MAX) {
    const moves = await world.moves();
    const due = moves.some(({ optional }) => !optional);
    // With only optional moves left the walk ends, or goes on half of the time.
    if (moves.length === 0 || (!due && random(2) === 0)) {
      return { what: await world.violationAtEnd(), trace };
    }
    const move = moves[random(moves.length)];
    if (!move) continue;
    await move.apply();
    trace.push(move.name);
    const what = await world.violation();
    if (what !== undefined) return { what, trace };
  }
  return { what: `not over after ${String(MOVES_MAX)} moves`, trace };
}
