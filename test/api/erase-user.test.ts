import { createFakeArchive, type FakeArchive } from '../support/fake-archive';
import { openOperatorGateway, problemType, type OperatorGateway } from './operator-gateway';

let fake: FakeArchive;
let open: OperatorGateway;
beforeEach(async () => {
  fake = createFakeArchive();
  open = await openOperatorGateway({ archive: fake.archive });
});
afterEach(() => open.close());

const erase = (body: object) => open.ask('POST', '/users/erase', body);

test('a user is erased, and the answer says how much and what is not reached', async () => {
  const sent = await erase({ user_id: 'u-7', why: 'erasure 17' });
  expect(sent).toMatchObject({
    status: 200,
    body: { replaced_by: 'sub-erased', orders: 2, dead_letters: 1, set_aside: 0 },
  });
  const notReached = JSON.stringify(sent.body['not_reached']);
  for (const part of ['Redis', 'Kafka', 'Temporal']) expect(notReached).toContain(part);
  expect(fake.asked).toEqual(['erase u-7']);
});

test('a user with an order that is not over is not', async () => {
  fake.answers.erasure = { kind: 'unfinished', requestIds: ['req-1'] };
  const sent = await erase({ user_id: 'u-7', why: 'erasure 17' });
  expect([sent.status, problemType(sent)]).toEqual([409, 'unfinished-orders']);
  expect(sent.body).toMatchObject({ request_ids: ['req-1'] });
});

test('it needs a reason, an id and an archive that answers', async () => {
  expect((await erase({ user_id: 'u-7' })).status).toBe(400);
  expect((await erase({ user_id: 'a b', why: 'x' })).status).toBe(400);
  expect(fake.asked).toEqual([]);
  fake.answers.isAway = true;
  const sent = await erase({ user_id: 'u-7', why: 'x' });
  expect([sent.status, problemType(sent)]).toEqual([503, 'dependency-unavailable']);
});
