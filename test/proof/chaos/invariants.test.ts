import type { LedgerEntry } from '../../../engine/orders/ledger';
import type { ItemId, OrderId, RequestId, UserId } from '../../../engine/orders/order';
import { outcomeEvent, type OrderEvent } from '../../../engine/orders/order-event';
import type { ReturnEvent } from '../../../engine/orders/return-event';
import type { SaleReturn } from '../../../engine/orders/sale-return';
import { findViolations } from '../../../proof/chaos/invariants';
import type { ArchivedItem, ArchivedRow } from '../../../proof/chaos/archived-item';
import type { Snapshot } from '../../../proof/chaos/snapshot';

const entry = (fields: Partial<LedgerEntry>): LedgerEntry => ({
  state: 'sold',
  units: 1,
  userId: 'u1',
  fingerprint: 'f',
  generation: 1,
  fence: 1,
  unresolvedCharges: [],
  priceMinor: 1000,
  currency: 'USD',
  acceptedAt: 1,
  timeline: [],
  ...fields,
});

/** A sale of five units in which everything is right: one order sold, one declined, one request rejected. */
const RIGHT: Snapshot = {
  supply: 5,
  stockViolations: [],
  purchases: [
    ...(['sold', 'declined', 'late'] as const).map((id) => ({
      body: { user_id: `${id}-user`, item_id: 'i', amount: 1, request_id: id },
      outcome: id === 'late' ? ('rejected' as const) : ('accepted' as const),
      problem: id === 'late' ? 'sold-out' : '',
      tries: 1,
      unanswered: 0,
      sentAt: 100,
    })),
  ],
  statuses: new Map([
    ['sold', 'confirmed'],
    ['declined', 'failed'],
  ]),
  counts: { free: 4, held: 0, queued: 0, reserved: 0, sold: 1, supply: 5 },
  entries: new Map([
    ['sold', entry({ userId: 'sold-user' })],
    ['declined', entry({ state: 'released', reason: 'payment-declined', userId: 'declined-user' })],
  ]),
  buyers: new Map([['sold-user', 1]]),
  reclaimed: new Set(),
  claims: new Map(),
  runs: [
    { requestId: 'sold', status: 'COMPLETED' },
    { requestId: 'declined', status: 'FAILED', outcome: 'payment-declined' },
  ],
  charges: [
    { key: 'sold:1', status: 'captured', amount: 1000, currency: 'USD' },
    { key: 'declined:1', status: 'declined', amount: 1000, currency: 'USD' },
  ],
  records: ['sold', 'declined'],
  letters: [{ id: 'declined:run', requestId: 'declined', reason: 'payment-declined' }],
  events: [],
  returns: [],
  orderIds: new Set(),
};

test('a sale in which everything is right has no violations', () => {
  expect(findViolations(RIGHT)).toEqual([]);
});

const [sold, declined, late] = RIGHT.purchases as [
  Snapshot['purchases'][number],
  Snapshot['purchases'][number],
  Snapshot['purchases'][number],
];
const leftBehind = { ...late, body: { ...late.body, request_id: 'late-abandoned' } };
const letter = { id: 'declined:run', requestId: 'declined', reason: 'payment-declined' };

test('a record that a dead gateway left may fail for the reason that its buyer was told', () => {
  const failed = entry({ state: 'released', reason: 'sold-out', userId: 'late-user' });
  expect(
    findViolations({
      ...RIGHT,
      purchases: [sold, declined, leftBehind],
      entries: new Map([...RIGHT.entries, ['late-abandoned', failed]]),
      records: [...RIGHT.records, 'late-abandoned'],
      claims: new Map([['late-abandoned', 599_000]]),
      letters: [letter, { id: 'l:run', requestId: 'late-abandoned', reason: 'sold-out' }],
    }),
  ).toEqual([]);
});

