import { encodeOrder, originalText } from '../orders/order-record';
import type { Order } from '../orders/order';
import type { MarkKind } from '../orders/dead-letter';
import type { MarkWriter, StoredDeadLetter } from '../kafka/dead-letters';
import type { SafeProducer } from '../kafka/safe-producer';
import type { LetterFilter } from './letters';
import { OperatorError, type Operator } from './operator';
import type { Letters } from './read-letters';
import type { OrderReplayer } from './order-replayer';
import { letterToMend, planReplay, type Candidate, type RefusedLetter } from './replay-plan';

/** Opens a client, runs `use` with it and closes it. Throws an OperatorError when the system does not answer. */
type With<Client> = <T>(use: (client: Client) => Promise<T>) => Promise<T>;

export interface ReplayDeps {
  readonly readLetters: () => Promise<Letters>;
  readonly withReplayer: With<OrderReplayer>;
  readonly withMarks: With<MarkWriter>;
  /** The orders topic. */
  readonly withOrders: With<Pick<SafeProducer, 'append'>>;
  /** Claims the request_id for the order, as the gateway does; false when another request has it. */
  readonly claim: (order: Order) => Promise<boolean>;
  readonly now: () => number;
  readonly sleep: (ms: number) => Promise<unknown>;
  /** Called after each order with the results so far and the number of orders. */
  readonly onProgress?: (results: readonly ReplayResult[], orders: number) => void;
}

export interface ReplayRequest {
  /** request_ids or letter ids; empty: every letter that matches the filter. */
  readonly ids: readonly string[];
  readonly filter: LetterFilter;
  readonly operator: Operator;
  /** Starts per second at most: a large replay must not crowd out a running sale. */
  readonly rate: number;
  /** Starts at most. */
  readonly max: number;
  readonly dryRun: boolean;
  /** Reads the mended record of the one letter in `ids`. */
  readonly mended?: ((letter: StoredDeadLetter) => Promise<Order>) | undefined;
}

export interface ReplayReport {
  readonly results: readonly ReplayResult[];
  /** Those that were seen before `max` was reached. */
  readonly refused: readonly Refusal[];
  /** Orders that were not tried, because `max` was reached. */
  readonly left: number;
  /** Which letters may have been missing. */
  readonly warnings: readonly string[];
}

/** Without the bytes of the letter: there may be many. */
export interface Refusal extends Omit<RefusedLetter, 'letter'> {
  readonly letter: { readonly id: string; readonly requestId: string | undefined };
}

export interface ReplayResult {
  readonly requestId: string;
  readonly letterId: string;
  readonly outcome: ReplayOutcome;
  readonly runId?: string | undefined;
}

export type ReplayOutcome = keyof typeof OUTCOMES;

/** `isDone`: the order is as the operator wants it. */
export const OUTCOMES = {
  started: { detail: 'a new run has been started', isDone: true },
  'would-start': { detail: 'a new run would be started', isDone: true },
  appended: { detail: 'the mended record is among the orders', isDone: true },
  'would-append': { detail: 'the mended record would be appended', isDone: true },
  running: { detail: 'it is running already: nothing was done', isDone: true },
  sold: { detail: 'it has been sold since: nothing was done', isDone: true },
  cancelled: { detail: 'it was cancelled since: it is left alone', isDone: false },
  'failed-again': {
    detail: 'another replay ran and failed meanwhile: the order has a newer letter',
    isDone: false,
  },
  'failed-before': {
    detail: 'an order with its id exists and failed: replay that without a mended record',
    isDone: false,
  },
  'other-order': { detail: 'its id belongs to another order: discard it', isDone: false },
} as const;

/**
 * Starts failed orders again. Replay is idempotent: running, sold and cancelled orders are skipped and reported, so a
 * replay that was interrupted can be repeated. Throws an OperatorError.
 */
