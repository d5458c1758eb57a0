import { weaknesses } from '../../../engine/kafka/topics';

const safe = { partitions: 6, replicas: 3, minInsyncReplicas: 2, uncleanLeaderElection: false };

describe('the settings of a topic', () => {
  test('are safe where one broker of three may fail', () => {
    expect(weaknesses(safe)).toEqual([]);
  });

  test('are left to a broker that knows other ones, as long as it keeps copies', () => {
    expect(weaknesses({ partitions: 6, replicas: 3 })).toEqual([]);
  });

  test.each([
    ['replication factor', { replicas: 1 }],
    ['min.insync.replicas', { minInsyncReplicas: 1 }],
    ['unclean.leader.election.enable', { uncleanLeaderElection: true }],
  ])('are weak for their %s alone, and it is named', (name, weak) => {
    expect(weaknesses({ ...safe, ...weak })).toEqual([expect.stringContaining(name)]);
  });
});
