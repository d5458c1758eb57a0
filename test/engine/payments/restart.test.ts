import { appendFile, readFile, writeFile, mkdir } from 'node:fs/promises';
import { dirname } from 'node:path';
import { createHttpPaymentProvider } from '../../../engine/payments/http-provider';
import type { ChargeResult } from '../../../engine/payments/payment-provider';
import { createSimulator } from '../../../engine/payments/simulator/simulator';
import { newCharge } from './payment-provider.contract';
import { clientOf, newLedgerFile, send, until } from './running-simulator';
import { compileSimulator, freePort, runSimulator } from './simulator-process';

jest.setTimeout(60_000);

describe('a simulator that is started again', () => {
  let files: Awaited<ReturnType<typeof newLedgerFile>>;
  beforeEach(async () => {
    files = await newLedgerFile();
  });
  afterEach(() => files.remove());

  const start = async () => {
    const simulator = await createSimulator({ ledgerFile: files.ledgerFile, declineRate: 0 });
    const { url } = await simulator.listen(0);
    const provider = createHttpPaymentProvider({ baseUrl: url, timeoutMs: 10_000 });
    return { url, ...clientOf(url), provider, close: simulator.close };
  };

  it('answers every key as it did before', async () => {
    const [captured, refunded, blocked, declined] = Array.from({ length: 4 }, () => newCharge());
    if (!captured || !refunded || !blocked || !declined) throw new Error('four were made');
    const first = await start();
    await first.misbehave({ kind: 'decline', keyPrefix: declined.key, code: 'expired_card' });
    const charged = await first.provider.charge(captured);
    await first.provider.charge(refunded);
    await first.provider.refund(refunded.key);
    await first.provider.refund(blocked.key);
    await first.provider.charge(declined);
    const before = await first.ledger();
    await first.close();

    const second = await start();
    await expect(second.ledger()).resolves.toEqual(before);
    await expect(second.provider.charge(captured)).resolves.toEqual(charged);
    for (const [charge, code] of [
      [refunded, 'refunded'],
      [blocked, 'blocked'],
      [declined, 'expired_card'],
    ] as const) {
      await expect(second.provider.charge(charge)).resolves.toEqual({ kind: 'declined', code });
    }
    await second.close();
  });

  it('keeps open payments, their pages, what was ended and what has happened', async () => {
    const [open, challenged, cancelled] = [newCharge(), newCharge(), newCharge()];
    const first = await start();
    const pages: string[] = [];
    for (const charge of [open, challenged, cancelled]) {
      const result = await first.provider.checkout(charge);
      if (result.kind === 'pending' && 'url' in result.page) pages.push(result.page.url);
    }
    await send(String(pages[1]), 'POST', '', { action: 'challenge' });
    const ended = await first.provider.cancel(cancelled.key);
    await first.close();

    const second = await start();
    await expect(second.provider.find(open.key)).resolves.toEqual({ kind: 'pending' });
    await expect(second.provider.cancel(cancelled.key)).resolves.toEqual(ended);
    const before = await second.provider.listEvents(0);
    expect(before.events.map(({ hint }) => hint)).toMatchObject([{ key: cancelled.key }]);
    for (const [page, action] of [
      [pages[0], 'approve'],
      [pages[1], 'approve-challenge'],
      [pages[2], 'approve'],
    ]) {
      await send(second.url, 'POST', new URL(String(page)).pathname, { action });
    }
    const statuses = (await second.ledger()).map(({ status }) => status);
    expect(statuses).toEqual(['captured', 'captured', 'cancelled']);
    const { events } = await second.provider.listEvents(0);
    await second.close();

    const third = await start();
    await expect(third.provider.listEvents(0)).resolves.toEqual({ events });
    expect(events.map(({ hint }) => hint?.key)).toEqual([cancelled.key, open.key, challenged.key]);
    expect(events[0]).toEqual(before.events[0]);
    await third.close();
  });

  it('opens a ledger of a version that knew charges only', async () => {
    await mkdir(dirname(files.ledgerFile), { recursive: true });
    const { key } = newCharge();
    const line = { key, status: 'captured', amount: 1000, currency: 'USD', at: 1, payment_id: 'p' };
    await writeFile(files.ledgerFile, `${JSON.stringify(line)}\n`);
    const simulator = await start();
    const found = { kind: 'charged', paymentId: 'p', amountMinor: 1000, currency: 'USD' };
    await expect(simulator.provider.find(key)).resolves.toEqual(found);
    await expect(simulator.provider.refund(key)).resolves.toBe('refunded');
    await simulator.close();
  });

  it('forgets a write that was cut short, and writes on from there', async () => {
    const [whole, torn, later] = [newCharge(), newCharge(), newCharge()];
    const first = await start();
    await first.provider.charge(whole);
    await first.close();
    await appendFile(files.ledgerFile, `{"key":"${torn.key}","status":"capt`);

    const second = await start();
    await expect(second.provider.find(torn.key)).resolves.toBeUndefined();
    await second.provider.charge(later);
    await second.close();

    const third = await start();
    const keys = (await third.ledger()).map(({ key }) => key);
    expect(keys).toEqual([whole.key, later.key]);
    await third.close();
  });

  it('refuses a file with a damaged line, rather than forget a charge', async () => {
    await mkdir(dirname(files.ledgerFile), { recursive: true });
    await writeFile(files.ledgerFile, '{"key":"k1"}\n');
    await expect(start()).rejects.toThrow('damaged line: {"key":"k1"}');
  });
});

