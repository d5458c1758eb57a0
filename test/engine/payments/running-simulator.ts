import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createHttpPaymentProvider } from '../../../engine/payments/http-provider';
import type { Charge, CheckoutResult } from '../../../engine/payments/payment-provider';
import type { BuyerAction } from '../../../engine/payments/simulator/ledger/charge-record';
import { createSimulator } from '../../../engine/payments/simulator/simulator';
import type { WebhookReceiver } from '../../../engine/payments/simulator/webhooks';

export interface LedgerRow {
  readonly key: string;
  readonly status: string;
  readonly amount: number;
  readonly currency: string | null;
  readonly at: number;
  readonly refunded?: number;
}

/** A folder of its own for a ledger file; `remove` deletes it. */
export async function newLedgerFile() {
  const folder = await mkdtemp(join(tmpdir(), 'payments-'));
  return {
    ledgerFile: join(folder, 'made', 'on', 'demand', 'ledger.jsonl'),
    remove: () => rm(folder, { recursive: true }),
  };
}

/** A simulator on a free port that declines nobody, and a provider that times out after `timeoutMs`. */
export async function startSimulator({
  timeoutMs = 10_000,
  webhooks,
}: {
  timeoutMs?: number;
  webhooks?: WebhookReceiver;
} = {}) {
  const { ledgerFile, remove } = await newLedgerFile();
  const errors: Error[] = [];
  const onError = (error: Error) => errors.push(error);
  const simulator = await createSimulator({ ledgerFile, declineRate: 0, webhooks, onError });
  const { url } = await simulator.listen(0);
  const provider = createHttpPaymentProvider({
    baseUrl: url,
    timeoutMs,
    webhookSecret: webhooks?.secret,
  });
  const pages = new Map<string, string>();
  return {
    url,
    errors,
    ledgerFile,
    provider: {
      ...provider,
      // A buyer knows the page from whoever has opened the payment.
      checkout: async (charge: Charge): Promise<CheckoutResult> => {
        const result = await provider.checkout(charge);
        if (result.kind === 'pending' && 'url' in result.page) {
          pages.set(charge.key, result.page.url);
        }
        return result;
      },
    },
    /** Acts as a buyer on the page of a payment, if one was opened. */
    pay: async (key: string, action: BuyerAction): Promise<void> => {
      const page = pages.get(key);
      if (page !== undefined) await send(page, 'POST', '', { action });
    },
    ...clientOf(url),
    close: async () => {
      await simulator.close();
      await remove();
    },
  };
}

/** The simulator's ledger and its rules, over HTTP. */
export function clientOf(url: string) {
  const ledger = async () => (await (await fetch(`${url}/ledger`)).json()) as LedgerRow[];
  const misbehave = async (...rules: object[]) => {
    const reply = await send(url, 'PUT', '/misbehaviour', { rules });
    if (reply.status !== 200) throw new Error(`refused: ${JSON.stringify(reply.body)}`);
  };
  return {
    ledger,
    misbehave,
    statusOf: async (key: string) => (await ledger()).find((row) => row.key === key)?.status,
    moneyHeld: async (key: string) => {
      const held = (await ledger()).filter((row) => row.key === key && row.status === 'captured');
      return held.reduce((sum, { amount, refunded = 0 }) => sum + amount - refunded, 0);
    },
    /** How often each rule was applied, in their order. */
    fired: async () => {
      const shown = (await (await fetch(`${url}/misbehaviour`)).json()) as {
        rules: { fired: number }[];
      };
      return shown.rules.map(({ fired }) => fired);
    },
  };
}

/** One raw request; a text is sent as it is, anything else as JSON. */
export async function send(url: string, method: string, path: string, body?: unknown) {
  const response = await fetch(`${url}${path}`, {
    method,
    ...(body === undefined ? {} : { body: typeof body === 'string' ? body : JSON.stringify(body) }),
  });
  const reply = (await response.json()) as Record<string, unknown>;
  return { status: response.status, type: response.headers.get('content-type'), body: reply };
}

/** Asks again until `condition` holds. Throws after `waitMs`. */
export async function until(condition: () => Promise<boolean>, waitMs = 10_000): Promise<void> {
  const deadline = Date.now() + waitMs;
  while (!(await condition())) {
    if (Date.now() > deadline) throw new Error(`not within ${waitMs} ms: ${condition.toString()}`);
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
}
