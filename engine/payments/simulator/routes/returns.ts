import type { IncomingMessage } from 'node:http';
import { Type } from '@sinclair/typebox';
import type { ChargeLedger } from '../ledger/charge-ledger';
import { closeDispute, decideRefund, openDispute, refund, refundsOf } from '../ledger/returns';
import { createParser, readJson } from './request';
import { ok, problem, undecided, type Task } from './response';

/** What happens to the money after a sale. */
export function createReturnTasks(
  ledger: ChargeLedger,
  later: (ms: number, work: () => Promise<unknown>) => void,
) {
  const decide = (key: string, id: string, decision: { status: Decision; code?: string }) =>
    ledger.change(key, (known) => decideRefund(known, id, decision));

  return {
    async refundSale(key: string, request: IncomingMessage): Promise<Task> {
      const wanted = parseRefund(await readJson(request));
      const run: Task['run'] = async (rule) => {
        const status = rule?.kind === 'pending' ? 'pending' : 'succeeded';
        const result = await ledger.change(key, (known) => refund(known, { ...wanted, status }));
        if (result === 'undecided') return undecided(key);
        if ('refused' in result) return ok({ key, refused: result.refused });
        if (rule?.kind === 'pending' && rule.delayMs > 0) {
          later(rule.delayMs, () => decide(key, result.id, { status: 'succeeded' }));
        }
        if (rule?.kind === 'fail-later') {
          const failure = { status: 'failed', code: rule.code } as const;
          later(rule.delayMs, () => decide(key, result.id, failure));
        }
        return ok({ key, refund: result });
      };
      return { run, target: { operation: 'refund-sale', key } };
    },

    async decideRefund(key: string, id: string, request: IncomingMessage): Promise<Task> {
      const decision = parseDecision(await readJson(request));
      const run = async () => {
        const row = await decide(key, id, decision);
        return row
          ? ok({ key, refund: row })
          : problem(404, 'unknown-refund', `There is no ${id}.`);
      };
      return { run };
    },

    async dispute(key: string, request: IncomingMessage): Promise<Task> {
      const wanted = parseDispute(await readJson(request));
      const run = async () => {
        const row = await ledger.change(key, (known) => openDispute(known, wanted));
        if (row) return ok({ key, dispute: row });
        return problem(409, 'conflict', `${key} holds no such amount, or is disputed already.`);
      };
      return { run };
    },

    async closeDispute(key: string, request: IncomingMessage): Promise<Task> {
      const { status } = parseVerdict(await readJson(request));
      const run = async () => {
        const row = await ledger.change(key, (known) => closeDispute(known, status));
        return row
          ? ok({ key, dispute: row })
          : problem(409, 'conflict', `${key} is not disputed.`);
      };
      return { run };
    },

    list: (key: string): Task => ({
      target: { operation: 'returns', key },
      run: async () => {
        const record = await ledger.find(key);
        const refunds = record ? refundsOf(record) : [];
        return ok({ key, refunds, disputes: record?.disputes ?? [] });
      },
    }),
  };
}

type Decision = 'succeeded' | 'failed';

const Amount = Type.Optional(
  Type.Integer({
    minimum: 1,
    maximum: Number.MAX_SAFE_INTEGER,
    description: 'amount must be a whole number of minor units above 0.',
  }),
);
const text = (name: string) =>
  Type.Optional(
    Type.String({ minLength: 1, maxLength: 255, description: `${name} must be a text.` }),
  );
const body = { description: 'The body must be a JSON object.' };

const parseRefund = createParser(
  Type.Object({ refund_key: text('refund_key'), amount: Amount, currency: text('currency') }, body),
);
const parseDecision = createParser(
  Type.Object(
    {
      status: Type.Union([Type.Literal('succeeded'), Type.Literal('failed')], {
        description: 'status must be succeeded or failed.',
      }),
      code: text('code'),
    },
    body,
  ),
);
const parseDispute = createParser(Type.Object({ amount: Amount, reason: text('reason') }, body));
const parseVerdict = createParser(
  Type.Object(
    {
      status: Type.Union([Type.Literal('won'), Type.Literal('lost')], {
        description: 'status must be won or lost.',
      }),
    },
    body,
  ),
);
