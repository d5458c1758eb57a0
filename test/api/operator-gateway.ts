import type { TraceTarget } from '../../api/routes/operator/operator';
import type { RunState } from '../../engine/dead-letters/order-replayer';
import { OperatorError } from '../../engine/dead-letters/operator';
import { createLetters } from '../../engine/dead-letters/read-letters';
import { createActionLog, type ActionRecord } from '../../engine/operators/action-log';
import { createCredential, sharedCredential } from '../../engine/operators/credentials';
import type { DeadLetterMark } from '../../engine/orders/dead-letter';
import type { RefundInput } from '../../engine/orders/refund';
import type { RefundOutcome } from '../../engine/payments/start-refund';
import type { StoredDeadLetter } from '../../engine/kafka/dead-letters';
import type { LogEntry } from '../../engine/kafka/safe-producer';
import type {
  Restock,
  RestockResult,
  SaleChange,
  SaleChangeResult,
} from '../../engine/stock/stock-operations';
import type { SellingChange, SellingState } from '../../engine/stock/selling-switch';
import type { JwtSettings } from '../../platform/config/buyer-auth';
import { at } from '../cli/letters';
import type { FakeArchive } from '../support/fake-archive';
import { openGateway, reply, type OpenGateway, type Reply } from './open-gateway';

export const TOKEN = 'a-token-of-some-length';

const READER = createCredential('rita', 'read', 0);
const OPERATOR = createCredential('otto', 'operate', 0);
/** The tokens of named credentials. */
export const TOKENS = { read: READER.token, operate: OPERATOR.token };

export interface OperatorGateway extends OpenGateway {
  readonly ask: (
    method: string,
    path: string,
    body?: unknown,
    token?: string,
    headers?: Readonly<Record<string, string>>,
  ) => Promise<Reply>;
  readonly restocks: Restock[];
  readonly changes: SaleChange[];
  readonly marks: DeadLetterMark[];
  readonly starts: string[];
  /** Refunds that were asked for. */
  readonly refunds: RefundInput[];
  readonly appended: LogEntry[];
  /** What Kafka has of the operators' actions. */
  readonly actions: ActionRecord[];
  /** What was reported of them, with the error where Kafka was away. */
  readonly reported: [ActionRecord, unknown][];
  /** The switch of selling in Redis. */
  readonly selling: FakeSwitch;
  readonly answers: {
    restock: RestockResult;
    change: SaleChangeResult;
    refund: () => Promise<RefundOutcome>;
    reading: Promise<unknown>;
    /** How many records of actions are acknowledged before Kafka is away. */
    acknowledged: number;
  };
}

