import calculateSlot from 'cluster-key-slot';
import { Cluster } from 'ioredis';
import type { RedisConnection } from '../../platform/redis';
import type { ClaimCommand, ScriptArgument, ScriptCommand } from './scripts';

/** A command by name. By its first key a Cluster finds the node. */
export type Command =
  | readonly [
      name: 'set' | 'del' | 'exists' | 'hexists' | 'hmget' | ScriptCommand,
      firstKey: string,
      ...args: ScriptArgument[],
    ]
  | readonly [name: ClaimCommand, keys: number, ...keysAndArgs: ScriptArgument[]];

export type Reply = readonly [error: Error | null, result: unknown];

/**
 * Sends the commands in one round trip and gives their replies in the same order. On one Redis they are one pipeline;
 * on a Cluster one for each node that serves some of them, all in the same turn. Never rejects: what a pipeline fails
 * with is the reply of each of its commands.
 */
export function runCommands(
  redis: RedisConnection,
  commands: readonly Command[],
): Promise<Reply[]> {
  return redis instanceof Cluster ? runOnCluster(redis, commands) : runAsOne(redis, commands);
}

/**
 * A command that was sent to the wrong node has certainly not been run, so it is sent once more to the right one. The
 * client itself does this only for pipelines that were wrong as a whole.
 */
async function runOnCluster(cluster: Cluster, commands: readonly Command[]): Promise<Reply[]> {
  const replies = await runByNode(cluster, commands);
  const wrong = replies.flatMap(([error], at) => (isRedirection(error) ? [at] : []));
  if (wrong.length === 0) return replies;
  await new Promise<void>((resolve) => {
    // Without a fresh map the second try has the fault of the first, and is told so.
    cluster.refreshSlotsCache(() => {
      resolve();
    });
  });
  const again = await runByNode(cluster, pick(commands, wrong));
  wrong.forEach((at, i) => {
    replies[at] = again[i] ?? NO_REPLY;
  });
  return replies;
}

async function runByNode(cluster: Cluster, commands: readonly Command[]): Promise<Reply[]> {
  const byNode = new Map<number | undefined, number[]>();
  commands.forEach(([, first, second], at) => {
    const firstKey = String(typeof first === 'number' ? second : first);
    // The client refuses a pipeline whose slots it keeps under different numbers; undefined: a slot that nobody serves.
    const node = cluster._groupsBySlot[calculateSlot(firstKey)];
    const group = byNode.get(node);
    if (group) group.push(at);
    else byNode.set(node, [at]);
  });
  const replies = new Array<Reply>(commands.length).fill(NO_REPLY);
  const runs = [...byNode.values()].map(async (places) => {
    const answers = await runAsOne(cluster, pick(commands, places));
    places.forEach((at, i) => {
      replies[at] = answers[i] ?? NO_REPLY;
    });
  });
  await Promise.all(runs);
  return replies;
}

async function runAsOne(redis: RedisConnection, commands: readonly Command[]): Promise<Reply[]> {
  try {
    return (await redis.pipeline(commands.map((command) => [...command])).exec()) ?? [];
  } catch (error) {
    const cause = error instanceof Error ? error : new Error(String(error));
    return commands.map(() => [cause, null]);
  }
}

export const NO_REPLY: Reply = [new Error('Redis gave no reply'), null];

function isRedirection(error: Error | null): boolean {
  return error !== null && /^(MOVED|ASK|TRYAGAIN) /.test(error.message);
}

function pick<T>(list: readonly T[], places: readonly number[]): T[] {
  return places.flatMap((at) => list.slice(at, at + 1));
}
