import type { Kafka } from 'kafkajs';
import { pino } from 'pino';
import { checkTopic, weaknesses } from '../../../engine/kafka/topics';

const safe = { partitions: 6, replicas: 3, minInsyncReplicas: 2, uncleanLeaderElection: false };

describe('weaknesses', () => {
  test('finds none when one broker of three may fail', () => {
    expect(weaknesses(safe)).toEqual([]);
  });

  test('ignores settings that the broker does not know, if the topic is replicated', () => {
    expect(weaknesses({ partitions: 6, replicas: 3 })).toEqual([]);
  });

  test.each([
    ['replication factor', { replicas: 1 }],
    ['min.insync.replicas', { minInsyncReplicas: 1 }],
    ['unclean.leader.election.enable', { uncleanLeaderElection: true }],
  ])('names a weak %s', (name, weak) => {
    expect(weaknesses({ ...safe, ...weak })).toEqual([expect.stringContaining(name)]);
  });
});

test.each([
  ['that is kept loosely', () => Promise.resolve({ resources: [] }), /can lose records/],
  ['that is not shown', () => Promise.reject(new Error('no permission')), /does not show/],
])('a process that waits checks a topic %s often, and warns once', async (name, describe, text) => {
  const admin = {
    connect: () => Promise.resolve(),
    disconnect: () => Promise.resolve(),
    fetchTopicMetadata: () =>
      Promise.resolve({ topics: [{ name, partitions: [{ replicas: [1] }] }] }),
    describeConfigs: describe,
  };
  const kafka = { admin: () => admin } as unknown as Kafka;
  const lines: string[] = [];
  const logger = pino({}, { write: (line: string) => lines.push(line) });
  for (let i = 0; i < 3; i++) {
    expect(await checkTopic(kafka, name, { production: false, logger })).toBe(1);
  }
  expect(lines.filter((line) => text.test(line))).toHaveLength(1);
});
