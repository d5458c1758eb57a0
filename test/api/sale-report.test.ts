import type { SaleReport } from '../../engine/archive/report';
import { createFakeArchive, type FakeArchive } from '../support/fake-archive';
import { openOperatorGateway, problemType, type OperatorGateway } from './operator-gateway';

let fake: FakeArchive;
let open: OperatorGateway;
beforeEach(async () => {
  fake = createFakeArchive();
  open = await openOperatorGateway({ archive: fake.archive });
});
afterEach(() => open.close());

const REPORT: SaleReport = {
  item_id: '101',
  accepted: { orders: 1, units: 1, first_at: null, last_at: null },
  confirmed: {
    orders: 0,
    units: 0,
    buyers: 0,
    revenue: [],
    last_at: null,
    seconds_to_last_unit: null,
  },
  refunded: { orders: 0, units_restocked: 0, money: [] },
  failed: { orders: 0, by_reason: {} },
  cancelled: { orders: 0 },
  refused: { requests: 2, by_reason: { 'sold-out': 2 } },
  open: { orders: 1 },
  to_outcome_ms: null,
  curve: { seconds_per_point: 1, points: [] },
};

test('a report is what the archive says of the item', async () => {
  fake.answers.report = REPORT;
  expect(await open.ask('GET', '/items/101/report')).toMatchObject({ status: 200, body: REPORT });
  expect(fake.asked).toEqual(['report of 101']);
});

test('an item without orders is unknown, as is what cannot be an id', async () => {
  expect(problemType(await open.ask('GET', '/items/101/report'))).toBe('unknown-item');
  expect(problemType(await open.ask('GET', '/items/%20/report'))).toBe('unknown-item');
});

test('while the archive is away there is no answer', async () => {
  fake.answers.isAway = true;
  expect(await open.ask('GET', '/items/101/report')).toMatchObject({ status: 503 });
});

test('a gateway without an archive says so', async () => {
  const without = await openOperatorGateway({});
  try {
    expect(problemType(await without.ask('GET', '/items/101/report'))).toBe('no-archive');
  } finally {
    await without.close();
  }
});
