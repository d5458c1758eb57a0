import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { ClientContext, Result } from 'ioredis';
import type { RedisConnection } from '../../platform/redis';

/** The scripts of an item's ledger, by the name of their client command. All take the item's nine keys, some take more. */
const SCRIPTS = {
  ledgerHold: 'hold',
  ledgerUndo: 'undo',
  ledgerQueue: 'queue',
  ledgerReject: 'reject',
  ledgerReserve: 'reserve',
  ledgerConfirm: 'confirm',
  ledgerRelease: 'release',
  ledgerResolveCharge: 'resolve-charge',
  ledgerAbandon: 'abandon',
  ledgerCancel: 'cancel',
  ledgerItem: 'item',
  ledgerOpen: 'open',
  ledgerStageRebuild: 'stage-rebuild',
  ledgerRebuild: 'rebuild',
  ledgerRestoreEntries: 'restore-entries',
  ledgerRecount: 'recount',
  ledgerReclaim: 'reclaim',
  ledgerArchive: 'archive',
  ledgerCountBuyers: 'count-buyers',
  ledgerRestock: 'restock',
  ledgerChangeSale: 'change-sale',
  ledgerNote: 'note',
  ledgerRetire: 'retire',
  ledgerNoteReturns: 'note-returns',
  ledgerRestockSale: 'restock-sale',
} as const;

/** The scripts of claims, which belong to no item. They take the number of their keys first. */
const CLAIM_SCRIPTS = {
  claim: 'claim',
  keepClaims: 'keep-claims',
  dropClaims: 'drop-claims',
  finishClaims: 'finish-claims',
} as const;

/** Belongs to no item and has one key, the switch of selling. */
const SELLING_SCRIPT = 'change-selling';

export type ScriptCommand = keyof typeof SCRIPTS;
export type ClaimCommand = keyof typeof CLAIM_SCRIPTS;
export type ScriptArgument = string | number;

type LedgerCommands<Context extends ClientContext> = Readonly<
  Record<ScriptCommand, (...keysAndArgs: ScriptArgument[]) => Result<unknown, Context>>
>;

declare module 'ioredis' {
  interface RedisCommander<Context> extends LedgerCommands<Context> {
    claim(keys: number, ...keysAndArgs: ScriptArgument[]): Result<unknown, Context>;
    keepClaims(keys: number, ...keysAndArgs: ScriptArgument[]): Result<unknown, Context>;
    dropClaims(keys: number, ...keysAndArgs: ScriptArgument[]): Result<unknown, Context>;
    finishClaims(keys: number, ...keysAndArgs: ScriptArgument[]): Result<unknown, Context>;
    changeSelling(key: string, ...args: ScriptArgument[]): Result<unknown, Context>;
  }
}

/** Defines the scripts of an item's ledger on a connection. Reads the files beside this one; sends nothing yet. */
export function defineLedgerScripts(
  redis: RedisConnection,
  commands: readonly ScriptCommand[] = Object.keys(SCRIPTS) as ScriptCommand[],
): void {
  for (const command of commands) {
    redis.defineCommand(command, { numberOfKeys: numberOfKeys(command), lua: scriptOf(command) });
  }
}

/** Every script as Redis has it, by its name. */
export function allScripts(): ReadonlyMap<string, string> {
  const scripts = new Map<string, string>(
    [...Object.values(CLAIM_SCRIPTS), SELLING_SCRIPT].map((name) => [name, source(name)]),
  );
  for (const command of Object.keys(SCRIPTS) as ScriptCommand[]) {
    scripts.set(SCRIPTS[command], scriptOf(command));
  }
  return scripts;
}

function scriptOf(command: ScriptCommand): string {
  return withPrelude(source('prelude'), source(SCRIPTS[command]));
}

/** Defines only what the gateway calls: the client puts every script that it knows into every pipeline. */
export function defineAdmissionScripts(redis: RedisConnection): void {
  defineLedgerScripts(redis, ['ledgerHold', 'ledgerUndo', 'ledgerQueue', 'ledgerReject']);
  defineClaimScripts(redis);
}

export function defineClaimScripts(redis: RedisConnection): void {
  for (const [command, name] of Object.entries(CLAIM_SCRIPTS)) {
    redis.defineCommand(command, { lua: source(name) });
  }
}

export function defineSellingScript(redis: RedisConnection): void {
  redis.defineCommand('changeSelling', { numberOfKeys: 1, lua: source(SELLING_SCRIPT) });
}

/** How many keys a script takes, the item's nine first. */
export function numberOfKeys(command: string): number {
  return 9 + (MORE_KEYS[command] ?? 0);
}

const MORE_KEYS: Readonly<Record<string, number>> = {
  ledgerReject: 1,
  ledgerReserve: 1,
  ledgerRestock: 1,
  ledgerCountBuyers: 1,
  ledgerStageRebuild: 3,
  ledgerRebuild: 3,
  ledgerRecount: 3,
  ledgerRetire: 6,
  ledgerRestockSale: 1,
};

/**
 * Puts the prelude in front of a script, behind its flags if it has any. A script with `allow-oom` also runs on a full
 * Redis: it ends an order, or takes it further, and needs next to no room. Redis knows flags since version 7, as it knows
 * the claims' SET with NX and GET.
 */
function withPrelude(prelude: string, script: string): string {
  const [flags = ''] = /^#!lua .*\n/.exec(script) ?? [];
  return `${flags}${prelude}\n${script.slice(flags.length)}`;
}

function source(name: string): string {
  return readFileSync(join(__dirname, 'scripts', `${name}.lua`), 'utf8');
}

/** What the scripts read and write for an order that is older than order ids. */
export const NO_ORDER_ID = '-';

/**
 * A list as one argument of a script, joined by commas; no part may contain a comma. The client copies each argument of
 * a command six times, so one long argument is cheaper than many short ones.
 */
export function asOneArgument(parts: readonly string[]): string {
  return parts.join(',');
}
