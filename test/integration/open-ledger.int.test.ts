import { Client, Connection } from '@temporalio/client';
import { Redis } from 'ioredis';
import { createLedgerRegistry, type LedgerRegistry } from '../../engine/stock/ledger-registry';
import {
  openLedger,
  createLedgerOpening,
  type LedgerOpening,
} from '../../engine/stock/ledger-opener';
import { registerLedgers } from '../../engine/reconciliation/register-ledgers';
import { findOpenItems } from '../../engine/stock/open-items';
import { itemKeys } from '../../engine/stock/keys';
import { redisAddr, temporalAddress } from '../support/addresses';
import { anItem } from '../support/purchases';

let redis: Redis;
let connection: Connection;
let opening: LedgerOpening;
let registry: LedgerRegistry;
beforeAll(async () => {
  redis = new Redis(redisAddr());
  connection = await Connection.connect({ address: temporalAddress() });
  opening = createLedgerOpening(redis);
  registry = createLedgerRegistry(new Client({ connection }), 'nobody');
});
afterAll(async () => {
  await connection.close();
  await redis.quit();
});

const open = (itemId = anItem()) => openLedger(opening, registry, itemId);

describe('opening a ledger', () => {
  test('happens once for many callers at the same time, under one token', async () => {
    const itemId = anItem();
    const answers = await Promise.all(Array.from({ length: 5 }, () => open(itemId)));
    expect(answers).toEqual(Array.from({ length: 5 }, () => 'opened'));
    expect(await redis.hget(`{inventory:${itemId}}:counts`, 'opened')).toBe(
      await registry.find(itemId),
    );
  });

  test('is continued by the next caller after a crash behind the first step', async () => {
    const itemId = anItem();
    await opening.begin(itemId, 'of-the-dead');
    expect(await open(itemId)).toBe('opened');
    expect(await registry.find(itemId)).toBe('of-the-dead');
  });

  test('is continued by the next caller after a crash behind the second step', async () => {
    const itemId = anItem();
    await opening.begin(itemId, 'of-the-dead');
    await registry.register(itemId, 'of-the-dead');
    expect(await open(itemId)).toBe('opened');
  });

  test.each(['opening', 'registered', 'opened'])(
    'finds the ledger lost when Redis is wiped after it was %s',
    async (moment) => {
      const itemId = anItem();
      await opening.begin(itemId, 'old');
      if (moment === 'opened') {
        await registry.register(itemId, 'old');
        await opening.finish(itemId, { token: 'old' });
      }
      await redis.del(...itemKeys(itemId));
      // The step that was on its way when Redis was wiped.
      if (moment !== 'opened') await registry.register(itemId, 'old');
      expect(await opening.finish(itemId, { token: 'old' })).toBe('lost');
      await redis.set(`inventory:${itemId}`, 100);
      expect(await open(itemId)).toBe('lost');
      expect(await open(itemId)).toBe('lost');
    },
  );

  test('is registered anew, with its own token, after Temporal has lost it', async () => {
    const itemId = anItem();
    await opening.begin(itemId, 'own');
    await opening.finish(itemId, { token: 'own' });
    expect(await findOpenItems(redis)).toContain(itemId);
    expect(await registerLedgers({ opening, registry }, [itemId])).toEqual([itemId]);
    expect(await registerLedgers({ opening, registry }, [itemId])).toEqual([]);
    expect(await registry.registration(itemId)).toMatchObject({ token: 'own', isAgain: true });
  });

  test('ignores a late finish of a wiped ledger', async () => {
    const itemId = anItem();
    expect(await open(itemId)).toBe('opened');
    const token = (await registry.find(itemId)) ?? '';
    await redis.del(...itemKeys(itemId));
    await opening.begin(itemId, 'new');
    expect(await opening.finish(itemId, { token })).toBe('lost');
  });
});
