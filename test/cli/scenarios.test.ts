import { failedPayments } from '../../cli/scenarios/failed-payments';
import { neverOversold } from '../../cli/scenarios/never-oversold';
import type { RunningEngine } from '../../cli/scenarios/running-engine';
import { sameRequestTwice } from '../../cli/scenarios/same-request-twice';
import { runScenarios, scenarios } from '../../cli/scenarios/scenarios';
import { startFakeEngine, type Flaws } from './fake-engine';
import { textTerminal } from './text-terminal';

let close: (() => Promise<void>) | undefined;
afterEach(async () => {
  await close?.();
});

async function engineWith(flaws?: Flaws): Promise<RunningEngine> {
  const fake = await startFakeEngine(flaws);
  close = fake.close;
  return fake.engine;
}

/** The real rounds are as large as a small machine bears; these show the same in half a second. */
const SMALL_ROUNDS = [
  { orders: 30, units: 10, amountMax: 1 },
  { orders: 60, units: 41, amountMax: 3 },
];

describe('an engine that keeps its promises', () => {
  test('passes every scenario, with a line for each', async () => {
    const lines: string[] = [];
    const results = await runScenarios(await engineWith(), (line) => lines.push(line));
    expect(results.flatMap(({ misses }) => misses)).toEqual([]);
    expect(lines).toEqual([
      expect.stringMatching(
        /^pass {2}the same request twice .* s {2}202, then 409 duplicate-request, 1 sold$/,
      ),
      expect.stringMatching(/^pass {2}never oversold .* 100 orders for 50 units: .*; 1000 orders/),
      expect.stringMatching(/^pass {2}10 % of payments fail .* 100 orders, 9\d sold and charged/),
    ]);
  });

  test('passes, too, when it had to be asked again for an order that it had accepted', async () => {
    const losesAnswerOf = (requestId: string) => /-[37]$/.test(requestId);
    const { misses } = await neverOversold(await engineWith({ losesAnswerOf }), SMALL_ROUNDS);
    expect(misses).toEqual([]);
  });
});

describe('never oversold', () => {
  test.each<[string, Flaws, RegExp]>([
    ['sells more than there is', { oversells: true }, /oversold: \d+ of 10 units taken/],
    [
      'loses an accepted order',
      { loses: (id) => id.endsWith('-3') },
      /1 accepted orders lost: item/,
    ],
    ['leaves orders unfinished', { neverFinishes: true }, /not idle within 0.5 s.*queued 10/],
    ['keeps the units of failed orders', { keepsUnitsOfDeclined: true }, /does not add up/],
  ])('catches an engine that %s', async (_, flaws, miss) => {
    const found = neverOversold(await engineWith(flaws), SMALL_ROUNDS).then(
      ({ misses }) => misses.join('\n'),
      String,
    );
    expect(await found).toMatch(miss);
  });
});

describe('the same request twice', () => {
  test('catches an engine that accepts it twice', async () => {
    const { misses } = await sameRequestTwice(await engineWith({ acceptsRepeats: true }));
    expect(misses).toContain('the second answer is 202, not 409 duplicate-request');
  });
});

describe('10 % of payments fail', () => {
  const isThird = (requestId: string) => requestId.endsWith('-3');
  test.each<[string, Flaws, RegExp]>([
    ['charges twice', { chargesTwice: isThird }, /1 sold orders without exactly one right charge/],
    [
      'charges declined orders',
      { chargesDeclined: true },
      /10 orders charged although they are not sold/,
    ],
    ['keeps their units', { keepsUnitsOfDeclined: true }, /units free again is 0, not 20/],
    ['writes no dead letter', { writesNoDeadLetter: true }, /10 orders with wrong dead letters/],
  ])('catches an engine that %s', async (_, flaws, miss) => {
    const { misses } = await failedPayments(await engineWith(flaws));
    expect(misses.join('\n')).toMatch(miss);
  });
});

describe('the command', () => {
  const results = (passed: boolean) => [
    { name: 'n', passed, seconds: 1, figures: 'f', misses: passed ? [] : ['m'] },
  ];

  test.each([
    [0, true],
    [1, false],
  ])(
    'exits %i when passed is %s, and with --json prints only the results',
    async (code, passed) => {
      const terminal = textTerminal();
      const run = (print: (line: string) => void) => {
        print('a line for people');
        return Promise.resolve(results(passed));
      };
      expect(await scenarios(terminal, run, { json: true })).toBe(code);
      expect(JSON.parse(terminal.written())).toEqual(results(passed));
    },
  );
});