export async function replay(request: ReplayRequest, deps: ReplayDeps): Promise<ReplayReport> {
  const { ids, filter, mended } = request;
  const readAt = deps.now();
  const letters = await deps.readLetters();
  const { warnings } = letters;
  if (mended) {
    const letter = letterToMend(await letters.of(ids), ids[0] ?? '', filter);
    const order = await mended(letter);
    const result = await withClients(deps, request, (clients) =>
      replayMended({ order, letter }, request, { ...deps, ...clients }),
    );
    return { results: [result], refused: [], left: 0, warnings };
  }
  const refused: Refusal[] = [];
  const candidates = findCandidates(request, letters, refused);
  const first = await candidates.next();
  if (first.done) return { results: [], refused, left: 0, warnings };
  const orders =
    ids.length > 0
      ? new Set((await letters.of(ids)).map(({ requestId }) => requestId)).size
      : (await letters.totals(filter)).orders;
  const results: ReplayResult[] = [];
  const isOver = await withClients(deps, request, (clients) =>
    replayOrders(
      { first: first.value, rest: candidates, orders, results },
      { ...request, readAt },
      { ...deps, ...clients },
    ),
  );
  if (isOver) return { results, refused, left: 0, warnings };
  // The one that was not tried, and those behind it.
  let left = 1;
  if (ids.length === 0) left = Math.max(left, orders - results.length);
  else while (!(await candidates.next()).done) left += 1;
  return { results, refused, left, warnings };
}

/** The orders to try, page by page of their letters, each once, however many letters it has. */
async function* findCandidates(
  { ids, filter }: Pick<ReplayRequest, 'ids' | 'filter'>,
  letters: Letters,
  refused: Refusal[],
): AsyncGenerator<Candidate, undefined> {
  const seen = new Set<string>();
  const isNew = (key: string) => !seen.has(key) && seen.add(key);
  const pages = ids.length > 0 ? [await letters.of(ids)] : letters.pages(filter);
  for await (const page of pages) {
    // A replay marks all letters of an order, and starts the newest, wherever they are.
    const whole = await letters.of(page.map(({ id, requestId = id }) => requestId));
    const plan = planReplay(whole, ids, filter);
    for (const { letter, outcome, detail } of plan.refused) {
      const { id, requestId } = letter;
      if (isNew(`letter ${id}`)) refused.push({ letter: { id, requestId }, outcome, detail });
    }
    for (const candidate of plan.candidates) {
      if (isNew(`order ${candidate.order.requestId}`)) yield candidate;
    }
  }
}

interface Clients {
  readonly replayer: OrderReplayer;
  /** Does nothing in a dry run. */
  readonly mark: (
    letters: readonly StoredDeadLetter[],
    kind: MarkKind,
    runId?: string,
  ) => Promise<void>;
}

function withClients<T>(
  { withReplayer, withMarks, now }: ReplayDeps,
  { dryRun, operator }: ReplayRequest,
  use: (clients: Clients) => Promise<T>,
): Promise<T> {
  return withReplayer((replayer) => {
    if (dryRun) return use({ replayer, mark: () => Promise.resolve() });
    return withMarks((marks) =>
      use({
        replayer,
        mark: async (letters, kind, runId) => {
          const mark = { kind, ...operator, at: now(), ...(runId !== undefined && { runId }) };
          await Promise.all(letters.map((letter) => marks.mark(letter, mark)));
        },
      }),
    );
  });
}

/**
 * Replays one order after the other, and returns whether that were all. An OperatorError says at which order it stopped.
 */
async function replayOrders(
  {
    first,
    rest,
    orders,
    results,
  }: {
    readonly first: Candidate;
    readonly rest: AsyncGenerator<Candidate, undefined>;
    /** About how many they are. */
    readonly orders: number;
    readonly results: ReplayResult[];
  },
  request: ReplayRequest & { readonly readAt: number },
  deps: ReplayDeps & Clients,
): Promise<boolean> {
  const pace = createPace(request.rate, deps);
  let starts = 0;
  let candidate: Candidate | undefined = first;
  try {
    for (; candidate; candidate = (await rest.next()).value) {
      if (starts >= request.max) return false;
      const result = await replayOrder(candidate, request, { ...deps, pace });
      if (result.outcome === 'started' || result.outcome === 'would-start') starts += 1;
      results.push(result);
      candidate = undefined;
      deps.onProgress?.(results, Math.max(orders, results.length));
    }
    return true;
  } catch (error) {
    if (!(error instanceof OperatorError)) throw error;
    throw new OperatorError(
      error.kind,
      `${error.message} Stopped at order ${results.length + 1} of ${orders}${candidate ? `, ${candidate.order.requestId}` : ''}; the same command goes on from there.`,
      { cause: error.cause },
    );
  }
}

