import type { Static } from '@sinclair/typebox';
import { discardLetters, type DiscardDeps } from '../../engine/dead-letters/discard';
import { letterJson, wholeLetterJson } from '../../engine/dead-letters/letters';
import { lettersOf, selectLetters, type LetterFilter } from '../../engine/dead-letters/letters';
import { replay, type ReplayDeps } from '../../engine/dead-letters/replay';
import { parseMendedOrder } from '../../engine/dead-letters/replay-plan';
import { OUTCOMES, replayJson } from '../../engine/dead-letters/replay';
import { countLetters } from '../../engine/dead-letters/letters';
import { invariant } from '../../engine/orders/invariant';
import { parseRequestId } from '../../engine/orders/order';
import { json, type HttpResponse } from '../http/response';
import { problem } from '../http/problems';
import { createParser, readTime } from './read-request';
import { invalid, Refusal } from './refusal';
import {
  DiscardRequest,
  LettersQuery,
  lettersShown,
  replayBounds,
  ReplayRequest,
  RetryRequest,
} from './requests';
import type { Turns } from './turns';

export interface DeadLetterRoutesDeps extends ReplayDeps, DiscardDeps {
  readonly turns: { readonly reading: Turns; readonly acting: Turns };
}

const parseQuery = createParser(LettersQuery);
const parseReplay = createParser(ReplayRequest);
const parseDiscard = createParser(DiscardRequest);
const parseRetry = createParser(RetryRequest);

/**
 * What operators do about dead letters, by the same logic as the command line. Every handler throws a Refusal or an
 * OperatorError; reading and acting each happen one at a time.
 */
export function createDeadLetterRoutes(deps: DeadLetterRoutesDeps) {
  const readLetters = () => inTurn(deps.turns.reading, deps.readLetters);
  const doors = { ...deps, readLetters };
  const act = <T>(work: () => Promise<T>) => inTurn(deps.turns.acting, work);

  return {
    list: async (query: unknown): Promise<HttpResponse> => {
      const { limit, ...rest } = parseQuery(query);
      const filter = filterOf({ ...rest, all: rest.all === 'true' });
      const letters = selectLetters(await readLetters(), filter);
      const shown = letters.slice(-lettersShown(limit));
      return json(200, { total: letters.length, letters: shown.map(letterJson) }, NO_STORE);
    },

    stats: async (query: unknown): Promise<HttpResponse> => {
      const { limit, ...rest } = parseQuery(query);
      if (limit !== undefined) throw invalid({ path: '/limit', message: 'is not a known field' });
      const filter = filterOf({ ...rest, all: rest.all === 'true' });
      return json(200, countLetters(await readLetters(), filter), NO_STORE);
    },

    show: async (id: string): Promise<HttpResponse> =>
      json(200, { letters: lettersOf(await readLetters(), id).map(wholeLetterJson) }, NO_STORE),

    replay: async (value: unknown): Promise<HttpResponse> => {
      const request = parseReplay(value);
      const { ids = [], dry_run: dryRun = false, by = '', why = '', mended } = request;
      const missing = Object.entries({ by, why }).filter(([, text]) => !dryRun && text === '');
      if (missing.length > 0) {
        throw invalid(...missing.map(([name]) => ({ path: `/${name}`, message: 'is required' })));
      }
      if (mended !== undefined && ids.length !== 1) {
        throw invalid({ path: '/mended', message: 'takes exactly one id in ids' });
      }
      const options = {
        ...{ ids, dryRun, filter: filterOf(request), operator: { by, why: why.trim() } },
        ...replayBounds(request),
        ...(mended !== undefined && { mended: mendedOrder(mended) }),
      };
      return json(200, replayJson(await act(() => replay(options, doors))));
    },

    discard: async (value: unknown): Promise<HttpResponse> => {
      const { ids, by, why } = parseDiscard(value);
      const operator = { by, why: why.trim() };
      return json(200, { letters: await act(() => discardLetters(ids, operator, doors)) });
    },

    retry: async (raw: string | undefined, value: unknown): Promise<HttpResponse> => {
      const requestId = parseRequestId(raw);
      const { by, why } = parseRetry(value);
      if (requestId === undefined) throw new Refusal(problem('unknown-order'));
      const operator = { by, why: why.trim() };
      const one = { ids: [requestId], filter: {}, dryRun: false, operator, rate: 10, max: 1 };
      const report = await act(() => replay(one, doors));
      const [order] = replayJson(report).orders;
      const isDone = report.results.some(({ outcome }) => OUTCOMES[outcome].isDone);
      if (isDone) return json(200, order);
      invariant(order !== undefined, 'a replay of one order says what became of it');
      const { outcome, detail, letter_id } = order;
      return problem('not-replayable', { requestId, detail, members: { outcome, letter_id } });
    },
  };
}

const NO_STORE = { 'cache-control': 'no-store' };

async function inTurn<T>(turns: Turns, work: () => Promise<T>): Promise<T> {
  const done = await turns(() => work().then((value) => ({ value })));
  if (done) return done.value;
  throw new Refusal(problem('rate-limited', { retryAfterMs: 5_000 }));
}

function filterOf(
  request: Pick<Static<typeof ReplayRequest>, 'reason' | 'item_id' | 'since' | 'until' | 'all'>,
): LetterFilter {
  const { reason, item_id: item, all } = request;
  const since = readTime(request.since, '/since');
  return { reason, item, since, until: readTime(request.until, '/until'), all };
}

/** As bytes, so that it is checked exactly as a record of the log is. */
function mendedOrder(record: object) {
  const bytes = Buffer.from(JSON.stringify(record));
  return (letter: Parameters<typeof parseMendedOrder>[1]) =>
    new Promise<ReturnType<typeof parseMendedOrder>>((resolve) => {
      resolve(parseMendedOrder(bytes, letter, 'The mended record'));
    });
}
