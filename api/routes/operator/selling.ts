import { Type } from '@sinclair/typebox';
import { WHY_LENGTH_MAX } from '../../../engine/dead-letters/operator';
import type { SellingState } from '../../../engine/stock/selling-switch';
import { readFromRedis } from '../../http/errors';
import { json } from '../../http/response';
import { NO_STORE, object, orNull, text, time } from '../route';
import { By, JSON_OBJECT, operatorRoute, visibleText, type Operator } from './operator';

const Why = visibleText(WHY_LENGTH_MAX);
const state = {
  revision: Type.Number({ description: 'each change has a larger one; 0: it was never changed' }),
  stopped: Type.Boolean({ description: 'true while nothing is sold' }),
  at: orNull(time('when it was last stopped or resumed'), 'null: never'),
  by: orNull(text('the name of the operator'), 'null: never'),
  why: orNull(text('the reason of the operator'), 'null: never, or without one'),
};
const EXAMPLE = {
  revision: 1_767_614_400_000,
  stopped: true,
  at: '2026-01-05T12:00:00.000Z',
  by: 'ann',
  why: 'the price is wrong',
};

const read = operatorRoute({
  method: 'get',
  path: '/operator/selling',
  id: 'selling',
  summary: 'Read whether anything is sold',
  description: 'Whether all selling is stopped, by whom and why.',
  response: { description: 'The state.', schema: object(state), example: EXAMPLE },
  problems: [],
  handle: async ({ selling }) => {
    const found = await readFromRedis(selling.read());
    return json(200, found ? stateBody(found) : NEVER_CHANGED, NO_STORE);
  },
});

const stop = operatorRoute({
  method: 'post',
  path: '/operator/selling/stop',
  action: 'selling.stop',
  isUrgent: true,
  id: 'stopSelling',
  summary: 'Stop all selling',
  description:
    'From now on every new purchase of every item gets 503 `selling-stopped`, within a second at every gateway process, and after restarts. Orders that were accepted go on, and a repeated purchase gets its order. It does not wait for its record in Kafka: `recorded` says whether there is one.',
  body: { schema: object({ why: Why, by: By }, JSON_OBJECT), example: { why: EXAMPLE.why } },
  response: {
    description: 'Selling is stopped.',
    schema: object({
      ...state,
      recorded: Type.Boolean({
        description: 'false if Kafka has not acknowledged the record of this action',
      }),
    }),
    example: { ...EXAMPLE, recorded: true },
  },
  problems: [],
  handle: async ({ selling }, { body: { why }, by, recordLate }) => {
    const [before, after] = await change(selling, { stopped: true, by, why });
    const recorded = await recordLate({ outcome: 'done', before, after });
    return json(200, { ...after, recorded });
  },
});

const resume = operatorRoute({
  method: 'post',
  path: '/operator/selling/resume',
  action: 'selling.resume',
  id: 'resumeSelling',
  summary: 'Resume selling',
  description: 'Undoes the stop of all selling, within a second at every gateway process.',
  body: {
    schema: object({ why: Type.Optional(Why), by: By }, JSON_OBJECT),
    example: { why: 'the price is right' },
  },
  response: {
    description: 'Selling goes on.',
    schema: object(state),
    example: { ...EXAMPLE, stopped: false, why: 'the price is right' },
  },
  problems: [],
  handle: async ({ selling }, { body: { why = '' }, by }) => {
    const [before, after] = await change(selling, { stopped: false, by, why });
    return { ...json(200, after), before, after };
  },
});

/** The switch that stops all selling. */
export const SELLING_ROUTES = [read, stop, resume];

/** The state before and after. This process follows at once. */
async function change(
  selling: Operator['selling'],
  { stopped, by, why }: Pick<SellingState, 'stopped' | 'by' | 'why'>,
) {
  const change = { stopped, at: new Date().toISOString(), by, why: why.trim() };
  const { before, after } = await readFromRedis(selling.change(change));
  selling.follow(after);
  await selling.refresh();
  return [before ? stateBody(before) : NEVER_CHANGED, stateBody(after)] as const;
}

const NEVER_CHANGED = { revision: 0, stopped: false, at: null, by: null, why: null };

function stateBody({ revision, stopped, at, by, why }: SellingState) {
  return { revision, stopped, at, by, why: why === '' ? null : why };
}