async function replayOrder(
  { order, letter, openLetters }: Candidate,
  { operator, dryRun, readAt }: ReplayRequest & { readonly readAt: number },
  { replayer, mark, claim, pace }: ReplayDeps & Clients & { readonly pace: () => Promise<void> },
): Promise<ReplayResult> {
  const { requestId } = order;
  const result = (outcome: ReplayOutcome, runId?: string): ReplayResult => ({
    requestId,
    letterId: letter.id,
    outcome,
    runId,
  });
  const state = await replayer.look(order);
  if (state.kind === 'sold') await mark(openLetters, 'sold');
  if (state.kind !== 'none' && state.kind !== 'failed') return result(state.kind);
  // A run that closed after the letters were read was started by another replay, and has a newer letter. A run that had
  // closed before without a letter (terminated, say) is no reason to wait for one.
  const isNewer =
    state.kind === 'failed' &&
    state.closedAt >= readAt &&
    letter.runId !== undefined &&
    state.runId !== letter.runId;
  if (isNewer) return result('failed-again');
  if (dryRun) return result('would-start');

  await pace();
  // Before the start: without a claim the order is not found, and its id is free for another request.
  if (!(await claim(order))) return result('other-order');
  const input = {
    order,
    ...(letter.source && { source: letter.source }),
    ...originalText(letter.value, order),
  };
  const runId = await replayer.start(input, { ...operator, letterId: letter.id });
  // Another replay started the order first.
  if (runId === undefined) return result('running');
  // After the start: if this process dies in between, the letter stays open and the order is found running or sold.
  await mark(openLetters, 'replayed', runId);
  return result('started', runId);
}

/**
 * Appends a mended record to the orders topic, where ingest starts it as any other: its units were never held or are free
 * again, and its workflow reserves them afresh. Appends nothing for a request_id that already is an order.
 */
async function replayMended(
  { order, letter }: Pick<Candidate, 'order' | 'letter'>,
  { operator, dryRun }: ReplayRequest,
  { replayer, mark, withOrders, claim }: ReplayDeps & Clients,
): Promise<ReplayResult> {
  const { requestId } = order;
  const result = (outcome: ReplayOutcome) => ({ requestId, letterId: letter.id, outcome });
  const state = await replayer.look(order);
  if (state.kind === 'sold') await mark([letter], 'sold');
  // Ingest takes a record of an order that was started before for a repetition, however the order ended.
  if (state.kind === 'failed') return result('failed-before');
  if (state.kind !== 'none') return result(state.kind);
  if (dryRun) return result('would-append');
  const isAppended = await withOrders(async (orders) => {
    if (!(await claim(order))) return false;
    const headers = { 'mended-from': letter.id, ...operator };
    await orders.append({ key: requestId, value: encodeOrder(order), headers });
    // Before the producer is closed, which can take seconds: a crash here leaves an open letter of an appended order.
    await mark([letter], 'replayed');
    return true;
  });
  return result(isAppended ? 'appended' : 'other-order');
}

/** Returns a function that waits so that it resolves at most `rate` times per second, evenly spaced. */
function createPace(rate: number, { now, sleep }: Pick<ReplayDeps, 'now' | 'sleep'>) {
  let next = 0;
  return async (): Promise<void> => {
    const waitMs = next - now();
    if (waitMs > 0) await sleep(waitMs);
    next = now() + 1_000 / rate;
  };
}

/** A report as JSON. */
export function replayJson({ results, refused, left, warnings }: ReplayReport) {
  return {
    orders: [
      ...results.map(({ requestId, letterId, outcome, runId }) => ({
        request_id: requestId,
        letter_id: letterId,
        outcome,
        run_id: runId ?? null,
        detail: OUTCOMES[outcome].detail,
      })),
      ...refused.map(({ letter, outcome, detail }) => ({
        request_id: letter.requestId ?? null,
        letter_id: letter.id,
        outcome,
        run_id: null,
        detail,
      })),
    ],
    left,
    warnings,
  };
}