/** A gateway with operators before a ledger, a Kafka and a Temporal that answer at once and as they are told. */
export async function openOperatorGateway({
  letters = [],
  warnings = [],
  standings = {},
  kafkaIsAway = false,
  jwt,
  trace,
  archive,
}: {
  letters?: readonly StoredDeadLetter[];
  /** What may be missing of them. */
  warnings?: readonly string[];
  standings?: Readonly<Record<string, RunState>>;
  kafkaIsAway?: boolean;
  jwt?: JwtSettings;
  trace?: TraceTarget;
  archive?: FakeArchive['archive'];
} = {}): Promise<OperatorGateway> {
  const restocks: Restock[] = [];
  const changes: SaleChange[] = [];
  const marks: DeadLetterMark[] = [];
  const starts: string[] = [];
  const refunds: RefundInput[] = [];
  const appended: LogEntry[] = [];
  const answers: OperatorGateway['answers'] = {
    restock: {
      kind: 'restocked',
      before: 1,
      after: 6,
      supply: 106,
      isNewItem: false,
      wasDoneBefore: false,
    },
    change: { kind: 'changed', before: {}, after: { price: '5' } },
    refund: () => Promise.resolve({ kind: 'pending' }),
    reading: Promise.resolve(),
    acknowledged: Infinity,
  };
  const selling: FakeSwitch = { state: undefined, isAway: false };
  const actions: ActionRecord[] = [];
  const reported: [ActionRecord, unknown][] = [];
  const operator = {
    credentials: () => [sharedCredential(TOKEN), READER.credential, OPERATOR.credential],
    actions: createActionLog({
      withPublisher: (use) =>
        use({
          append: ({ value }) => {
            if (actions.length >= answers.acknowledged) {
              return Promise.reject(
                new OperatorError('unavailable', 'Kafka at kafka:9092 is away'),
              );
            }
            actions.push(JSON.parse(value.toString()) as ActionRecord);
            return Promise.resolve({ partition: 0, offset: '0' });
          },
        }),
      now: Date.now,
      report: (record, error) => {
        reported.push([record, error]);
      },
    }),
    selling: {
      ...createSwitch(selling),
      follow: () => undefined,
      refresh: () => Promise.resolve(),
      standing: () =>
        selling.state?.stopped === true ? ('stopped' as const) : ('selling' as const),
    },
    archive: archive?.orders,
    refunds: {
      refund: (input: RefundInput) => {
        refunds.push(input);
        return answers.refund();
      },
    },
    operations: {
      restock: (restock: Restock) => {
        restocks.push(restock);
        return Promise.resolve(answers.restock);
      },
      changeSale: (_item: string, change: SaleChange) => {
        changes.push(change);
        return Promise.resolve(answers.change);
      },
    },
    letters: {
      readLetters: async () => {
        await answers.reading;
        if (kafkaIsAway) throw new OperatorError('unavailable', 'Kafka at kafka:9092 is away');
        return createLetters({ memory: letters, warnings });
      },
      withMarks: <T>(use: (door: { mark: MarkLetter }) => Promise<T>) =>
        use({
          mark: ({ id }, made) => {
            marks.push({ letterId: id, ...made });
            return Promise.resolve();
          },
        }),
      withOrders: <T>(use: (door: { append: Append }) => Promise<T>) =>
        use({
          append: (entry) => {
            appended.push(entry);
            return Promise.resolve({ partition: 0, offset: '0' });
          },
        }),
      withReplayer: <T>(use: (door: Replayer) => Promise<T>) =>
        use({
          look: ({ requestId }) =>
            Promise.resolve(
              standings[requestId] ?? {
                kind: 'failed',
                runId: `${requestId}-run`,
                closedAt: at(1),
              },
            ),
          start: ({ order }) => {
            starts.push(order.requestId);
            return Promise.resolve('run-2');
          },
        }),
      claim: () => Promise.resolve(true),
      now: Date.now,
      sleep: () => Promise.resolve(),
    },
  };
  const { standing } = operator.selling;
  const open = await openGateway({
    units: 3,
    change: () => ({ operator, jwt, trace, archive, selling: standing }),
  });
  const ask: OperatorGateway['ask'] = async (method, path, body, token = TOKEN, headers = {}) =>
    reply(
      await fetch(`${open.adminUrl}/operator${path}`, {
        method,
        headers: {
          ...(token !== '' && { authorization: `Bearer ${token}` }),
          ...(body !== undefined && { 'content-type': 'application/json' }),
          ...headers,
        },
        ...(body !== undefined && { body: typeof body === 'string' ? body : JSON.stringify(body) }),
      }),
    );
  return {
    ...open,
    ask,
    restocks,
    changes,
    marks,
    starts,
    refunds,
    appended,
    actions,
    reported,
    selling,
    answers,
  };
}

interface FakeSwitch {
  state: SellingState | undefined;
  isAway: boolean;
}

function createSwitch(fake: FakeSwitch) {
  const orAway = <T>(value: T) =>
    fake.isAway ? Promise.reject(new Error('no answer')) : Promise.resolve(value);
  return {
    read: () => orAway(fake.state),
    change: async (state: SellingChange) => {
      const before = await orAway(fake.state);
      const after = { ...state, revision: (before?.revision ?? 0) + 1 };
      fake.state = after;
      return { before, after };
    },
  };
}

/** The type of the problem that an answer is. */
export function problemType({ body }: Pick<Reply, 'body'>): string {
  return String(body['type']).replace('/problems/', '');
}

type MarkLetter = (letter: { id: string }, mark: Omit<DeadLetterMark, 'letterId'>) => Promise<void>;
type Append = (entry: LogEntry) => Promise<{ partition: number; offset: string }>;
interface Replayer {
  readonly look: (order: { requestId: string }) => Promise<RunState>;
  readonly start: (input: { order: { requestId: string } }) => Promise<string | undefined>;
}
