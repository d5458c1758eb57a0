import { setTimeout as sleep } from 'node:timers/promises';
import { assertNever } from '../../engine/orders/invariant';
import type { CancelResult } from '../../engine/orders/ledger';
import type { ItemId } from '../../engine/orders/order';
import type { StockLedger } from '../../engine/stock/stock-ledger';
import { json, type HttpResponse } from '../http/response';
import { problem } from '../http/problems';
import type { OrderView } from '../orders/order-view';
import { RequestError } from '../http/errors';
import { readCancellation, type Cancellation, type RawCancellation } from './cancel-request';
import type { CancelWorkflow } from './cancel-workflow';

export interface CancelOrder {
  /** DELETE /orders/<id>?user_id=<id>. Throws RequestError. */
  readonly answer: (raw: RawCancellation) => Promise<HttpResponse>;
}

/**
 * A run heeds its cancellation within some 100 ms, or as soon as its first charge has ended, which takes 3 s at most
 * (`workflows/steps.ts`). Only a provider that is slow to refund makes it longer.
 */
const WAIT_MS_MAX = 4_000;
const POLL_MS = 50;

/** Each one who waits costs Redis twenty small scripts a second; whoever comes on top is told to ask again. */
const WAITING_MAX = 100;

export interface CancelOrderDeps {
  readonly ledger: Pick<StockLedger, 'findOrder' | 'cancel'>;
  /** Absent: an order that is reserved already cannot be cancelled here. */
  readonly cancelWorkflow?: CancelWorkflow | undefined;
  readonly view: OrderView;
  readonly isClosing: () => boolean;
  /** Milliseconds; only tests shorten it. */
  readonly waitMsMax?: number | undefined;
}

/**
 * Orders as their buyers cancel them: by the ledger alone as long as nobody works on them, by their workflow once it does.
 * The mark in the ledger comes first, so that a run which Temporal's cancellation misses finds it when it reserves.
 */
export function createCancelOrder(deps: CancelOrderDeps): CancelOrder {
  const { ledger, cancelWorkflow, view, isClosing, waitMsMax = WAIT_MS_MAX } = deps;
  let waiting = 0;

  const cancel = async (cancellation: Cancellation): Promise<FoundVerdict | undefined> => {
    const { requestId } = cancellation;
    const found = await answered('Redis', cancellation, ledger.findOrder(requestId));
    if (!found) return undefined;
    const { itemId } = found;
    const ask = async () => ({
      itemId,
      ...(await answered('Redis', cancellation, ledger.cancel({ ...cancellation, itemId }))),
    });
    const verdict = await ask();
    if (verdict.kind !== 'under-way') return verdict;
    const told = cancelWorkflow?.(requestId) ?? Promise.reject(new Error('no TEMPORAL_ADDRESS'));
    await answered('Temporal', cancellation, told);
    return whenDecided(verdict, ask);
  };

  /** Each look is the same question to the ledger, which answers anew and changes nothing. */
  const whenDecided = async (first: FoundVerdict, ask: () => Promise<FoundVerdict>) => {
    let verdict = first;
    if (waiting >= WAITING_MAX) return verdict;
    waiting += 1;
    try {
      const until = performance.now() + waitMsMax;
      while (verdict.kind === 'under-way' && performance.now() < until && !isClosing()) {
        await sleep(POLL_MS);
        verdict = await ask();
      }
      return verdict;
    } finally {
      waiting -= 1;
    }
  };

  return {
    answer: async (raw) => {
      const cancellation = readCancellation(raw);
      if ('refusal' in cancellation) return cancellation.refusal;
      return answerTo(cancellation, await cancel(cancellation), view);
    },
  };
}

type FoundVerdict = CancelResult & { readonly itemId: ItemId };

function answerTo(
  { requestId }: Cancellation,
  verdict: FoundVerdict | undefined,
  view: OrderView,
): HttpResponse {
  if (verdict === undefined) return problem('unknown-order', { requestId });
  const orderOf = ({ itemId, entry }: Extract<FoundVerdict, { entry: object }>) =>
    view.order({ requestId, itemId, entry });
  const tooLate = (reason: 'confirmed' | 'failed', order: unknown) =>
    problem('too-late-to-cancel', { requestId, members: { reason, order } });
  switch (verdict.kind) {
    case 'unknown':
      return problem('unknown-order', { requestId });
    case 'not-the-buyer':
      return problem('not-the-buyer', { requestId });
    case 'cancelled':
      return json(200, orderOf(verdict), NO_STORE);
    case 'under-way':
      return json(202, orderOf(verdict), { ...NO_STORE, 'retry-after': '1' });
    case 'sold':
      return tooLate('confirmed', orderOf(verdict));
    case 'failed':
      return tooLate('failed', orderOf(verdict));
    default:
      return assertNever(verdict);
  }
}

const NO_STORE = { 'cache-control': 'no-store' };

/** The answer of a dependency; without one the order may be cancelled or not, and asking again is safe. */
function answered<T>(who: string, { requestId }: Cancellation, asked: Promise<T>): Promise<T> {
  return asked.catch((cause: unknown) => {
    throw new RequestError(`${who} gave no answer`, {
      problem: 'outcome-unknown',
      requestId,
      cause,
    });
  });
}
