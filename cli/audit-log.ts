import type { Command } from 'commander';
import { readActions, type LoggedAction } from '../engine/operators/action-log';
import { createKafka } from '../engine/kafka/kafka-client';
import { addCommand, pastMoment, wholeNumber, type CommonOptions, type End } from './command';
import { notRunning, type Context } from './context';
import {
  printJson,
  shorten,
  table,
  type Cell,
  type Colour,
  type ExitCode,
  type Terminal,
} from './terminal';

/** Adds `audit-log`. */
export function addAuditLogCommand(program: Command, actions: AuditLogActions, end: End): void {
  addCommand(
    program,
    'audit-log',
    'What operators have done, newest last',
    'flash-sale audit-log --since 2h --item 101',
    'flash-sale audit-log --by ann --json',
  )
    .option('--since <time>', 'not before: 2026-11-24T10:00Z, or 30m, 2h, 7d ago', pastMoment)
    .option('--item <id>', 'only this item')
    .option('--by <name>', 'only this operator')
    .option('--max <number>', 'show at most this many', wholeNumber(1, 100_000), 50)
    .action((options: AuditLogOptions) => end(actions.auditLog(options)));
}

/** On the topic in Kafka. */
export const auditLogActions = ({ terminal, access, config }: Context) => ({
  auditLog: (options: AuditLogOptions) => {
    const { kafka } = access(options);
    const { operatorActionsTopic: topic } = config();
    const read = (sinceMs: number | undefined) =>
      readActions(createKafka('flash-sale-cli', kafka), topic, { sinceMs }).catch(
        (cause: unknown) => {
          throw notRunning(`Cannot read ${topic} from Kafka at ${kafka.addrs.join(',')}`, cause);
        },
      );
    return auditLog({ terminal, read }, options);
  },
});

type AuditLogActions = ReturnType<typeof auditLogActions>;

interface AuditLogOptions extends CommonOptions {
  /** Milliseconds since the epoch. */
  readonly since?: number | undefined;
  readonly item?: string | undefined;
  readonly by?: string | undefined;
  readonly max: number;
}

/** `flash-sale audit-log`: always 0, since an empty list is an answer. */
export async function auditLog(
  {
    terminal,
    read,
  }: {
    readonly terminal: Terminal;
    readonly read: (sinceMs: number | undefined) => Promise<readonly LoggedAction[]>;
  },
  { since, item, by, max, json }: AuditLogOptions,
): Promise<ExitCode> {
  const found = (await read(since)).filter(
    (action) =>
      (item === undefined || action.item_id === item) &&
      (by === undefined || action.by === by || action.on_behalf_of === by),
  );
  const shown = found.slice(-max);
  if (json) printJson(terminal, shown);
  else if (shown.length === 0) terminal.out('No actions of operators.\n');
  else {
    const head = ['time', 'by', 'door', 'action', 'item', 'outcome', 'why', 'before → after'];
    terminal.out(table(terminal, shown.map(actionRow), head));
    if (shown.length < found.length) {
      terminal.out(`The newest ${shown.length} of ${found.length}; --max shows more.\n`);
    }
  }
  return 0;
}

/** --json has all of it. */
const CHANGE_LENGTH_MAX = 100;

const COLOURS = {
  done: 'green',
  refused: 'grey',
  unknown: 'yellow',
  unrecorded: 'red',
} as const satisfies Record<LoggedAction['outcome'], Colour>;

function actionRow(action: LoggedAction): Cell[] {
  const { at, by, on_behalf_of: other, door, item_id, outcome, why, before, after } = action;
  const detail = action.detail === null ? outcome : `${outcome}: ${action.detail}`;
  const change = `${JSON.stringify(before)} → ${JSON.stringify(after)}`;
  return [
    at,
    other === null ? by : `${by} for ${other}`,
    door,
    action.action,
    item_id ?? '-',
    { text: shorten(detail, CHANGE_LENGTH_MAX), colour: COLOURS[outcome] },
    why ?? '-',
    outcome === 'done' ? shorten(change, CHANGE_LENGTH_MAX) : '-',
  ];
}
