import type { Mutant } from '../mutant';

const LEDGER_TEST = 'test/integration/ledger.int.test.ts';
const ADMISSION_TEST = 'test/integration/admission.int.test.ts';

/** The scripts: what they grant to a step, and what to one that comes too late. */
export const LEDGER_MUTANTS: readonly Mutant[] = [
  {
    name: 'reserve-reads-then-writes',
    breaks: 'The look at the free units and the reservation are one script.',
    edits: [
      {
        file: 'engine/stock/stock-ledger.ts',
        find: 'const keys = [...itemKeys(itemId), rejectionsKey(itemId)];',
        replace: `const keys = [...itemKeys(itemId), rejectionsKey(itemId)];
      const seen = Number(await redis.get(\`inventory:\${itemId}\`));`,
      },
      {
        file: 'engine/stock/stock-ledger.ts',
        find: '...keys, requestId, fence, ...orderArguments(order)',
        replace: '...keys, requestId, fence, ...orderArguments(order), seen',
      },
      {
        file: 'engine/stock/scripts/reserve.lua',
        find: 'local free = openStock()',
        replace: 'openStock()\nlocal free = tonumber(ARGV[9])',
      },
    ],
    tests: [LEDGER_TEST],
  },
  {
    name: 'reserve-without-a-fence',
    breaks: 'A reserve that comes too late reserves nothing.',
    edits: [
      {
        file: 'engine/stock/scripts/reserve.lua',
        find: 'if entry.fence > fence then',
        replace: 'if false then',
      },
      {
        file: 'engine/stock/scripts/reserve.lua',
        find: "if entry and entry.state == 'released' and entry.fence >= fence then",
        replace: 'if false then',
      },
    ],
    tests: [LEDGER_TEST],
  },
  {
    name: 'rejected-record-takes-a-unit',
    breaks: 'What was rejected takes no unit, whatever is in the log of it.',
    edits: [
      {
        file: 'engine/stock/scripts/reserve.lua',
        find: "redis.call('ZSCORE', rejectionsKey, requestId)",
        replace: 'false',
      },
    ],
    tests: ['test/integration/rejections.int.test.ts'],
  },
  {
    name: 'owed-forgotten',
    breaks: 'A new generation is owed from the start.',
    edits: [
      {
        file: 'engine/stock/scripts/reserve.lua',
        find: 'addOwed(entry, entry.generation)',
        replace: '',
      },
    ],
    tests: [LEDGER_TEST],
  },
  {
    name: 'release-keeps-silent-about-a-sale',
    breaks: 'A release of a sold order says "sold", and leaves it sold.',
    edits: [
      {
        file: 'engine/stock/scripts/release.lua',
        find: "if entry and entry.state == 'sold' then",
        replace: 'if false then',
      },
    ],
    tests: [LEDGER_TEST],
  },
  {
    name: 'confirm-of-any-generation',
    breaks: 'Only the generation that is reserved can be sold.',
    edits: [
      {
        file: 'engine/stock/scripts/confirm.lua',
        find: 'if not entry or entry.generation ~= generation then',
        replace: 'if not entry then',
      },
    ],
    tests: [LEDGER_TEST],
  },
  {
    name: 'queued-order-expires',
    breaks: 'A queued order never expires by itself.',
    edits: [
      {
        file: 'engine/stock/scripts/queue.lua',
        find: '    endHold(entry)\n',
        replace: '',
      },
      {
        file: 'engine/stock/scripts/queue.lua',
        find: "  redis.call('ZREM', leasesKey, unpack(queued))\n",
        replace: '',
      },
      {
        file: 'engine/stock/scripts/prelude.lua',
        find: "if entry and entry.state == 'held' then\n      free = free + entry.units\n      addCount('held', -entry.units)",
        replace:
          "if entry and (entry.state == 'held' or entry.state == 'queued') then\n      free = free + entry.units\n      addCount(entry.state, -entry.units)",
      },
    ],
    tests: [ADMISSION_TEST],
  },
  {
    name: 'dead-hold-kept-for-ever',
    breaks: 'A hold whose lease is over is reclaimed by whoever finds no unit.',
    edits: [
      {
        file: 'engine/stock/scripts/hold.lua',
        find: 'if free < units then\n    free = reclaimUnits(units)\n  end',
        replace: '',
      },
    ],
    tests: [ADMISSION_TEST],
  },
  {
    name: 'takeover-of-what-was-reclaimed',
    breaks: 'Units of a lapsed hold go to one attempt of a call, not to two.',
    edits: [
      {
        file: 'engine/stock/scripts/prelude.lua',
        find: '        stored[requestId] = nil\n',
        replace: '        local _ = nil\n',
      },
    ],
    tests: ['test/integration/admission-batches.int.test.ts', ADMISSION_TEST],
  },
  {
    name: 'undo-of-another-attempt',
    breaks: 'Only the attempt that made a hold may undo it.',
    edits: [
      {
        file: 'engine/stock/scripts/undo.lua',
        find: ' or entry.token ~= token then',
        replace: ' then',
      },
    ],
    tests: [ADMISSION_TEST],
  },
  {
    name: 'outside-change-not-adopted',
    breaks: 'A change of the free units from outside moves the supply and is recorded.',
    edits: [
      {
        file: 'engine/stock/scripts/prelude.lua',
        find: 'if change ~= 0 then',
        replace: 'if false then',
      },
    ],
    tests: [LEDGER_TEST],
  },
  {
    name: 'limit-forgets-other-orders',
    breaks: 'The units of a user are counted over all orders.',
    edits: [
      {
        file: 'engine/stock/scripts/hold.lua',
        find: '  addBuyers()\n  writeFree',
        replace: '  writeFree',
      },
    ],
    tests: [ADMISSION_TEST],
  },
];
