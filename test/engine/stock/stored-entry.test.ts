import { readEntry } from '../../../engine/stock/stored-entry';

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

test.each([null, 'x', 0, 1.5, -1])('a revision of %p is a problem', (revision) => {
  expect(readEntry(JSON.stringify({ ...STORED, revision }))).toEqual({
    problem: 'revision is no whole number',
  });
});
