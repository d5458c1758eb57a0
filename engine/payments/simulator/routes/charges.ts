import type { IncomingMessage } from 'node:http';
import { Type } from '@sinclair/typebox';
import type { ChargeLedger, ChargeRequest } from '../ledger/charge-ledger';
import { BUYER_ACTIONS, type ChargeRecord } from '../ledger/charge-record';
import { isInFraction, type Misbehaviour } from '../misbehaviour';
import { noSuchPage } from './page';
import { createParser, InvalidRequestError, isForm, readForm, readJson } from './request';
import { ok, problem, undecided, type SimulatorResponse, type Task } from './response';

/** Charges, and payments that buyers make. `pageOf`: the URL of a payment's page. */
export function createChargeTasks(
  ledger: ChargeLedger,
  misbehaviour: Misbehaviour,
  pageOf: (token: string) => string,
) {
  const charge = async (request: IncomingMessage): Promise<Task> => {
    const wanted = await readCharge(request);
    const { key } = wanted;
    const run: Task['run'] = async (rule) => {
      const isUnlucky = isInFraction(key, misbehaviour.declineRate());
      const code = rule?.code ?? (isUnlucky ? 'card_declined' : undefined);
      const record = await ledger.charge(wanted, code);
      if (record !== 'conflict') return ok(chargeBody(record));
      return conflict(key);
    };
    return { run, target: { operation: 'charge', key } };
  };
  const open = async (request: IncomingMessage): Promise<Task> => {
    const wanted = await readCharge(request);
    const { key } = wanted;
    const run = async () => {
      const record = await ledger.open(wanted);
      if (record === 'conflict') return conflict(key);
      const { token } = record;
      return ok({ ...chargeBody(record), ...(token !== undefined && { url: pageOf(token) }) });
    };
    return { run, target: { operation: 'checkout', key } };
  };
  const pay = async (token: string, request: IncomingMessage): Promise<Task> => {
    const ofPage = isForm(request);
    const { action } = parseAction(await (ofPage ? readForm(request) : readJson(request)));
    const run = async () => {
      const record = await ledger.pay(token, action);
      // A page that is loaded again then sends nothing again.
      if (ofPage) return { status: 303, body: '', headers: { location: `/pay/${token}` } };
      if (record) return ok(chargeBody(record));
      return problem(404, 'unknown-payment', 'There is no such payment.');
    };
    return { run };
  };
  const page = (token: string, show: (record: ChargeRecord) => SimulatorResponse): Task => ({
    run: async () => {
      const record = await ledger.findPage(token);
      return record ? show(record) : noSuchPage();
    },
  });
  const cancel = (key: string): Task => ({
    target: { operation: 'cancel', key },
    run: async () => ok(chargeBody(await ledger.cancel(key))),
  });
  const find = (key: string): Task => ({
    target: { operation: 'find', key },
    run: async () => {
      const record = await ledger.find(key);
      if (record) return ok(chargeBody(record));
      // Its own type: a client must not take a wrong address for a key that was never seen.
      return problem(404, 'unknown-charge', `${key} was never charged.`);
    },
  });
  const refund = (key: string): Task => ({
    target: { operation: 'refund', key },
    run: async () => {
      const result = await ledger.refund(key);
      return result === 'undecided' ? undecided(key) : ok({ key, result });
    },
  });
  return { charge, open, pay, page, cancel, find, refund };
}

/** 255: a common limit of providers for an idempotency key. Without blanks a key fits on a line of a log. */
const Key = Type.String({
  pattern: '^[\\x21-\\x7e]{1,255}$',
  description: 'key must be 1 to 255 printable ASCII characters without blanks.',
});
const parseKey = createParser(Key);
const parseCharge = createParser(
  Type.Object(
    {
      key: Key,
      amount: Type.Integer({
        minimum: 1,
        maximum: Number.MAX_SAFE_INTEGER,
        description: 'amount must be a whole number of minor units above 0.',
      }),
      currency: Type.String({
        pattern: '^[A-Z]{3}$',
        description: 'currency must be an ISO 4217 code in upper case.',
      }),
      context: Type.Optional(
        Type.Object(
          { requestId: Type.String(), itemId: Type.String(), userId: Type.String() },
          { description: 'context must have the texts requestId, itemId and userId.' },
        ),
      ),
    },
    { description: 'The body must be a JSON object.' },
  ),
);
const parseAction = createParser(
  Type.Object({
    action: Type.Union(
      BUYER_ACTIONS.map((action) => Type.Literal(action)),
      { description: `action must be one of ${BUYER_ACTIONS.join(', ')}.` },
    ),
  }),
);

/** A charge without what else its body has. */
async function readCharge(request: IncomingMessage): Promise<ChargeRequest> {
  const { key, amount, currency, context } = parseCharge(await readJson(request));
  return { key, amount, currency, ...(context && { context }) };
}

/** The key in a path. */
export function decodeKey(raw: string): string {
  let key: string;
  try {
    key = decodeURIComponent(raw);
  } catch {
    throw new InvalidRequestError(`The key in the path is not encoded as in a URL: ${raw}`);
  }
  return parseKey(key);
}

function chargeBody({ key, status, payment_id, code, amount, currency }: ChargeRecord) {
  const detail = status === 'captured' ? { payment_id } : { code };
  return { key, status, ...detail, amount, currency };
}

function conflict(key: string): SimulatorResponse {
  const detail = `${key} has another amount or currency, or its buyer can still pay it.`;
  return problem(409, 'conflict', detail);
}
