import { randomUUID } from 'node:crypto';
import type { Kafka } from 'kafkajs';
import type { Logger } from '../../platform/logger';
import { sharedCounter } from '../../platform/metrics';
import { within } from '../../platform/until';
import { describeError, UserError } from '../../platform/user-error';
import type { Publisher } from '../dead-letters/dead-letter-log';
import { OperatorError } from '../dead-letters/operator';
import { readLog } from '../kafka/read-log';
import type { LogEntry } from '../kafka/safe-producer';
import { parseSellingState, type SellingState } from '../stock/selling-switch';
import type { Role } from './credentials';

export type ActionName =
  | 'stock.restock'
  | 'stock.repair'
  | 'stock.rebuild'
  | 'stock.open'
  | 'sale.change'
  | 'item.retire'
  | 'dead-letters.replay'
  | 'dead-letters.discard'
  | 'order.refund'
  | 'selling.stop'
  | 'selling.resume'
  | 'orders.export'
  | 'users.erase'
  | 'archive.retry';

/** Who acts, and by which door. Only the gateway knows credentials: the command line works with those of Redis and Kafka. */
export interface Actor {
  readonly by: string;
  readonly door: 'http' | 'cli';
  readonly role?: Role;
  /** The id of the credential. */
  readonly credential?: string;
  /** Names the request in the log of the gateway. */
  readonly httpRequestId?: string;
}

export interface Action {
  readonly action: ActionName;
  readonly itemId?: string | undefined;
  readonly why?: string | undefined;
  /** For whom the actor says to act. Nobody checks it. */
  readonly onBehalfOf?: string | undefined;
  /** What was asked for; JSON. */
  readonly request: unknown;
}

/** What has come of an action. `unknown`: a system gave no answer, so that it may have happened or not. */
export interface Outcome {
  readonly outcome: 'done' | 'refused' | 'unknown';
  /** Why it was refused, or what is unknown. */
  readonly detail?: string | undefined;
  /** What was changed, as it was and as it is; JSON. */
  readonly before?: unknown;
  readonly after?: unknown;
}

/** A record of the topic. An action has two: the intent is written before it is carried out, the outcome after. */
export interface ActionRecord {
  /** Of the action: the same in both. */
  readonly id: string;
  readonly phase: 'intent' | 'outcome';
  /** When it was written. */
  readonly at: string;
  readonly action: ActionName;
  readonly item_id: string | null;
  readonly by: string;
  readonly on_behalf_of: string | null;
  readonly role: Role | null;
  readonly credential: string | null;
  readonly door: 'http' | 'cli';
  /** Null for the command line. */
  readonly http_request_id: string | null;
  readonly why: string | null;
  readonly request: unknown;
  /** Null in an intent. */
  readonly outcome: Outcome['outcome'] | null;
  readonly detail: string | null;
  readonly before: unknown;
  readonly after: unknown;
}

export interface ActionLogDeps {
  /** Opens a producer for the topic and closes it. Throws when Kafka does not answer. */
  readonly withPublisher: <T>(use: (publisher: Publisher) => Promise<T>) => Promise<T>;
  readonly now: () => number;
  /** Called with each outcome; `error` where Kafka has not acknowledged it, so that this is its only trace. */
  readonly report: (record: ActionRecord, error?: unknown) => void;
}

export type ActionLog = ReturnType<typeof createActionLog>;
/** Carries an action out between its two records. */
export type RecordAction = <T>(
  action: Action,
  act: () => Promise<T>,
  describe: (result: T) => Outcome,
) => Promise<T>;

/** Records what has been carried out already. Resolves with whether Kafka has acknowledged the record. */
export type RecordLate = (action: Action, outcome: Outcome) => Promise<boolean>;

/** A person waits, and what was asked for has happened. */
const LATE_RECORD_MS_MAX = 5_000;

/** The record of what operators do. */
export function createActionLog({ withPublisher, now, report }: ActionLogDeps) {
  const outcomeOf = (intent: ActionRecord, outcome: Outcome): ActionRecord => ({
    ...intent,
    phase: 'outcome',
    at: new Date(now()).toISOString(),
    outcome: outcome.outcome,
    detail: outcome.detail ?? null,
    before: bounded(outcome.before),
    after: bounded(outcome.after),
  });

  return {
    /**
     * For one actor. Carries nothing out, and throws an OperatorError, unless Kafka has acknowledged the intent: an action
     * without any record would be worse than one that has to be repeated. Afterwards the result is the action's own. An
     * outcome that Kafka does not acknowledge is reported, and its intent stays.
     */
    recorder:
      (actor: Actor): RecordAction =>
      async (action, act, describe) => {
        const intended = { isRecorded: false };
        try {
          return await withPublisher(async (publisher) => {
            const intent = intentOf(actor, action, now());
            await publisher.append(encode(intent));
            intended.isRecorded = true;
            const ended = await settled(act);
            const outcome = 'error' in ended ? failure(ended.error) : describe(ended.result);
            const record = outcomeOf(intent, outcome);
            await publisher.append(encode(record)).then(
              () => {
                report(record);
              },
              (error: unknown) => {
                report(record, error);
              },
            );
            if ('error' in ended) throw ended.error;
            return ended.result;
          });
        } catch (error) {
          if (intended.isRecorded) throw error;
          throw new OperatorError(
            'unrecorded',
            'The action could not be recorded in Kafka, so it was not carried out.',
            { cause: error },
          );
        }
      },

    /** For what must not wait for Kafka. The record is reported in any case. */
    lateRecorder:
      (actor: Actor): RecordLate =>
      async (action, outcome) => {
        const record = outcomeOf(intentOf(actor, action, now()), outcome);
        const recorded = withPublisher((publisher) => publisher.append(encode(record)));
        try {
          await within(recorded, LATE_RECORD_MS_MAX, 'recording an action');
          report(record);
          return true;
        } catch (error) {
          report(record, error);
          return false;
        }
      },
  };
}

