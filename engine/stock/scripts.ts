import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Result } from 'ioredis';
import type { RedisConnection } from '../../platform/redis';

/** Every script of an item's ledger, by the name of its client command. All take the item's seven keys, some an eighth. */
const SCRIPTS = {
  ledgerHold: 'hold',
  ledgerUndo: 'undo',
  ledgerQueue: 'queue',
  ledgerReject: 'reject',
  ledgerReserve: 'reserve',
  ledgerConfirm: 'confirm',
  ledgerRelease: 'release',
  ledgerSettle: 'settle',
  ledgerGiveBack: 'give-back',
  ledgerCancel: 'cancel',
  ledgerItem: 'item',
  ledgerOpen: 'open',
  ledgerRebuild: 'rebuild',
  ledgerRecount: 'recount',
  ledgerReclaim: 'reclaim',
  ledgerRestock: 'restock',
  ledgerChangeSale: 'change-sale',
} as const;

/** The scripts of claims, which belong to no item. They take the number of their keys first. */
const CLAIM_SCRIPTS = { claim: 'claim', prolongClaims: 'prolong-claims' } as const;

export type ScriptCommand = keyof typeof SCRIPTS;
export type ClaimCommand = keyof typeof CLAIM_SCRIPTS;
export type ScriptArgument = string | number;

declare module 'ioredis' {
  interface RedisCommander<Context> {
    ledgerHold(...keysAndArgs: ScriptArgument[]): Result<unknown, Context>;
    ledgerUndo(...keysAndArgs: ScriptArgument[]): Result<unknown, Context>;
    ledgerQueue(...keysAndArgs: ScriptArgument[]): Result<unknown, Context>;
    ledgerReject(...keysAndArgs: ScriptArgument[]): Result<unknown, Context>;
    ledgerReserve(...keysAndArgs: ScriptArgument[]): Result<unknown, Context>;
    ledgerConfirm(...keysAndArgs: ScriptArgument[]): Result<unknown, Context>;
    ledgerRelease(...keysAndArgs: ScriptArgument[]): Result<unknown, Context>;
    ledgerSettle(...keysAndArgs: ScriptArgument[]): Result<unknown, Context>;
    ledgerGiveBack(...keysAndArgs: ScriptArgument[]): Result<unknown, Context>;
    ledgerCancel(...keysAndArgs: ScriptArgument[]): Result<unknown, Context>;
    ledgerItem(...keysAndArgs: ScriptArgument[]): Result<unknown, Context>;
    ledgerOpen(...keysAndArgs: ScriptArgument[]): Result<unknown, Context>;
    ledgerRebuild(...keysAndArgs: ScriptArgument[]): Result<unknown, Context>;
    ledgerRecount(...keysAndArgs: ScriptArgument[]): Result<unknown, Context>;
    ledgerReclaim(...keysAndArgs: ScriptArgument[]): Result<unknown, Context>;
    ledgerRestock(...keysAndArgs: ScriptArgument[]): Result<unknown, Context>;
    ledgerChangeSale(...keysAndArgs: ScriptArgument[]): Result<unknown, Context>;
    claim(keys: number, ...keysAndArgs: ScriptArgument[]): Result<unknown, Context>;
    prolongClaims(keys: number, ...keysAndArgs: ScriptArgument[]): Result<unknown, Context>;
  }
}

const TAKE_AN_EIGHTH_KEY: readonly string[] = ['ledgerReject', 'ledgerReserve', 'ledgerRestock'];

/** How many keys a script takes, the item's seven first. */
export function numberOfKeys(command: string): number {
  return TAKE_AN_EIGHTH_KEY.includes(command) ? 8 : 7;
}

/** Teaches a connection the scripts of an item's ledger. Reads the files beside this one; sends nothing yet. */
export function defineLedgerScripts(
  redis: RedisConnection,
  commands: readonly ScriptCommand[] = Object.keys(SCRIPTS) as ScriptCommand[],
): void {
  const prelude = source('prelude');
  for (const command of commands) {
    redis.defineCommand(command, {
      numberOfKeys: numberOfKeys(command),
      lua: `${prelude}\n${source(SCRIPTS[command])}`,
    });
  }
}

/** Teaches a connection what the door of the ledger calls, and no more: the client gives every pipeline all it knows. */
export function defineAdmissionScripts(redis: RedisConnection): void {
  defineLedgerScripts(redis, ['ledgerHold', 'ledgerUndo', 'ledgerQueue', 'ledgerReject']);
  for (const [command, name] of Object.entries(CLAIM_SCRIPTS)) {
    redis.defineCommand(command, { lua: source(name) });
  }
}

function source(name: string): string {
  return readFileSync(join(__dirname, 'scripts', `${name}.lua`), 'utf8');
}

/**
 * A list as one argument of a script, with commas between its parts, none of which may have one: the client copies each
 * argument of a command six times.
 */
export function asOneArgument(parts: readonly string[]): string {
  return parts.join(',');
}
