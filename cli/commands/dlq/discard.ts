import { discardLetters, type DiscardDeps } from '../../../engine/dead-letters/discard';
import { printJson, plain, type ExitCode } from '../../output/terminal';
import { reasonGiven } from '../../arguments/reason-given';
import type { DlqReadDeps } from './ls';

export interface DlqDiscardDeps extends DlqReadDeps, DiscardDeps {
  /** Who is at the terminal. */
  readonly by: string;
}

export interface DlqDiscardOptions {
  /** Letter ids; a request_id counts as one while it has a single open letter. */
  readonly ids: readonly string[];
  readonly why?: string | undefined;
  readonly json?: boolean | undefined;
}

/** `flash-sale dlq discard`: marks letters as dealt with. Throws, before anything is written, for an id that names no single letter. */
export async function dlqDiscard(
  deps: DlqDiscardDeps,
  { ids, why, json }: DlqDiscardOptions,
): Promise<ExitCode> {
  const { terminal, by } = deps;
  const answers = await discardLetters(ids, { by, why: reasonGiven(why, by) }, deps);
  if (json) printJson(terminal, answers);
  else
    for (const answer of answers) terminal.out(`${plain(answer.letter_id)}: ${answer.outcome}\n`);
  return 0;
}