/** Logs each action. One whose outcome is not in Kafka is an error, and is counted. */
export function reportToLog(logger: Logger): ActionLogDeps['report'] {
  const unrecorded = sharedCounter({
    name: 'flash_sale_unrecorded_actions_total',
    help: 'Actions of operators whose outcome Kafka has not acknowledged: they are in the log',
  });
  return (record, error) => {
    const fields = { operatorAction: record, httpRequestId: record.http_request_id };
    if (error === undefined) {
      logger.info(fields, 'an operator has acted');
      return;
    }
    unrecorded.inc();
    logger.error({ ...fields, err: error }, 'an action of an operator is not in Kafka');
  };
}

function intentOf(actor: Actor, action: Action, now: number): ActionRecord {
  return {
    id: randomUUID(),
    phase: 'intent',
    at: new Date(now).toISOString(),
    action: action.action,
    item_id: action.itemId ?? null,
    by: actor.by,
    on_behalf_of: action.onBehalfOf ?? null,
    role: actor.role ?? null,
    credential: actor.credential ?? null,
    door: actor.door,
    http_request_id: actor.httpRequestId ?? null,
    why: action.why ?? null,
    request: bounded(action.request),
    outcome: null,
    detail: null,
    before: null,
    after: null,
  };
}

async function settled<T>(
  act: () => Promise<T>,
): Promise<{ readonly result: T } | { readonly error: unknown }> {
  try {
    return { result: await act() };
  } catch (error) {
    return { error };
  }
}

function failure(error: unknown): Outcome {
  const isRefusal =
    error instanceof OperatorError
      ? error.kind !== 'unavailable'
      : error instanceof UserError && error.exitCode === 1;
  return { outcome: isRefusal ? 'refused' : 'unknown', detail: describeError(error) };
}

/** Three of them and the rest stay below the megabyte that a broker accepts by default. A large replay lists its orders. */
const PART_LENGTH_MAX = 50_000;

/** A value as JSON has it, or the beginning of its text where it is too long. */
function bounded(value: unknown): unknown {
  if (value === undefined) return null;
  const text = JSON.stringify(value);
  return text.length <= PART_LENGTH_MAX ? value : { cut: text.slice(0, PART_LENGTH_MAX) };
}

function encode(record: ActionRecord): LogEntry {
  return { key: record.item_id ?? record.action, value: Buffer.from(JSON.stringify(record)) };
}

/** As it is read: an action is one entry, with what is known of it. */
export interface LoggedAction extends Omit<ActionRecord, 'phase' | 'outcome'> {
  /** `unrecorded`: there is only an intent. It may have been carried out, be under way, or have been given up. */
  readonly outcome: Outcome['outcome'] | 'unrecorded';
}

const READ_MS_MAX = 60_000;

/** The actions since a time, oldest first. `at` is that of the outcome, where there is one. Throws when Kafka does not answer. */
export async function readActions(
  kafka: Kafka,
  topic: string,
  { sinceMs = 0 }: { readonly sinceMs?: number | undefined } = {},
): Promise<readonly LoggedAction[]> {
  const actions = new Map<string, LoggedAction>();
  await readLog(kafka, topic, { fromMs: sinceMs, msMax: READ_MS_MAX }, ({ value }) => {
    const record = decodeAction(value);
    if (!record) return;
    const { phase, outcome, ...rest } = record;
    if (phase === 'outcome') actions.set(record.id, { ...rest, outcome: outcome ?? 'unknown' });
    // An append without an answer is repeated, so that an intent may come again after its outcome.
    else if (!actions.has(record.id)) actions.set(record.id, { ...rest, outcome: 'unrecorded' });
  });
  return [...actions.values()].sort((one, other) => one.at.localeCompare(other.at));
}

/** A record is younger than the state in it, but the clocks of Redis and of Kafka may differ by so much. */
const CLOCKS_DIFFER_MS_MAX = 10 * 60_000;

/** A million actions take half a minute. This only bounds a Kafka that stops answering. */
const READ_SELLING_MS_MAX = 300_000;

/**
 * The newest recorded state of the switch of selling, at least if it is newer than a revision. Calls `onProgress` with each
 * action. Throws when Kafka does not answer.
 */
export async function readRecordedSelling(
  kafka: Kafka,
  topic: string,
  sinceRevision: number,
  onProgress: () => void = () => undefined,
): Promise<SellingState | undefined> {
  let newest: SellingState | undefined;
  const options = { fromMs: sinceRevision - CLOCKS_DIFFER_MS_MAX, msMax: READ_SELLING_MS_MAX };
  await readLog(kafka, topic, options, ({ key, value }) => {
    onProgress();
    // Few of them are about the switch, and only those are parsed.
    if (key?.toString().startsWith('selling.') !== true) return;
    const record = decodeAction(value);
    if (!record?.action.startsWith('selling.') || record.outcome !== 'done') return;
    const state = parseSellingState(record.after);
    if (state && state.revision > (newest?.revision ?? 0)) newest = state;
  });
  return newest;
}

/** Undefined for what is no record of an action: the topic is readable and writable for others. */
export function decodeAction(value: Buffer | null): ActionRecord | undefined {
  try {
    const record = JSON.parse(value?.toString() ?? '') as Partial<ActionRecord> | null;
    const texts = [record?.id, record?.at, record?.action, record?.by];
    return texts.every((text) => typeof text === 'string') ? (record as ActionRecord) : undefined;
  } catch {
    return undefined;
  }
}
