import { createHttpPaymentProvider } from '../../../engine/payments/http-provider';
import { newCharge } from './payment-provider.contract';
import { send, startSimulator, until } from './running-simulator';

/** Long enough for an answer on a busy machine, short enough to wait for in a test. */
const TIMEOUT_MS = 1_000;

describe('PUT /misbehaviour', () => {
  let simulator: Awaited<ReturnType<typeof startSimulator>>;
  beforeEach(async () => {
    simulator = await startSimulator({ timeoutMs: TIMEOUT_MS });
  });
  afterEach(() => simulator.close());

  it('slow: answers late, and takes effect although the caller has given up', async () => {
    const [patient, impatient] = [newCharge(), newCharge()];
    await simulator.misbehave(
      { kind: 'slow', delayMs: 50, keyPrefix: patient.key },
      { kind: 'slow', delayMs: TIMEOUT_MS + 100, keyPrefix: impatient.key, times: 1 },
    );
    const startedAt = performance.now();
    await expect(simulator.provider.charge(patient)).resolves.toMatchObject({ kind: 'charged' });
    expect(performance.now() - startedAt).toBeGreaterThanOrEqual(49);
    await expect(simulator.provider.charge(impatient)).rejects.toThrow('no answer');
    await until(async () => (await simulator.statusOf(impatient.key)) === 'captured');
  });

  it('slow: a charge that is overtaken by the refund of its key is declined', async () => {
    const charge = newCharge();
    // The refund has so long to overtake it.
    await simulator.misbehave({ kind: 'slow', delayMs: 3_000, keyPrefix: charge.key, times: 1 });
    const { url: baseUrl } = simulator;
    const late = createHttpPaymentProvider({ baseUrl, timeoutMs: 60_000 }).charge(charge);
    await until(async () => (await simulator.fired())[0] === 1);
    await expect(simulator.provider.refund(charge.key)).resolves.toBe('nothing');
    await expect(late).resolves.toEqual({ kind: 'declined', code: 'blocked' });
    await expect(simulator.statusOf(charge.key)).resolves.toBe('blocked');
  });

  it('hang-after: charges and never answers; the money is found by its key', async () => {
    const charge = newCharge();
    await simulator.misbehave({ kind: 'hang-after', keyPrefix: charge.key, times: 1 });
    await expect(simulator.provider.charge(charge)).rejects.toMatchObject({
      message: 'The payment provider gave no answer to POST /charges',
      cause: { name: 'TimeoutError' },
    });
    const found = await simulator.provider.find(charge.key);
    expect(found).toMatchObject({ kind: 'charged' });
    expect(found).toMatchObject(await simulator.provider.charge(charge));
  });

  it('hang-before: never answers and charges nothing', async () => {
    const charge = newCharge();
    await simulator.misbehave({ kind: 'hang-before', keyPrefix: charge.key, times: 1 });
    await expect(simulator.provider.charge(charge)).rejects.toThrow('no answer');
    await expect(simulator.provider.find(charge.key)).resolves.toBeUndefined();
  });

  it('fail-before: answers with the status and charges nothing', async () => {
    const charge = newCharge();
    await simulator.misbehave({ kind: 'fail-before', status: 500, times: 1 });
    await expect(simulator.provider.charge(charge)).rejects.toThrow('answered 500');
    await expect(simulator.provider.find(charge.key)).resolves.toBeUndefined();
    await expect(simulator.provider.charge(charge)).resolves.toMatchObject({ kind: 'charged' });
  });

  it('fail-after: answers 503 although the money was taken, once', async () => {
    const charge = newCharge();
    await simulator.misbehave({ kind: 'fail-after', times: 2 });
    await expect(simulator.provider.charge(charge)).rejects.toThrow('answered 503');
    await expect(simulator.provider.charge(charge)).rejects.toThrow('answered 503');
    await expect(simulator.provider.charge(charge)).resolves.toMatchObject({ kind: 'charged' });
    await expect(simulator.moneyHeld(charge.key)).resolves.toBe(1000);
  });

  it('drop-after: closes the connection although the money was taken', async () => {
    const charge = newCharge();
    await simulator.misbehave({ kind: 'drop-after', times: 1 });
    await expect(simulator.provider.charge(charge)).rejects.toMatchObject({
      message: 'The payment provider gave no answer to POST /charges',
      cause: { code: 'UND_ERR_SOCKET' },
    });
    await expect(simulator.statusOf(charge.key)).resolves.toBe('captured');
  });

  it('twice: a charge carried out twice takes the money once', async () => {
    const charge = newCharge();
    await simulator.misbehave({ kind: 'twice' });
    await expect(simulator.provider.charge(charge)).resolves.toMatchObject({ kind: 'charged' });
    await expect(simulator.moneyHeld(charge.key)).resolves.toBe(1000);
  });

  it('twice: of a refund carried out twice the second finds nothing', async () => {
    const charge = newCharge();
    await simulator.provider.charge(charge);
    await simulator.misbehave({ kind: 'twice', operation: 'refund' });
    await expect(simulator.provider.refund(charge.key)).resolves.toBe('nothing');
    await expect(simulator.statusOf(charge.key)).resolves.toBe('refunded');
  });

  it('decline: declines with the code, and leaves a charge alone that was taken before', async () => {
    const [before, after] = [newCharge(), newCharge()];
    await simulator.provider.charge(before);
    await simulator.misbehave({ kind: 'decline', code: 'expired_card' });
    await expect(simulator.provider.charge(before)).resolves.toMatchObject({ kind: 'charged' });
    await expect(simulator.provider.charge(after)).resolves.toEqual({
      kind: 'declined',
      code: 'expired_card',
    });
  });

  it('breaks refunds and look-ups as well when told so', async () => {
    const charge = newCharge();
    await simulator.provider.charge(charge);
    await simulator.misbehave(
      { kind: 'fail-after', operation: 'refund', times: 1 },
      { kind: 'fail-before', operation: 'find', times: 1 },
    );
    await expect(simulator.provider.refund(charge.key)).rejects.toThrow('answered 503');
    await expect(simulator.provider.find(charge.key)).rejects.toThrow('answered 503');
    await expect(simulator.provider.refund(charge.key)).resolves.toBe('nothing');
    await expect(simulator.statusOf(charge.key)).resolves.toBe('refunded');
  });

  it('hits only the keys that the filter names, and counts its hits', async () => {
    const [hit, other] = [newCharge(), newCharge()];
    await simulator.misbehave({
      kind: 'fail-before',
      keyPattern: `${hit.context.requestId}:\\d+$`,
    });
    await expect(simulator.provider.charge(other)).resolves.toMatchObject({ kind: 'charged' });
    await expect(simulator.provider.charge(hit)).rejects.toThrow('answered 503');
    await expect(simulator.fired()).resolves.toEqual([1]);
  });

  it('changes the decline rate while it runs, for keys not yet seen', async () => {
    const [before, after, reset] = [newCharge(), newCharge(), newCharge()];
    await simulator.provider.charge(before);
    await send(simulator.url, 'PUT', '/misbehaviour', { declineRate: 1 });
    await expect(simulator.provider.charge(before)).resolves.toMatchObject({ kind: 'charged' });
    await expect(simulator.provider.charge(after)).resolves.toMatchObject({ kind: 'declined' });
    await send(simulator.url, 'DELETE', '/misbehaviour');
    await expect(simulator.provider.charge(reset)).resolves.toMatchObject({ kind: 'charged' });
  });

  it('shows what is set and forgets it on DELETE', async () => {
    await simulator.misbehave({ kind: 'slow', delayMs: 5, keyPrefix: 'req-1' });
    const shown = await send(simulator.url, 'GET', '/misbehaviour');
    const rule = { kind: 'slow', operation: 'charge', delayMs: 5, keyPrefix: 'req-1', fired: 0 };
    expect(shown.body).toMatchObject({ declineRate: 0, rules: [rule] });
    const reset = await send(simulator.url, 'DELETE', '/misbehaviour');
    expect(reset.body).toEqual({ declineRate: 0, rules: [] });
  });

  it.each([
    ['an unknown kind', { rules: [{ kind: 'explode' }] }, 'kind must be one of'],
    ['an unknown field', { rules: [{ kind: 'twice', key: 'k' }] }, 'unknown field "key"'],
    [
      'an unknown operation',
      { rules: [{ kind: 'twice', operation: 'void' }] },
      'operation must be',
    ],
    ['slow without a delay', { rules: [{ kind: 'slow' }] }, 'slow needs delayMs'],
    ['a delay of no time', { rules: [{ kind: 'slow', delayMs: 0 }] }, 'delayMs must be'],
    [
      'a status that is no failure',
      { rules: [{ kind: 'fail-before', status: 200 }] },
      'status must',
    ],
    [
      'a broken pattern',
      { rules: [{ kind: 'twice', keyPattern: '(' }] },
      'not a regular expression',
    ],
    ['a lost charge', { rules: [{ kind: 'lost', operation: 'charge' }] }, 'no misbehaviour of'],
    ['a hung webhook', { rules: [{ kind: 'hang-after', operation: 'webhook' }] }, 'of webhook'],
    ['a rule for more than all', { rules: [{ kind: 'twice', rate: 1.1 }] }, 'rate must be'],
    ['a declined refund', { rules: [{ kind: 'decline', operation: 'refund' }] }, 'only a charge'],
    ['a rate above 1', { declineRate: 2 }, 'declineRate must be'],
    ['rules that are no list', { rules: {} }, 'rules must be an array'],
    ['no object', [], 'the body must be an object'],
  ])('refuses %s and keeps what was set', async (_, body, detail) => {
    await simulator.misbehave({ kind: 'twice' });
    const reply = await send(simulator.url, 'PUT', '/misbehaviour', body);
    expect(reply).toMatchObject({ status: 400, type: 'application/problem+json' });
    expect(reply.body['detail']).toContain(detail);
    await expect(simulator.fired()).resolves.toEqual([0]);
  });

  it('closes at once although callers hang', async () => {
    await simulator.misbehave(
      { kind: 'hang-before' },
      { kind: 'slow', delayMs: 60_000, operation: 'find' },
    );
    // Patient enough to hang until the simulator hangs up.
    const provider = createHttpPaymentProvider({ baseUrl: simulator.url, timeoutMs: 30_000 });
    const hung = [provider.charge(newCharge()), provider.find('k')];
    await until(async () => (await simulator.fired()).every((fired) => fired === 1));
    const startedAt = performance.now();
    const closing = simulator.close();
    for (const result of await Promise.allSettled(hung)) expect(result.status).toBe('rejected');
    await closing;
    expect(performance.now() - startedAt).toBeLessThan(5_000);
    expect(simulator.errors).toEqual([]);
    simulator = await startSimulator();
  });
});
