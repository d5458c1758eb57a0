import { createModelArchive } from './model-archive';
import { createModelLedger, type LedgerRule } from './model-ledger';
import { createWorld } from './protocol';
import { walkWorlds } from './walk';
import { CHECKOUT, DAYS_AFTER, YEARS, type Scenario } from './scenarios';
import type { SagaRule, World } from './world';

/** Other ones in every run. `PROTOCOL_WALKS=1000000 PROTOCOL_SEED=11` repeats or deepens a run. */
const WALKS = Number(process.env['PROTOCOL_WALKS'] ?? 4_000);
const SEED = Number(process.env['PROTOCOL_SEED'] ?? Date.now() % 1_000_000);
/**
 * A missing rule must be noticed within a minute. Its walks begin with this seed, which shows each of them within 4,000
 * walks, that is a few seconds; a seed that is drawn may need 30,000. A change of the moves may need another one.
 */
const NOTICED_MS_MAX = 60_000;
const NOTICED_SEED = 1;

describe(`the protocol (seed ${SEED})`, () => {
  test(`keeps its promises in ${WALKS} random walks`, async () => {
    const walked = await walkWorlds(() => aWorld(), {
      walks: WALKS,
      seed: SEED,
    });
    expect(walked.violation).toBeUndefined();
    expect(walked.walks).toBe(WALKS);
  }, 3_600_000);

  test(`keeps them through the years in ${WALKS} random walks`, async () => {
    const walked = await walkWorlds(inTheYears(), { walks: WALKS, seed: SEED });
    expect(walked.violation).toBeUndefined();
    expect(walked.walks).toBe(WALKS);
  }, 3_600_000);

  test(`keeps them while orders leave the ledger in ${WALKS / 4} random walks`, async () => {
    const walked = await walkWorlds(inTheYears({}, DAYS_AFTER), { walks: WALKS / 4, seed: SEED });
    expect(walked.violation).toBeUndefined();
    expect(walked.walks).toBe(WALKS / 4);
  }, 3_600_000);

  test(`keeps them where buyers pay themselves in ${WALKS / 2} random walks`, async () => {
    const walked = await walkWorlds(inTheYears({}, CHECKOUT), { walks: WALKS / 2, seed: SEED });
    expect(walked.violation).toBeUndefined();
    expect(walked.walks).toBe(WALKS / 2);
  }, 3_600_000);

  test.each<SagaRule>([
    'payment-ends-before-units-go',
    'untold-payment-ends-before-units-go',
    'every-release-looks',
    'ended-payment-is-blocked',
    'money-found-at-the-end-confirms',
    'hint-is-no-proof',
    'refund-blocks-unseen-key',
  ])(
    'needs the rule of the saga %s where buyers pay themselves',
    (off) => expectNoticed(inTheYears({ off }, CHECKOUT)),
    90_000,
  );

  test.each<LedgerRule>(['cancelled-payment-is-ended-first'])(
    'needs the rule of the ledger %s where buyers pay themselves',
    (rule) => expectNoticed(inTheYears({ rule }, CHECKOUT)),
    90_000,
  );

  test.each<LedgerRule>([
    'reserve-respects-fence',
    'release-tells-sold',
    'owed-is-remembered',
    'queued-never-expires',
    'cancellation-is-remembered',
    'rejection-is-remembered',
    'run-is-remembered',
  ])('needs the rule of the ledger %s', (rule) => expectNoticed(() => aWorld({ rule })), 90_000);

  test.each<SagaRule>([
    'release-before-refund',
    'fence-per-step',
    'queue-before-answer',
    'refund-blocks-unseen-key',
    'payment-key-per-generation-not-run',
  ])('needs the rule of the saga %s', (off) => expectNoticed(() => aWorld({ off })), 90_000);

  test.each<LedgerRule>(['first-start-ends-with-its-order'])(
    'needs the rule of the ledger %s through the years',
    (rule) => expectNoticed(inTheYears({ rule })),
    90_000,
  );

  test.each<SagaRule>([
    'unreadable-ledger-parks',
    'cancellation-is-in-the-log',
    'cancelled-twice',
    'rebuild-needs-the-whole-history',
    'audit-appends-what-nobody-ended',
    'found-charge-is-compared',
  ])(
    'needs the rule of the saga %s through the years',
    (off) => expectNoticed(inTheYears({ off })),
    90_000,
  );

  test.each<LedgerRule>([
    'archived-orders-are-asked-for',
    'archived-sale-is-kept',
    'leaves-at-its-revision',
  ])(
    'needs the rule of the ledger %s while orders leave it',
    (rule) => expectNoticed(inTheYears({ rule }, DAYS_AFTER)),
    90_000,
  );

  test(
    'needs the rule of the saga claim-is-marked while orders leave the ledger',
    () => expectNoticed(inTheYears({ off: 'claim-is-marked' }, DAYS_AFTER)),
    90_000,
  );

  // Few walks show these three, so each has a seed of its own.
  test(
    'needs the rule of the ledger leaves-with-its-charges-settled while orders leave it',
    () =>
      expectNoticed(
        inTheYears({ rule: 'leaves-with-its-charges-settled' }, DAYS_AFTER.slice(0, 1)),
        3,
      ),
    90_000,
  );

  test(
    'needs the rule of the saga claim-is-read-twice while orders leave the ledger',
    () => expectNoticed(inTheYears({ off: 'claim-is-read-twice' }, DAYS_AFTER.slice(1, 2)), 8),
    90_000,
  );

  test(
    'needs the rule of the saga payment-key-has-order-id through the years',
    () => expectNoticed(inTheYears({ off: 'payment-key-has-order-id' }), 4),
    90_000,
  );
});

interface Without {
  readonly rule?: LedgerRule;
  readonly off?: SagaRule;
}

function aWorld({ rule, off }: Without = {}, scenario?: Scenario): World {
  const archive = createModelArchive();
  return createWorld(() => createModelLedger(1, archive, rule), { archive, off, scenario });
}

/** Each walk takes the next scenario. */
function inTheYears(without: Without = {}, scenarios: readonly Scenario[] = YEARS) {
  return (walk: number) => aWorld(without, scenarios[walk % scenarios.length]);
}

async function expectNoticed(
  makeWorld: (walk: number) => World,
  seed: number = NOTICED_SEED,
): Promise<void> {
  const walked = await walkWorlds(makeWorld, {
    walks: Infinity,
    seed,
    msMax: NOTICED_MS_MAX,
  });
  expect(walked.violation?.what).toEqual(expect.any(String));
}
