import { weaknesses } from '../../../engine/kafka/topics';

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
