import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { inLockstep } from '../protocol/lockstep';
import { createModelLedger } from '../protocol/model-ledger';
import { createWorld } from '../protocol/protocol';
import { createRedisProtocolLedger } from '../protocol/redis-protocol-ledger';
import { numberOfKeys } from '../../engine/stock/scripts';
import { walkWorlds } from '../protocol/walk';
import { anItem } from '../support/purchases';
import { openRedisStock, type RedisStock } from '../support/redis-stock';

/** `PROTOCOL_REAL_WALKS=10000 PROTOCOL_SEED=11` repeats or deepens a run. */
const WALKS = Number(process.env['PROTOCOL_REAL_WALKS'] ?? 150);
const SEED = Number(process.env['PROTOCOL_SEED'] ?? Date.now() % 1_000_000);

let stock: RedisStock;
beforeAll(() => {
  stock = openRedisStock();
});
afterAll(() => stock.redis.quit());

describe(`the real scripts under the protocol's moves (seed ${SEED})`, () => {
  test(`do what the model does, and keep its promises, in ${WALKS} random walks`, async () => {
    let previous: { remove: () => Promise<void> } | undefined;
    const walked = await walkWorlds(
      async () => {
        await previous?.remove();
        const real = await createRedisProtocolLedger(stock, anItem());
        previous = real;
        return createWorld(inLockstep(createModelLedger(1), real));
      },
      { walks: WALKS, seed: SEED },
    );
    await previous?.remove();
    expect(walked.violation).toBeUndefined();
    expect(walked.walks).toBe(WALKS);
  }, 3_600_000);
});

/** One line of one script, changed as a hasty hand might change it. */
const MUTANTS = [
  [
    'reserve without its fence',
    'ledgerReserve',
    'reserve',
    "entry.fence > fence then\n    return answer('over'",
    "false then\n    return answer('over'",
  ],
  [
    'reserve after its own release',
    'ledgerReserve',
    'reserve',
    'entry.fence >= fence then',
    'false then',
  ],
  [
    'a generation that is not owed',
    'ledgerReserve',
    'reserve',
    'addUnresolvedCharge(entry, entry.generation)',
    '',
  ],
  [
    'a release that does not tell "sold"',
    'ledgerRelease',
    'release',
    "entry.state == 'sold' then\n  return { 'sold'",
    "false then\n  return { 'sold'",
  ],
  ['a release that returns units twice', 'ledgerRelease', 'release', "state ~= 'released' and", ''],
  ['an undo by any attempt', 'ledgerUndo', 'undo', ' or entry.token ~= token', ''],
  [
    'a hold that ignores a live lease',
    'ledgerHold',
    'hold',
    'entry.lease_until > now and entry.token ~= token',
    'false',
  ],
  [
    'a cancellation that is not remembered',
    'ledgerCancel',
    'cancel',
    'entry.cancelled_by_buyer = true',
    '',
  ],
  [
    'a reserve of what its buyer has cancelled',
    'ledgerReserve',
    'reserve',
    'entry and entry.cancelled_by_buyer',
    'false',
  ],
  [
    'a release that any run may ask for',
    'ledgerRelease',
    'release',
    'and entry.fence <= fence',
    '',
  ],
] as const;

describe(`a mutant of the scripts is caught: (seed ${SEED})`, () => {
  test.each(MUTANTS)(
    '%s',
    async (_name, command, file, original, mutation) => {
      const scripts = join(__dirname, '..', '..', 'engine', 'stock', 'scripts');
      const source = readFileSync(join(scripts, `${file}.lua`), 'utf8');
      expect(source).toContain(original);
      const mutant = openRedisStock();
      const prelude = readFileSync(join(scripts, 'prelude.lua'), 'utf8');
      mutant.redis.defineCommand(command, {
        numberOfKeys: numberOfKeys(command),
        lua: `${prelude}\n${source.replace(original, mutation)}`,
      });
      try {
        const walk = walkWorlds(
          async () =>
            createWorld(
              inLockstep(createModelLedger(1), await createRedisProtocolLedger(mutant, anItem())),
            ),
          { walks: Infinity, seed: SEED, msMax: 30_000 },
        );
        await expect(
          walk.then(({ violation }) => violation ?? 'unnoticed', caught),
        ).resolves.toEqual(expect.not.stringMatching(/^unnoticed$/));
      } finally {
        await mutant.redis.quit();
      }
    },
    60_000,
  );
});

/** A mutant shows itself as a broken promise, as a difference from the model, or as a script that fails. */
function caught(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
