import { InvalidArgumentError, type Command } from 'commander';

/** What a command is called with, beside its own options. */
export interface CommonOptions {
  readonly url?: string;
  readonly json?: boolean;
}

/** Adds a command with the options that all of them take. */
export function add(
  parent: Command,
  usage: string,
  description: string,
  examples: readonly string[],
): Command {
  return parent
    .command(usage)
    .description(description)
    .option('--url <url>', 'the gateway (default: FLASH_SALE_URL, else the local stack)')
    .option('--json', 'print one JSON document and nothing else')
    .addHelpText('after', `\nExample:\n  $ npx ${examples.join('\n  $ npx ')}\n`);
}

/** Reads an option's value; refuses what is no whole number in the range. */
export function wholeNumber(min: number, max: number) {
  return (text: string): number => {
    const value = Number(text);
    if (/^\d+$/.test(text) && value >= min && value <= max) return value;
    throw new InvalidArgumentError(`It must be a whole number from ${min} to ${max}.`);
  };
}
