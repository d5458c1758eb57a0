import {
  CALLS,
  createFailpoints,
  type Failpoint,
  parseFailpoints,
  pointsOf,
  PROCESS_NAMES,
  type ProcessName,
} from '../../platform/failpoints';
import { loadApiConfig } from '../../platform/config';
import * as api from '../../api/failpoints';
import { FAILPOINTS as ARCHIVER } from '../../archiver/archive-batch';
import { FAILPOINTS as INGEST } from '../../ingest/start-orders';
import { FAILPOINTS as WORKER } from '../../worker/failpoints';

const needed = {
  REDIS_ADDR: '127.0.0.1:1',
  KAFKA_ADDR: '127.0.0.1:2',
  TEMPORAL_ADDRESS: '127.0.0.1:3',
  PAYMENT_URL: 'http://127.0.0.1:4',
};

describe('FAILPOINTS', () => {
  test('names points, what happens there, and at which passing', () => {
    const text = 'worker.charge.after=kill@3, api.hold.before=freeze,ingest.start.after=drop@2';
    expect(parseFailpoints(text)).toEqual({
      failpoints: [
        { point: 'worker.charge.after', action: 'kill', hit: 3 },
        { point: 'api.hold.before', action: 'freeze', hit: 1 },
        { point: 'ingest.start.after', action: 'drop', hit: 2 },
      ],
      problems: [],
    });
  });

  test('is absent or empty: no point acts', () => {
    expect(loadApiConfig(needed).failpoints).toEqual([]);
    expect(loadApiConfig({ ...needed, FAILPOINTS: ' ' }).failpoints).toEqual([]);
  });

  test.each([
    ['nonsense', 'must be <point>=<action>@<hit>, not "nonsense"'],
    ['api.hold.after=kill@x', 'must be <point>=<action>@<hit>, not "api.hold.after=kill@x"'],
    ['api.hold.after=kill@0', 'counts the hits of api.hold.after from 1'],
    ['api.sell.after=kill', 'knows no point "api.sell.after"'],
    ['api.hold.after=explode', 'must do one of kill, freeze, drop at api.hold.after'],
    ['api.hold.before=drop', 'has no answer to drop at api.hold.before'],
    ['api.answer.after=drop', 'has no answer to drop at api.answer.after'],
  ])('%s is reported as a problem of the configuration', (text, fault) => {
    expect(() => loadApiConfig({ ...needed, FAILPOINTS: text })).toThrow(`FAILPOINTS ${fault}`);
  });

  test('with an unknown point lists all that there are', () => {
    const { problems } = parseFailpoints('nowhere=kill');
    for (const point of PROCESS_NAMES.flatMap(pointsOf)) expect(problems[0]).toContain(point);
  });

  test('is refused in production', () => {
    const stripe = { PAYMENT_PROVIDER: 'stripe', STRIPE_SECRET_KEY: 'sk_live_1' };
    const mode = { ENGINE_MODE: 'production', BUYER_AUTH: 'trusted' };
    const production = { ...needed, ...mode, ...stripe };
    const env = { ...production, FAILPOINTS: 'api.hold.after=kill' };
    expect(() => loadApiConfig(env)).toThrow('FAILPOINTS is for tests');
    expect(() => loadApiConfig({ ...env, FAILPOINTS: '' })).not.toThrow();
  });
});

describe('the points', () => {
  const NAMED: Record<ProcessName, readonly string[]> = {
    api: [
      ...Object.values({ ...api.ADMISSION_CALLS, ...api.PUBLISHER_CALLS, ...api.PRODUCER_CALLS }),
      ...Object.values(api.LEDGER_CALLS),
      ...Object.values(api.CANCELLATIONS_CALLS),
      ...Object.values({ ...api.PROVIDER_CALLS, ...api.HINTED_RUNS_CALLS, ...api.REFUND_CALLS }),
      ...[api.ANSWER_CALL, api.CANCEL_RUN_CALL],
    ],
    ingest: [
      ...Object.values(INGEST.starter),
      ...Object.values(INGEST.deadLetters),
      ...Object.values(INGEST.ledger),
      ...Object.values(INGEST.claims),
      ...Object.values(INGEST.provider),
      ...Object.values(INGEST.outcomes),
      INGEST.commit,
    ],
    worker: [
      ...Object.values(WORKER.ledger),
      ...Object.values(WORKER.provider),
      ...Object.values(WORKER.deadLetters),
      ...Object.values(WORKER.outcomes),
      ...Object.values({ ...WORKER.runs, ...WORKER.refunds, ...WORKER.returns }),
      ...Object.values(WORKER.afterSale),
    ],
    archiver: [...Object.values(ARCHIVER.store), ARCHIVER.commit],
  };

  test.each(PROCESS_NAMES)('of %s are those of its ports, each once', (process) => {
    expect([...NAMED[process]].sort()).toEqual([...CALLS[process]].sort());
  });
});

describe('failpoints', () => {
  /** A port of two methods, and what has happened to it. */
  function aPort() {
    const log: string[] = [];
    return {
      log,
      charge: (key: string) => {
        log.push(`charge ${key}`);
        return Promise.resolve(`paid ${key}`);
      },
      get size() {
        return log.length;
      },
    };
  }
  const set = (failpoints: readonly Failpoint[], log: string[] = []) =>
    createFailpoints('worker', failpoints, (action, { point }) => {
      log.push(`${action} at ${point}`);
      if (action === 'drop') throw new Error('lost');
    });

  test('that are not set return the same object, also where another process has one', () => {
    const port = aPort();
    const none = set([]);
    const elsewhere = set([{ point: 'api.hold.after', action: 'kill', hit: 1 }]);
    for (const failpoints of [none, elsewhere]) {
      expect(failpoints.around(port, { charge: 'charge' })).toBe(port);
      expect(failpoints.isSet).toBe(false);
    }
  });

  test('leave the gateway its own listener unless one is set', () => {
    const listener = () => undefined;
    expect(api.aroundAcceptances(createFailpoints('api', []), listener)).toBe(listener);
  });

  test('act before and after a call, at the named passing only', async () => {
    const port = aPort();
    const wrapped = set(
      [
        { point: 'worker.charge.before', action: 'freeze', hit: 2 },
        { point: 'worker.charge.after', action: 'kill', hit: 1 },
      ],
      port.log,
    ).around(port, { charge: 'charge' });
    expect(await wrapped.charge('a')).toBe('paid a');
    expect(await wrapped.charge('b')).toBe('paid b');
    expect(await wrapped.charge('c')).toBe('paid c');
    expect(port.log).toEqual([
      ...['charge a', 'kill at worker.charge.after'],
      ...['freeze at worker.charge.before', 'charge b', 'charge c'],
    ]);
    expect(wrapped.size).toBe(5);
  });

  test('lose the answer of a call that has taken effect', async () => {
    const port = aPort();
    const drop = [{ point: 'worker.charge.after', action: 'drop', hit: 1 }] as const;
    const wrapped = set(drop).around(port, { charge: 'charge' });
    await expect(wrapped.charge('a')).rejects.toThrow('lost');
    expect(port.log).toEqual(['charge a']);
    expect(await wrapped.charge('a')).toBe('paid a');
  });
});
