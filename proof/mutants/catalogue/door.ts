import type { Mutant } from '../mutant';

/** The gateway: what it promises, and what it leaves behind. */
export const DOOR_MUTANTS: readonly Mutant[] = [
  {
    name: 'hold-reads-then-writes',
    breaks: 'The look at the free units and the hold are one script.',
    edits: [
      {
        file: 'engine/stock/admission.ts',
        find: '      const groups = groupByItem(attempts);\n',
        replace: `      const groups = groupByItem(attempts);
      const seen = await Promise.all(
        groups.map(({ key }) => redis.get(\`inventory:\${key}\`)),
      );\n`,
      },
      {
        file: 'engine/stock/admission.ts',
        find: '...groups.map((group) => hold(group, holdLeaseMs, defaultPrice)),',
        replace:
          '...groups.map((group, i): Command => [...hold(group, holdLeaseMs, defaultPrice), Number(seen[i])]),',
      },
      {
        file: 'engine/stock/scripts/hold.lua',
        find: 'free, known, opened = openStock()',
        replace: 'free, known, opened = openStock()\n    free = tonumber(ARGV[#ARGV])',
      },
    ],
    tests: ['test/integration/admission.int.test.ts'],
  },
  {
    name: 'rejection-not-written-down',
    breaks: 'A rejection is written down where a record of an earlier attempt may be in the log.',
    edits: [
      {
        file: 'api/buy/admission.ts',
        find: '? await writeDown(decision.rejection, attempt)',
        replace: '? decision.rejection',
      },
    ],
    tests: ['test/api/buy.test.ts'],
  },
  {
    name: '202-before-the-ack',
    breaks: '202 waits for the acknowledgement of Kafka.',
    edits: [
      {
        file: 'api/buy/buy.ts',
        find: 'await publisher.append({',
        replace: 'void publisher.append({',
      },
    ],
    tests: ['test/api/buy.test.ts'],
  },
  {
    name: '202-before-queue',
    breaks: '202 waits until the held units are queued, which may find them gone.',
    edits: [
      {
        file: 'api/buy/buy.ts',
        find: 'const queued = await queue(order);',
        replace: 'void queue(order);\n    const queued = true as boolean | Error;',
      },
    ],
    tests: ['test/api/buy-faults.test.ts'],
  },
  {
    name: 'unknown-called-not-accepted',
    breaks: 'What was handed over and not acknowledged is unknown, and its hold stays.',
    edits: [
      {
        file: 'api/buy/buy.ts',
        find: "if (error instanceof NotAppendedError) return 'refused';",
        replace: "if (error instanceof Error) return 'refused';",
      },
    ],
    tests: ['test/api/buy-faults.test.ts'],
  },
  {
    name: 'claim-kept-after-a-rejection',
    breaks: 'A rejected request burns nothing: its claim is dropped.',
    edits: [
      {
        file: 'api/buy/decision.ts',
        find: "{ dropClaim: claim === 'new', mayBeInTheLog: claim === 'same' }",
        replace: "{ dropClaim: false, mayBeInTheLog: claim === 'same' }",
      },
    ],
    tests: ['test/api/buy.test.ts'],
  },
  {
    name: 'hold-kept-under-a-reused-id',
    breaks: 'The hold of a request whose id is another’s is undone.',
    edits: [
      {
        file: 'api/buy/decision.ts',
        find: "undoHold: hold.kind === 'held'",
        replace: 'undoHold: false',
      },
    ],
    tests: ['test/api/buy.test.ts'],
  },
  {
    name: 'claim-believed-without-its-fingerprint',
    breaks: 'An id belongs to one request: the claim is compared by fingerprint and item.',
    edits: [
      {
        file: 'engine/stock/admission.ts',
        find: "claimed === claimValue(attempt) ? 'same' : 'other'",
        replace: "'same'",
      },
    ],
    tests: ['test/integration/admission.int.test.ts'],
  },
];
