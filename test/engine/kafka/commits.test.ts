import { setTimeout as sleep } from 'node:timers/promises';
import { pino } from 'pino';
import { createCommits } from '../../../engine/kafka/commits';
import { UnavailableError } from '../../../engine/kafka/dispatcher';
import { createPartitionLog } from '../../../engine/kafka/partition-log';

const logger = pino({ level: 'silent' });

/** Ends the timers also of a test that has failed, which would keep the process alive. */
const stops: (() => Promise<unknown>)[] = [];
afterEach(() => Promise.allSettled(stops.splice(0).map((stop) => stop())));

/** Partitions 3 and 4 with the records 0 to 9 each, and what is committed. */
function commitsOf(aroundCommit = (commit: () => Promise<void>) => commit()) {
  const partitions = new Map(
    [3, 4].map((number) => {
      const partition = createPartitionLog({
        number,
        bytesMax: () => 1_000_000,
        uncommittedMax: 1_000,
        setPaused: () => undefined,
        logger,
      });
      const messages = Array.from({ length: 10 }, (_, n) => {
        return { offset: String(n), key: null, value: Buffer.from('x') };
      });
      const accepted = partition.accept({
        topic: 'orders',
        partition: number,
        messages,
        highWatermark: '10',
      });
      const records = accepted.kind === 'read' ? accepted.records : [];
      const finish = (count: number) => {
        for (const record of records.slice(0, count)) partition.finish(record);
      };
      return [number, { partition, finish }] as const;
    }),
  );
  const logs = new Map([...partitions].map(([number, { partition }]) => [number, partition]));
  const commits = createCommits({
    topic: 'orders',
    assignment: { partitions: logs },
    logger,
    aroundCommit,
    everyMs: 2,
  });
  stops.push(() => commits.stop());
  const sent: string[] = [];
  const send = ({
    topics,
  }: {
    topics: { partitions: { partition: number; offset: string }[] }[];
  }) => {
    for (const { partitions: all } of topics) {
      sent.push(all.map(({ partition, offset }) => `${partition}:${offset}`).join(' '));
    }
    return Promise.resolve();
  };
  return {
    commits,
    sent,
    send,
    finish: (number: number, count: number) => partitions.get(number)?.finish(count),
    logs,
  };
}

describe('createCommits', () => {
  test('commits all partitions together, each up to its own position, and none twice', async () => {
    const { commits, sent, send, finish } = commitsOf();
    finish(3, 4);
    finish(4, 2);
    commits.use(send);
    await sleep(20);
    expect(sent).toEqual(['3:4 4:2']);
    finish(4, 10);
    await sleep(20);
    expect(sent).toEqual(['3:4 4:2', '4:10']);
    await commits.stop();
  });

  test('commits at the end what was finished last', async () => {
    const { commits, sent, send, finish } = commitsOf();
    commits.use(send);
    finish(3, 10);
    await commits.stop();
    expect(sent).toEqual(['3:10']);
  });

  test('commits nothing of a partition that has moved to another member meanwhile', async () => {
    const { commits, sent, send, finish, logs } = commitsOf(async (commit) => {
      logs.get(3)?.leave();
      await commit();
    });
    finish(3, 4);
    finish(4, 2);
    commits.use(send);
    await commits.stop();
    expect(sent).toEqual(['4:2']);
  });

  test('commits nothing while what belongs to the records cannot be done, and tries again', async () => {
    let isAway = true;
    const { commits, sent, send, finish } = commitsOf((commit) =>
      isAway ? Promise.reject(new UnavailableError('Redis is away')) : commit(),
    );
    finish(3, 4);
    commits.use(send);
    await sleep(20);
    commits.use(send);
    expect(sent).toEqual([]);
    isAway = false;
    await sleep(20);
    expect(sent).toEqual(['3:4']);
    await commits.stop();
  });

  test('throws the error of a commit with the next batch, so that kafkajs joins again', async () => {
    const { commits, finish } = commitsOf();
    const fails = () => Promise.reject(new Error('unknown member'));
    finish(3, 4);
    commits.use(fails);
    await sleep(20);
    expect(() => {
      commits.use(fails);
    }).toThrow('unknown member');
    await expect(commits.stop()).rejects.toThrow('unknown member');
  });

  test.each(['before the join', 'during the join'])(
    'does not throw after a join what failed %s: the commit is sent again',
    async (when) => {
      const { commits, sent, send, finish } = commitsOf();
      let fail: ((error: Error) => void) | undefined;
      const sendOnce: typeof send = (offsets) =>
        fail ? send(offsets) : new Promise((_, reject) => (fail = reject));
      finish(3, 4);
      commits.use(sendOnce);
      await sleep(20);
      if (when === 'during the join') commits.joined();
      fail?.(new Error('the group is rebalancing'));
      await new Promise(setImmediate);
      if (when === 'before the join') commits.joined();
      commits.use(send);
      await commits.stop();
      expect(sent).toEqual(['3:4']);
    },
  );
});