test('an order may come from an unanswered try although a later try was rejected', () => {
  const soldLate = entry({ userId: 'late-user', acceptedAt: 100 });
  const unansweredTry = {
    ...RIGHT,
    purchases: [sold, declined, { ...late, tries: 2, unanswered: 1 }],
    counts: { ...RIGHT.counts, free: 3, sold: 2 },
    entries: new Map([...RIGHT.entries, ['late', soldLate]]),
    buyers: new Map([...RIGHT.buyers, ['late-user', 1]]),
    runs: [...RIGHT.runs, { requestId: 'late', status: 'COMPLETED' }],
    records: [...RIGHT.records, 'late'],
    charges: [
      ...RIGHT.charges,
      { key: 'late:1', status: 'captured', amount: 1000, currency: 'USD' },
    ],
  };
  expect(findViolations(unansweredTry)).toEqual([]);
  const answered = { ...late, tries: 2 };
  expect(findViolations({ ...unansweredTry, purchases: [sold, declined, answered] })).not.toEqual(
    [],
  );
  // Held before the rejected try was sent: that rejection was false.
  const before = new Map([...unansweredTry.entries, ['late', { ...soldLate, acceptedAt: 99 }]]);
  expect(findViolations({ ...unansweredTry, entries: before })).not.toEqual([]);
});

test.each<[string, string, Partial<Snapshot>]>([
  ['G1', 'more units are sold than there were', { supply: 0 }],
  ['G1', 'the watch saw too many units', { stockViolations: ['free was -1'] }],
  ['G2', 'an accepted order is not final', { statuses: new Map([['sold', 'queued']]) }],
  ['G2', 'an accepted order is not in the log', { records: ['declined'] }],
  ['G2', 'a record has no workflow', { records: ['sold', 'declined', 'stray'] }],
  ['G2', 'the item does not become idle', { notIdle: 'units held 1' }],
  ['G2', 'a hold that was taken away is accepted', { reclaimed: new Set(['sold']) }],
  [
    'G2',
    'a buyer never learns of the outcome',
    { purchases: [sold, declined, { ...late, outcome: 'undecided' }] },
  ],
  [
    'G2',
    'workflow and ledger disagree',
    { runs: [{ requestId: 'sold', status: 'FAILED' }, ...RIGHT.runs.slice(1)] },
  ],
  ['G3', 'an order has two workflows', { runs: [...RIGHT.runs, ...RIGHT.runs] }],
  ['G3', 'an order differs from what its buyer asked for', { purchases: [declined, late] }],
  ['G4', 'a failed order is charged', { entries: new Map([...RIGHT.entries].slice(1)) }],
  ['G4', 'a sold order is not paid', { charges: [] }],
  [
    'G4',
    'an order is charged for a second generation',
    {
      charges: [
        ...RIGHT.charges,
        { key: 'sold:2', status: 'captured', amount: 1000, currency: 'USD' },
      ],
    },
  ],
  [
    'G4',
    'the amount is wrong',
    { charges: [{ key: 'sold:1', status: 'captured', amount: 2000, currency: 'USD' }] },
  ],
  [
    'G4',
    'a payment can still be made',
    { charges: [...RIGHT.charges, { key: 'late:1', status: 'open', amount: 1, currency: 'USD' }] },
  ],
  ['G5', 'a rejected request is in the log', { records: ['sold', 'declined', 'late'] }],
  ['G5', 'a rejected request keeps its id', { claims: new Map([['late', 599_000]]) }],
  ['G5', 'a user is counted with units that they do not have', { buyers: new Map([['u9', 1]]) }],
  [
    'G5',
    'a record that a dead gateway left is sold',
    {
      purchases: [sold, declined, leftBehind],
      entries: new Map([...RIGHT.entries, ['late-abandoned', entry({ userId: 'late-user' })]]),
    },
  ],
  [
    'G9',
    'an order is sold that was called cancelled',
    { purchases: [{ ...sold, cancelled: 'cancelled' }, declined, late] },
  ],
  [
    'G9',
    'a cancelled order is called failed',
    { purchases: [sold, { ...declined, cancelled: 'cancelled' }, late] },
  ],
  [
    'G9',
    'a buyer never learns whether it was cancelled',
    { purchases: [{ ...sold, cancelled: 'undecided' }, declined, late] },
  ],
  ['G6', 'a unit has leaked', { counts: { ...RIGHT.counts, free: 3, held: 1 } }],
  ['G7', 'a failed order has no letter', { letters: [] }],
  ['G7', 'a failed order has two letters', { letters: [letter, { ...letter, id: 'other' }] }],
  ['G7', 'a letter names another reason', { letters: [{ ...letter, reason: 'sold-out' }] }],
])('%s is violated when %s', (guarantee, _, wrong) => {
  const violated = findViolations({ ...RIGHT, ...wrong }).map((violation) => violation.guarantee);
  expect(violated).toContain(guarantee);
});

