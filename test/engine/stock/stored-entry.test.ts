import { formatEntry, readEntry } from '../../../engine/stock/stored-entry';

const STORED = {
  state: 'sold',
  units: 1,
  user: 'u1',
  fingerprint: 'f',
  owed: '',
  currency: 'USD',
  timeline: '',
  generation: 1,
  fence: 1,
  price: 1000,
  accepted_at: 1,
};

test('an entry that was written by hand is read where it is right', () => {
  expect(readEntry(JSON.stringify({ ...STORED, revision: 5 }))).toMatchObject({ revision: 5 });
  expect(readEntry(JSON.stringify(STORED))).not.toHaveProperty('problem');
});

test.each([null, 'x', 0, 1.5])('a time to pay of %p is a problem', (pay_within) => {
  expect(readEntry(JSON.stringify({ ...STORED, pay_within }))).toEqual({
    problem: 'pay_within is no whole number',
  });
});

test('the entry of an order that its buyer pays is written as it was read', () => {
  const entry = readEntry(JSON.stringify({ ...STORED, pay_within: 600_000 }));
  if ('problem' in entry) throw new Error(entry.problem);
  expect(entry.payWithinMs).toBe(600_000);
  expect(readEntry(formatEntry(entry))).toEqual(entry);
});

test.each([null, 'x', 0, 1.5, -1])('a revision of %p is a problem', (revision) => {
  expect(readEntry(JSON.stringify({ ...STORED, revision }))).toEqual({
    problem: 'revision is no whole number',
  });
});
