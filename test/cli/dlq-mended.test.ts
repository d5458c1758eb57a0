import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { decodeOrder } from '../../engine/orders/order-record';
import { anUnreadable, marked, order } from './letters';
import { aWorld, ids, record } from './replay-world';

describe('an unreadable record', () => {
  const fresh = { bad: { kind: 'none' } } as const;

  test('is not tried as it is', async () => {
    const world = aWorld([anUnreadable('bad')]);
    expect(await world.outcomes(ids('bad'))).toEqual({
      code: 1,
      outcomes: ['orders:3:17 needs-mending'],
    });
  });

  test.each([
    ['its request_id', 'bad', anUnreadable('bad')],
    ['its letter id alone', 'orders:3:17', anUnreadable()],
  ])('is appended to the orders once it is mended, by %s', async (_name, id, letter) => {
    const world = aWorld([letter], { ...fresh });
    const withoutFingerprint = { ...record('bad'), fingerprint: undefined };
    const { code, outcomes } = await world.outcomes({
      ...ids(id),
      mended: aFile(withoutFingerprint),
    });
    expect([code, outcomes]).toEqual([0, ['orders:3:17 appended']]);
    const [entry] = world.appended;
    expect(entry?.key).toBe('bad');
    expect(decodeOrder(entry?.value ?? null)).toEqual({ kind: 'order', order: order('bad') });
    expect(entry?.headers).toEqual({ 'mended-from': letter.id, by: 'ann', why: 'renewed' });
    expect(world.marks).toMatchObject([{ kind: 'replayed', letterId: letter.id }]);
  });

  test.each([
    ['no JSON', 'amount: 1', /is no order: not JSON/],
    ['no order', { ...record('bad'), amount: 0 }, /is no order: \/amount/],
    ['another order', record('else'), /is the order else, but the letter .* bad/],
    ['a fingerprint of other fields', { ...record('bad'), amount: 2 }, /leave it out/],
  ])('is refused when the file is %s', async (_name, content, sentence) => {
    const world = aWorld([anUnreadable('bad')], { ...fresh });
    await expect(world.run({ ...ids('bad'), mended: aFile(content) })).rejects.toThrow(sentence);
    expect([world.appended, world.marks]).toEqual([[], []]);
  });

  test.each([
    ['is sold', { kind: 'sold' }, 'sold', 0],
    ['runs', { kind: 'running' }, 'running', 0],
    ['failed', { kind: 'failed', runId: 'r', closedAt: 0 }, 'failed-before', 1],
    ['is another order', { kind: 'other-order' }, 'other-order', 1],
  ] as const)('is not appended when its id %s', async (_name, bad, outcome, code) => {
    const world = aWorld([anUnreadable('bad')], { bad });
    expect(await world.outcomes({ ...ids('bad'), mended: aFile(record('bad')) })).toEqual({
      code,
      outcomes: [`orders:3:17 ${outcome}`],
    });
    expect(world.appended).toEqual([]);
  });

  test("is not appended when its id is another buyer's claim, nor by a dry run", async () => {
    const world = aWorld([anUnreadable('bad')], { ...fresh });
    const mended = aFile(record('bad'));
    await world.run({ ...ids('bad'), mended, dryRun: true });
    expect(world.terminal.written()).toContain('would-append');
    world.claims.add('bad');
    expect(await world.run({ ...ids('bad'), mended })).toBe(1);
    expect(world.appended).toEqual([]);
  });

  test('that was mended already is mended again only with --all', async () => {
    const world = aWorld([marked(anUnreadable('bad'), 'replayed', 'amount')], { ...fresh });
    const mended = aFile(record('bad'));
    await expect(world.run({ ...ids('bad'), mended })).rejects.toThrow(/was replayed by bob/);
    expect(await world.run({ ...ids('bad'), mended, all: true })).toBe(0);
  });
});

const folder = mkdtempSync(join(tmpdir(), 'mended-'));
afterAll(() => {
  rmSync(folder, { recursive: true });
});

function aFile(content: object | string): string {
  const file = join(folder, 'order.json');
  writeFileSync(file, typeof content === 'string' ? content : JSON.stringify(content, null, 2));
  return file;
}