describe('a refund', () => {
  const id = 'sold-given-back';
  const [purchase, ...others] = RIGHT.purchases as [
    Snapshot['purchases'][number],
    ...Snapshot['purchases'],
  ];
  const refund: SaleReturn = {
    kind: 'refund',
    id: 're_1',
    amountMinor: 400,
    status: 'succeeded',
    at: 1,
  };
  const refunded = entry({ userId: 'sold-user', returns: [refund], restocked: { op: 1 } });
  const charge = {
    key: `${id}:1`,
    status: 'captured',
    amount: 1000,
    currency: 'USD',
    refunded: 400,
  };
  const requestId = id as RequestId;
  const { userId, units: amount, priceMinor, currency, acceptedAt } = refunded;
  const order = { itemId: 'i' as ItemId, requestId, orderId: 'o1' as OrderId, amount };
  const paid = { userId: userId as UserId, priceMinor, currency, acceptedAt };
  const told: ReturnEvent = { order: { ...order, ...paid }, paymentId: 'p', returned: refund };
  /** One order, sold and partly given back, with its unit. */
  const right: Snapshot = {
    ...RIGHT,
    supply: 6,
    purchases: [{ ...purchase, body: { ...purchase.body, request_id: id } }, ...others],
    statuses: new Map([...RIGHT.statuses, [id, 'confirmed']]),
    counts: { free: 5, held: 0, queued: 0, reserved: 0, sold: 1, supply: 6 },
    entries: new Map([[id, refunded], ...[...RIGHT.entries].slice(1)]),
    buyers: new Map([['sold-user', 0]]),
    runs: [{ requestId: id, status: 'COMPLETED' }, ...RIGHT.runs.slice(1)],
    charges: [charge],
    records: [id, 'declined'],
    returns: [told],
  };
  const violations = (wrong: Partial<Snapshot>) =>
    findViolations({ ...right, ...wrong }).map(({ what }) => what);
  const withEntry = (fields: Partial<LedgerEntry>) => ({
    entries: new Map([...right.entries, [id, { ...refunded, ...fields }]]),
  });

  test('is right when it is made once, known and told, and its unit is back', () => {
    expect(violations({})).toEqual([]);
  });

  test.each<[string, Partial<Snapshot>, string]>([
    ['made twice', { charges: [{ ...charge, refunded: 800 }] }, `${id}: 800 given back of 400`],
    ['not known', withEntry({ returns: [] }), `${id}: 0 of 400 is known to be given back`],
    ['without its unit', withEntry({ restocked: {} }), `${id}: 0 units put back of 1`],
    ['not told', { returns: [] }, `refund re_1 of ${id} as succeeded is not told`],
  ])('is wrong when it is %s', (_, wrong, what) => {
    expect(violations(wrong)).toContain(what);
  });
});

