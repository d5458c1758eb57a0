import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { inLockstep } from '../protocol/lockstep';
import { createModelLedger } from '../protocol/model-ledger';
import { createWorld } from '../protocol/protocol';
import { createModelArchive } from '../protocol/model-archive';
import { createRedisProtocolLedger } from '../protocol/redis-protocol-ledger';
import { AN_AFTERNOON, CHECKOUT, DAYS_AFTER, YEARS, type Scenario } from '../protocol/scenarios';
import type { ItemId } from '../../engine/orders/order';
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
  test.each([
    ['in one sale', [AN_AFTERNOON]],
    ['through the years', YEARS],
    ['while orders leave the ledger', DAYS_AFTER],
    ['where buyers pay themselves', CHECKOUT],
  ])(
    `do what the model does, and keep its promises %s, in ${WALKS} random walks`,
    async (_name, scenarios) => {
      let previous: Lockstep | undefined;
      const walked = await walkWorlds(
        async (walk) => {
          await previous?.remove();
          previous = await createLockstep(stock, scenarios[walk % scenarios.length]);
          return previous.world;
        },
        { walks: WALKS, seed: SEED },
      );
      await previous?.remove();
      expect(walked.violation).toBeUndefined();
      expect(walked.walks).toBe(WALKS);
    },
    3_600_000,
  );
});

type Lockstep = Awaited<ReturnType<typeof createLockstep>>;

/** A world whose ledgers are the model and the scripts at once. */
async function createLockstep(real: RedisStock, scenario: Scenario = AN_AFTERNOON) {
  const items = new Map<string, ItemId>();
  for (const { item } of scenario.orders) items.set(item, items.get(item) ?? anItem());
  const archive = createModelArchive();
  const ledgers = new Map<string, Awaited<ReturnType<typeof createRedisProtocolLedger>>>();
  for (const [item, itemId] of items)
    ledgers.set(item, await createRedisProtocolLedger(real, itemId, archive));
  const ledgerOf = (item: string) => {
    const ledger = ledgers.get(item);
    if (!ledger) throw new Error(`no ledger of ${item}`);
    return inLockstep(createModelLedger(1, archive), ledger);
  };
  return {
    world: createWorld(ledgerOf, { scenario, archive }),
    remove: async () => {
      for (const ledger of ledgers.values()) await ledger.remove();
    },
  };
}

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
    'a first start that tries a failed order again',
    'ledgerReserve',
    'reserve',
    "ARGV[10] == 'first'",
    'false',
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
    "entry.state == 'sold' then\n  return {\n    'sold'",
    "false then\n  return {\n    'sold'",
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
  [
    'a reserve that asks no archive',
    'ledgerReserve',
    'reserve',
    'isArchived(entry, ARGV[9], ARGV[8], ARGV[13])',
    'false',
  ],
] as const;

const ALL = [AN_AFTERNOON, ...YEARS, ...DAYS_AFTER];

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
          async (walk) => (await createLockstep(mutant, ALL[walk % ALL.length])).world,
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
