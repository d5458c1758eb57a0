import { Type } from '@sinclair/typebox';
import { ERASED_USER } from '../../../engine/archive/erase-user';
import { WHY_LENGTH_MAX } from '../../../engine/dead-letters/operator';
import { parseUserId } from '../../../engine/orders/order';
import { Id } from '../../buy/buy-request';
import { readFromArchive } from '../../http/errors';
import { problem } from '../../http/problems';
import { json } from '../../http/response';
import { object, text } from '../route';
import { By, invalid, JSON_OBJECT, operatorRoute, visibleText } from './operator';

/** What forgets by itself, or by other means: docs/personal-data.md. */
const NOT_REACHED = [
  'Redis: entries of orders that have not left the ledger, the counts of buyers, and claims',
  'Kafka: orders, cancellations, order events and dead letters, until their retention ends',
  'Temporal: runs, until their retention ends',
  'the payment provider, logs and backups',
];

const count = (description: string) => Type.Integer({ minimum: 0, description });

export const Erased = object({
  replaced_by: text('what stands instead of the user_id'),
  orders: count('orders that were changed; they stay, with what they cost and how they ended'),
  dead_letters: count('dead letters whose bytes were deleted'),
  set_aside: count('records that could not be archived and were deleted'),
  not_reached: Type.Array(Type.String(), { description: 'where the user_id may still be' }),
});

const eraseUser = operatorRoute({
  method: 'post',
  path: '/operator/users/erase',
  action: 'users.erase',
  id: 'eraseUser',
  summary: 'Erase a user from the archive',
  description:
    'Idempotent. Is refused while an order of the user is not over. The record of the action does not name the user. `not_reached` says where else the user_id may be. Needs a gateway with an archive.',
  body: {
    schema: object({ user_id: Id, by: By, why: visibleText(WHY_LENGTH_MAX) }, JSON_OBJECT),
    example: { user_id: 'u-7', why: 'erasure 17' },
  },
  response: {
    description: 'What was erased.',
    schema: Erased,
    example: {
      replaced_by: ERASED_USER,
      orders: 3,
      dead_letters: 1,
      set_aside: 0,
      not_reached: NOT_REACHED,
    },
  },
  problems: ['no-archive', 'unfinished-orders'],
  handle: async ({ archive }, { body }) => {
    if (!archive) return problem('no-archive');
    const userId = parseUserId(body.user_id);
    if (!userId) throw invalid({ path: '/user_id', message: 'must be the id of a user' });
    const result = await readFromArchive(archive.eraseUser(userId));
    if (result.kind === 'unfinished') {
      const members = { request_ids: result.requestIds };
      return problem('unfinished-orders', { members });
    }
    const { orders, deadLetters: dead_letters, setAside: set_aside } = result;
    const after = { replaced_by: ERASED_USER, orders, dead_letters, set_aside };
    return { ...json(200, { ...after, not_reached: NOT_REACHED }), after };
  },
});

/** What operators owe to a user. */
export const USER_ROUTES = [eraseUser];