test('an order that the harness has released may end as its run finds it, and no other may', () => {
  const id = 'declined-late-money';
  const released = entry({
    state: 'released',
    reason: 'payment-deadline',
    userId: 'declined-user',
  });
  const [sold, declined, late] = RIGHT.purchases as [
    Snapshot['purchases'][number],
    Snapshot['purchases'][number],
    Snapshot['purchases'][number],
  ];
  const ended = (outcome: string, of = id): Snapshot => ({
    ...RIGHT,
    purchases: [sold, { ...declined, body: { ...declined.body, request_id: of } }, late],
    statuses: new Map([
      ['sold', 'confirmed'],
      [of, 'cancelled'],
    ]),
    entries: new Map([...[...RIGHT.entries].slice(0, 1), [of, released]]),
    runs: [...RIGHT.runs.slice(0, 1), { requestId: of, status: 'FAILED', outcome }],
    records: ['sold', of],
    letters: [{ id: 'l', requestId: of, reason: outcome }],
  });
  for (const outcome of ['late-payment', 'sale-lost']) {
    expect(findViolations(ended(outcome))).toEqual([]);
    expect(findViolations(ended(outcome, 'declined'))).not.toEqual([]);
  }
  expect(findViolations(ended('payment-declined'))).not.toEqual([]);
});

describe('what other systems are told', () => {
  const [itemId, requestId] = ['i' as ItemId, 'declined' as RequestId];
  const failed = entry({
    state: 'released',
    reason: 'payment-declined',
    userId: 'declined-user',
    orderId: 'o1' as OrderId,
    revision: 5,
    finishedAt: 5,
  });
  const entries = new Map([...RIGHT.entries, [requestId, failed]]);
  const event = outcomeEvent({ itemId, requestId, entry: failed }) as OrderEvent;
  const violations = (events: Snapshot['events'], of = entries) =>
    findViolations({ ...RIGHT, entries: of, events }).map(({ what }) => what);

  test('is right when it is the state of the ledger, however often', () => {
    expect(violations([event, event])).toEqual([]);
    expect(violations([{ ...event, revision: 4, status: 'cancelled' }, event])).toEqual([]);
  });

  test.each<[string, Snapshot['events'], string]>([
    ['nothing', [], 'declined is failed, and told as nothing'],
    [
      'another state',
      [{ ...event, status: 'confirmed' }],
      'declined is failed, and told as confirmed',
    ],
    [
      'a later state that never was',
      [event, { ...event, revision: 6, status: 'confirmed' }],
      'declined is failed, and told as confirmed',
    ],
    ['two things under one id', [event, { ...event, generation: 2 }], 'o1:5 tells two things'],
  ])('is wrong when it is %s', (_, events, what) => {
    expect(violations(events)).toContain(what);
  });

  test('is wrong when there is no such order', () => {
    const without = new Map([...RIGHT.entries].filter(([id]) => id !== requestId));
    expect(violations([event], without)).toContain('declined is told, and there is no such order');
  });
});

