import { userInfo } from 'node:os';
import { InvalidArgumentError, type Command } from 'commander';
import { parseMoment, WHY_LENGTH_MAX } from '../engine/dead-letters/operator';
import { ID_LENGTH_MAX, isId, type ItemId } from '../engine/orders/order';
import { UserError } from '../platform/user-error';
import type { ExitCode } from './terminal';

/** The options of every command. */
export interface CommonOptions {
  readonly url?: string | undefined;
  readonly adminUrl?: string | undefined;
  readonly json?: boolean | undefined;
}

/** The options of commands that change something. */
export interface ActionOptions extends CommonOptions {
  /** The operator's name; absent: the user of this machine. */
  readonly by?: string | undefined;
  readonly why?: string | undefined;
}

/** Takes the exit code of the command that ran. */
export type End = (code: Promise<ExitCode>) => Promise<void>;

/** Adds a command with the common options. */
export function addCommand(
  parent: Command,
  usage: string,
  description: string,
  ...examples: readonly string[]
): Command {
  return parent
    .command(usage)
    .description(description)
    .option('--url <url>', 'the gateway (default: FLASH_SALE_URL, else the local stack)')
    .option('--json', 'print one JSON document and nothing else')
    .addHelpText('after', `\nExample:\n  $ npx ${examples.join('\n  $ npx ')}\n`);
}

/** Adds `--admin-url`, for commands that ask the gateway's admin listener. */
export function addAdminUrl(command: Command): Command {
  return command.option(
    '--admin-url <url>',
    "the gateway's admin listener (default: FLASH_SALE_ADMIN_URL, else the local stack)",
  );
}

/** Adds `--by`, for commands that have a reason already. */
export function addName(command: Command): Command {
  return command.option('--by <name>', 'your name (default: the user of this machine)', name);
}

/** Adds `--by` and a `--why` that may be left out. */
export function addNameAndReason(command: Command): Command {
  return addName(command).option('--why <text>', 'your reason, recorded with your name', reason);
}

/** Adds `--by` and the `--why` that `requireReason` asks for. */
export function addNameAndRequiredReason(command: Command): Command {
  return addName(command).option('--why <text>', 'your reason, recorded with your name; required');
}

const NAME = /^(?=.*\S)[^\p{Cc}]{1,100}$/u;

function name(text: string): string {
  if (NAME.test(text)) return text.trim();
  throw new InvalidArgumentError('It must be 1 to 100 visible characters.');
}

function reason(text: string): string {
  const trimmed = text.trim();
  if (trimmed !== '' && trimmed.length <= WHY_LENGTH_MAX) return trimmed;
  throw new InvalidArgumentError(`It must be 1 to ${WHY_LENGTH_MAX} characters.`);
}

/** Parses an option that is a whole number. */
export function wholeNumber(min: number, max: number) {
  return (text: string): number => {
    const value = Number(text);
    if (/^\d+$/.test(text) && value >= min && value <= max) return value;
    throw new InvalidArgumentError(`It must be a whole number from ${min} to ${max}.`);
  };
}

/** Parses an option that is a time, within `max` ms since the epoch. */
export function moment(hint: string, max = Infinity) {
  return (text: string): number => {
    const at = parseMoment(text, Date.now());
    if (at !== undefined && at >= 0 && at <= max) return at;
    throw new InvalidArgumentError(hint);
  };
}

/** Parses an option that is a time, or how long ago it was. */
export const pastMoment = moment(
  'It must be a time such as 2026-11-24T10:00Z, or 90s, 30m, 2h, 7d ago.',
);

/** The error of a valid request that is refused: exit code 1. */
export function refused(message: string): UserError {
  return new UserError(message, { exitCode: 1 });
}

export function parseItemId(text: string): ItemId {
  if (isId(text)) return text as ItemId;
  throw new UserError(
    `"${text}" is no item id: 1 to ${ID_LENGTH_MAX} characters, beginning with a letter or digit, then also any of . _ ~ : @ + = - Nothing was changed.`,
  );
}

/** The operator's reason. Throws a UserError when it is missing or too long. */
export function requireReason(why: string | undefined, by: string): string {
  const text = why?.trim() ?? '';
  if (text === '') {
    throw new UserError(
      `Say why, with --why "<text>": it is recorded together with your name, ${by}. Nothing was changed.`,
    );
  }
  if (text.length > WHY_LENGTH_MAX) {
    throw new UserError(`--why takes at most ${WHY_LENGTH_MAX} characters. Nothing was changed.`);
  }
  return text;
}

/** The name of the operator; in a container the user id may have no name. */
export function operatorName(): string {
  try {
    return userInfo().username;
  } catch (error) {
    if (process.getuid === undefined) throw error;
    return `uid ${process.getuid()}`;
  }
}
