import type { Command } from 'commander';
import { createSellingSwitch, type SellingSwitch } from '../engine/stock/selling-switch';
import {
  addCommand,
  addNameAndReason,
  addNameAndRequiredReason,
  requireReason,
  type ActionOptions,
  type End,
} from './command';
import { withRedis, type Context, type Operator } from './context';
import { printResult, type ExitCode, type Terminal } from './terminal';

/** Adds `stop-all` and `resume-all` to the command `sale`. */
export function addSellingCommands(sale: Command, actions: SellingActions, end: End): void {
  addNameAndRequiredReason(
    addCommand(
      sale,
      'stop-all',
      'Stop the selling of every item at once; accepted orders go on',
      'flash-sale sale stop-all --why "the price is wrong"',
    ),
  ).action((options: ActionOptions) => end(actions.stopAll(options)));
  addNameAndReason(
    addCommand(sale, 'resume-all', 'Sell again after stop-all', 'flash-sale sale resume-all'),
  ).action((options: ActionOptions) => end(actions.resumeAll(options)));
}

/** On Redis, which every gateway process reads twice a second. */
export const sellingActions = ({ terminal, access, operator }: Context) => {
  const deps = (options: ActionOptions) => ({
    terminal,
    ...operator(options),
    change: (...state: Parameters<SellingSwitch['change']>) =>
      withRedis(access(options).redis, (redis) => createSellingSwitch(redis).change(...state)),
  });
  return {
    stopAll: (options: ActionOptions) => stopAll(deps(options), options),
    resumeAll: (options: ActionOptions) => resumeAll(deps(options), options),
  };
};

type SellingActions = ReturnType<typeof sellingActions>;

interface Deps extends Operator, Pick<SellingSwitch, 'change'> {
  readonly terminal: Terminal;
}

/** `flash-sale sale stop-all`: 0 once selling is stopped, whether Kafka has the record or not. */
export async function stopAll(
  { terminal, by, change, recordLate }: Deps,
  options: ActionOptions,
): Promise<ExitCode> {
  const why = requireReason(options.why, by);
  const state = { stopped: true, at: new Date().toISOString(), by, why };
  const { before = null, after } = await change(state);
  const action = { action: 'selling.stop', why, request: {} } as const;
  const recorded = await recordLate(action, { outcome: 'done', before, after });
  const text =
    'All selling is stopped. Every gateway process refuses purchases within a second: flash-sale sale resume-all\n';
  printResult(terminal, options, { ...after, recorded }, text);
  return 0;
}

/** `flash-sale sale resume-all`: also where selling was not stopped. */
export async function resumeAll(
  { terminal, by, change, record }: Deps,
  options: ActionOptions,
): Promise<ExitCode> {
  const { why } = options;
  const state = { stopped: false, at: new Date().toISOString(), by, why: why ?? '' };
  const action = { action: 'selling.resume', why, request: {} } as const;
  const { after } = await record(
    action,
    () => change(state),
    ({ before = null, after }) => ({ outcome: 'done', before, after }),
  );
  printResult(terminal, options, after, 'Selling goes on within a second.\n');
  return 0;
}