describe('the archive', () => {
  const requestId = 'sold' as RequestId;
  const [accepted, declined] = RIGHT.purchases as [
    Snapshot['purchases'][number],
    Snapshot['purchases'][number],
  ];
  const entry = {
    ...(RIGHT.entries.get('sold') as LedgerEntry),
    orderId: 'o1' as OrderId,
    paymentId: 'pay-1',
    revision: 7,
    finishedAt: 6,
  };
  const event = outcomeEvent({ itemId: 'i' as ItemId, requestId, entry }) as OrderEvent;
  const row: ArchivedRow = {
    orderId: 'o1',
    requestId: 'sold',
    itemId: 'i',
    userId: 'sold-user',
    amount: 1,
    priceMinor: 1000,
    currency: 'USD',
    acceptedAt: 1,
    status: 'confirmed',
    reason: null,
    paymentId: 'pay-1',
    generation: 1,
    revision: 7,
    finishedAt: 6,
    refundedMinor: 0,
  };
  const { orderId, revision, status, reason, paymentId, generation } = row;
  const archive: ArchivedItem = {
    orders: [row],
    events: [{ orderId, revision, status, reason, paymentId, generation, at: 6 }],
    letters: [],
    setAside: [],
  };
  const charge = {
    key: 'sold:o1:1',
    status: 'captured',
    amount: 1000,
    currency: 'USD',
    payment_id: 'pay-1',
  };
  /** One order, sold. */
  const right: Snapshot = {
    ...RIGHT,
    purchases: [accepted],
    statuses: new Map([['sold', 'confirmed']]),
    entries: new Map([['sold', entry]]),
    runs: [{ requestId: 'sold', status: 'COMPLETED' }],
    charges: [charge],
    records: ['sold'],
    letters: [],
    events: [event],
    orderIds: new Set(['o1']),
    archive,
  };
  const violations = (of: Partial<ArchivedItem>, wrong: Partial<Snapshot> = {}) =>
    findViolations({ ...right, ...wrong, archive: { ...archive, ...of } }).flatMap(
      ({ guarantee, what }) => (guarantee === 'G10' ? [what] : []),
    );
  const withRow = (fields: Partial<ArchivedRow>) => ({ orders: [{ ...row, ...fields }] });

  test('is right when it has every order as it is, and repetitions of it', () => {
    expect(findViolations(right)).toEqual([]);
    const repetition = { ...row, orderId: 'o0', status: 'repeated' };
    expect(violations({ orders: [row, repetition] }, { orderIds: new Set(['o0', 'o1']) })).toEqual(
      [],
    );
  });

  test.each<[string, Partial<ArchivedItem>, string]>([
    ['an order is lost', { orders: [] }, 'sold was accepted and is archived 0 times'],
    [
      'an order is there twice',
      { orders: [row, { ...row, orderId: 'o2' }] },
      'sold was accepted and is archived 2 times',
    ],
    [
      'a state is older',
      withRow({ status: 'queued' }),
      'sold is archived with status queued, not confirmed',
    ],
    [
      'a reason is wrong',
      withRow({ reason: 'sold-out' }),
      'sold is archived with reason sold-out, not null',
    ],
    ['an amount is wrong', withRow({ amount: 2 }), 'sold is archived with amount 2, not 1'],
    [
      'a price is wrong',
      withRow({ priceMinor: 1 }),
      'sold is archived with priceMinor 1, not 1000',
    ],
    ['a time is wrong', withRow({ finishedAt: 5 }), 'sold is archived with finishedAt 5, not 6'],
    [
      'a payment is wrong',
      withRow({ paymentId: 'pay-2' }),
      'sold is archived as confirmed (pay-2), its payments are sold:o1:1 (pay-1)',
    ],
    [
      'an order id is wrong',
      withRow({ orderId: 'o2' }),
      'o2 of sold is archived, and the ledger has no such order',
    ],
    [
      'an order was never accepted',
      { orders: [row, { ...row, orderId: 'o3', requestId: 'never' }] },
      '1 orders archived and not in the topics: o3',
    ],
    [
      'an event is lost',
      { events: [] },
      '1 events in the topics and not archived: o1 7 6 confirmed  pay-1 1',
    ],
    [
      'a letter was never written',
      { letters: ['l1'] },
      '1 dead letters archived and not in the topics: l1',
    ],
    ['a record is set aside', { setAside: ['orders:0:1 (bad)'] }, 'orders:0:1 (bad) is set aside'],
    ['it has not caught up', { behind: 'not archived: orders:0' }, 'not archived: orders:0'],
  ])('is wrong when %s', (_, of, what) => {
    expect(violations(of)).toContain(what);
  });

  test('is wrong when the provider or the workflow tell something else', () => {
    expect(violations({}, { charges: [] })).toContain(
      'sold is archived as confirmed (pay-1), its payments are ',
    );
    expect(violations({}, { charges: [{ ...charge, payment_id: 'pay-2' }] })).toContain(
      'sold is archived as confirmed (pay-1), its payments are sold:o1:1 (pay-2)',
    );
    const runs = [{ requestId: 'sold', status: 'FAILED', outcome: 'sold-out' }];
    expect(violations({}, { runs })).toContain(
      'sold is archived as confirmed, its workflow ended as sold-out',
    );
    expect(violations({}, { purchases: [accepted, declined] })).toContain(
      'declined was accepted and is archived 0 times',
    );
  });
});