describe('the simulator as a process', () => {
  let compiled: Awaited<ReturnType<typeof compileSimulator>>;
  let files: Awaited<ReturnType<typeof newLedgerFile>>;
  beforeAll(async () => {
    compiled = await compileSimulator();
    files = await newLedgerFile();
  });
  afterAll(async () => {
    await compiled.remove();
    await files.remove();
  });

  it('remembers every answered charge through kill -9 in the middle of many', async () => {
    const port = await freePort();
    const options = { ...compiled, ...files, port };
    const provider = createHttpPaymentProvider({
      baseUrl: `http://127.0.0.1:${port}`,
      timeoutMs: 10_000,
    });
    const answered = new Map<string, ChargeResult>();
    for (let kill = 0; kill < 3; kill += 1) {
      const simulator = await runSimulator(options);
      const enough = answered.size + 100;
      const crowd = Array.from({ length: 20 }, async () => {
        // Each buyer goes on until the process dies under the request.
        for (;;) {
          const charge = newCharge();
          const answer = await provider.charge(charge);
          answered.set(charge.key, answer);
        }
      });
      const over = Promise.allSettled(crowd);
      await until(() => Promise.resolve(answered.size >= enough));
      await expect(simulator.end('SIGKILL')).resolves.toEqual([null, 'SIGKILL']);
      await over;
    }

    const simulator = await runSimulator(options);
    const found = [...answered].map(async ([key, answer]) => {
      await expect(provider.find(key)).resolves.toMatchObject(answer);
    });
    await Promise.all(found);
    await simulator.end('SIGTERM');
  });

  it('ends in order on SIGTERM', async () => {
    const simulator = await runSimulator({ ...compiled, ...files, port: await freePort() });
    await expect(simulator.end('SIGTERM')).resolves.toEqual([0, null]);
    expect(simulator.output()).toContain('the payment simulator is listening');
  });

  it('answers 500 and ends when its ledger cannot be written', async () => {
    const { ledgerFile, remove } = await newLedgerFile();
    const options = { ...compiled, ledgerFile, port: await freePort() };
    const simulator = await runSimulator({ ...options, fileKbMax: 1 });
    const provider = createHttpPaymentProvider({ baseUrl: simulator.url, timeoutMs: 10_000 });
    const kept: string[] = [];
    const fillDisk = async () => {
      for (;;) {
        const charge = newCharge();
        await provider.charge(charge);
        kept.push(charge.key);
      }
    };
    await expect(fillDisk()).rejects.toThrow('answered 500');
    const [, signal] = await simulator.exited;
    expect(signal).toBeNull();
    expect(simulator.output()).toContain('the payment simulator failed');
    expect(kept.length).toBeGreaterThan(0);
    const content = await readFile(ledgerFile, 'utf8');
    expect(content.split('\n').slice(0, -1)).toHaveLength(kept.length);
    await remove();
  });
});
