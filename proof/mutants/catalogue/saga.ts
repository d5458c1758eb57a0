import type { Mutant } from '../mutant';

const MONEY_TEST = 'test/integration/order-money.int.test.ts';
const SAGA_TEST = 'test/integration/order-workflow.int.test.ts';

/** The workflow, its payments and whoever moves the money. */
export const SAGA_MUTANTS: readonly Mutant[] = [
  {
    name: 'payment-key-from-the-run',
    breaks: 'A generation has one payment key, whichever run asks.',
    edits: [
      {
        file: 'activities/payment-activities.ts',
        find: 'const key = paymentKey(order.requestId, generation);',
        replace:
          "const key = `${order.requestId}:${activityInfo().workflowExecution?.runId ?? ''}:${String(generation)}`;",
      },
    ],
    tests: [MONEY_TEST],
    only: 'is taken once when the order is reset',
  },
  {
    name: 'no-compensation-after-a-time-out',
    breaks: 'Compensation is due for every step that was started: it may have happened.',
    edits: [
      {
        file: 'workflows/order-workflow.ts',
        find: 'return notSold(reason, rootMessage(error), step.generation);',
        replace: 'return { ...notTaken, reason, error: rootMessage(error) };',
      },
    ],
    tests: [SAGA_TEST],
    only: 'when the provider never tells',
  },
  {
    name: 'refund-before-release',
    breaks: 'The release closes the generation before its money is returned.',
    edits: [
      {
        file: 'workflows/order-workflow.ts',
        find: '      const released = await releaseStock.executeWithOptions(',
        replace: `      await settle(order, generation > 0 ? [generation] : [], story);
      const released = await releaseStock.executeWithOptions(`,
      },
      {
        file: 'activities/payment-activities.ts',
        find: "if (!(await ledger.isRefundable(step))) return 'kept';",
        replace: '',
      },
    ],
    tests: [MONEY_TEST],
    only: 'another run has sold it',
  },
  {
    name: 'refund-of-the-sold-generation',
    breaks: 'The generation that is reserved or sold is never refunded.',
    edits: [
      {
        file: 'activities/payment-activities.ts',
        find: "if (!(await ledger.isRefundable(step))) return 'kept';",
        replace: '',
      },
    ],
    tests: [MONEY_TEST],
  },
  {
    name: 'one-fence-per-run',
    breaks: 'A fence is the time of its step, so that everything asked later has a larger one.',
    edits: [
      {
        file: 'workflows/order-workflow.ts',
        find: '[{ order, fence: Date.now() }],',
        replace: '[{ order, fence: workflowInfo().startTime.getTime() }],',
      },
      {
        file: 'workflows/order-workflow.ts',
        find: '[{ order, fence: Date.now(), reason,',
        replace: '[{ order, fence: workflowInfo().startTime.getTime(), reason,',
      },
      {
        file: 'workflows/order-workflow.ts',
        find: '{ itemId, requestId, generation, fence: Date.now(), paymentId },',
        replace:
          '{ itemId, requestId, generation, fence: workflowInfo().startTime.getTime(), paymentId },',
      },
      {
        file: 'workflows/order-workflow.ts',
        find: '  upsertSearchAttributes,\n}',
        replace: '  upsertSearchAttributes,\n  workflowInfo,\n}',
      },
    ],
    tests: [SAGA_TEST],
    only: 'tries again when it is reset',
  },
  {
    name: 'charged-at-once-again',
    breaks: 'A charge that may have been made is looked up before it is sent again.',
    edits: [
      {
        file: 'workflows/charge.ts',
        find: "if (firstCharge !== 'local' || again)",
        replace: "if (firstCharge !== 'local')",
      },
    ],
    tests: ['test/integration/charge-at-once.int.test.ts'],
    only: 'the next one looks first',
  },
  {
    name: 'earlier-generations-not-settled',
    breaks: 'What earlier generations owe is settled before a new charge.',
    edits: [
      {
        file: 'workflows/order-workflow.ts',
        find: '    await settle(order, reservation.owed, story);\n',
        replace: '',
      },
    ],
    tests: [MONEY_TEST],
    only: 'of an earlier generation goes back',
  },
  {
    name: 'settled-before-refunded',
    breaks: 'What is owed is struck after the refund, so that a death in between only repeats it.',
    edits: [
      {
        file: 'activities/payment-activities.ts',
        find: '      await ledger.resolveCharge(step);\n',
        replace: '',
      },
      {
        file: 'activities/payment-activities.ts',
        find: '      const refund = await provider.refund(',
        replace:
          '      await ledger.resolveCharge(step);\n      const refund = await provider.refund(',
      },
    ],
    tests: [MONEY_TEST],
    only: 'of an earlier generation goes back',
  },
  {
    name: 'no-dead-letter',
    breaks: 'Every failed order is in the dead letters.',
    edits: [
      {
        file: 'workflows/order-workflow.ts',
        find: 'await deadLetter.executeWithOptions(',
        replace: 'if (order.amount < 0) await deadLetter.executeWithOptions(',
      },
    ],
    tests: [SAGA_TEST],
    only: 'leaves one dead letter',
  },
  {
    name: 'refund-blocks-no-unseen-key',
    breaks: 'A refund of a key that was never seen blocks it, so that a late charge fails.',
    edits: [
      {
        file: 'engine/payments/simulator/charge-ledger.ts',
        find: "        write({ key, status: 'blocked', amount: 0, currency: null, at: Date.now(), code });\n",
        replace: "        return afterJournal(code === 'blocked' ? 'nothing' : 'refunded');\n",
      },
    ],
    tests: ['test/engine/payments/payment-provider.test.ts'],
  },
];
