import { createKafkaProbe } from '../../api/health';
import { createFakePublisher } from './fake-publisher';

describe('the Kafka probe', () => {
  test('looks at Kafka only while no acknowledgement proves that it is there', async () => {
    let lookUps = 0;
    const { watched, probe } = createKafkaProbe(createFakePublisher(), () => {
      lookUps += 1;
      return Promise.resolve();
    });
    expect(await Promise.all([probe(), probe()])).toEqual([true, true]);
    expect(lookUps).toBe(1);
    await watched.append({ key: 'k', value: Buffer.from('v'), until: Infinity });
    expect(await probe()).toBe(true);
    expect(lookUps).toBe(1);
  });
});
