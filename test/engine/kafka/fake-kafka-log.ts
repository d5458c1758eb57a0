import type { Producer, ProducerRecord, RecordMetadata } from 'kafkajs';

/** What one send through the fake does, beside writing. */
export type Fault =
  /** Resolves with nothing in the result, and writes nothing. */
  | 'empty-result'
  /** Resolves with a result for another partition only, and writes nothing. */
  | 'other-partition'
  /** Writes, and then loses the answer. */
  | 'error-after-write'
  /** Fails before writing. */
  | 'error'
  /** Neither writes nor answers. */
  | 'silence';

/**
 * A log in memory and the kafkajs producers that write to it. Unlike the real library, each client fails exactly as told:
 * `nextFault(client)` is asked for every send, with the number of the client (0 for the first).
 */
export function createFakeLog(topic: string, nextFault: (client: number) => Fault | undefined) {
  const partitions = new Map<number, string[]>();
  const state = {
    clients: 0,
    inFlight: new Map<number, number>(),
    inFlightMax: 0,
    disconnected: 0,
  };

  function createProducer(): Producer {
    const client = state.clients++;
    const send = async ({ messages }: ProducerRecord): Promise<RecordMetadata[]> => {
      const partition = messages[0]?.partition ?? 0;
      if (messages.some((message) => message.partition !== partition)) {
        throw new Error('one send over several partitions');
      }
      const busy = (state.inFlight.get(partition) ?? 0) + 1;
      state.inFlight.set(partition, busy);
      state.inFlightMax = Math.max(state.inFlightMax, busy);
      await new Promise(setImmediate);
      state.inFlight.set(partition, busy - 1);
      const fault = nextFault(client);
      if (fault === 'silence') return new Promise(() => undefined);
      if (fault === 'empty-result') return [];
      if (fault === 'other-partition') return [ack(topic, partition + 1, 0)];
      if (fault === 'error') throw new Error('connection closed');
      const log = partitions.get(partition) ?? [];
      partitions.set(partition, log);
      const baseOffset = log.length;
      log.push(...messages.map(({ value }) => String(value)));
      if (fault === 'error-after-write') throw new Error('request timed out');
      return [ack(topic, partition, baseOffset)];
    };
    return {
      send,
      connect: () => Promise.resolve(),
      disconnect: () => {
        state.disconnected++;
        return Promise.resolve();
      },
    } as unknown as Producer;
  }

  return {
    createProducer,
    state,
    /** Everything in the log, repetitions included. */
    values: () => [...partitions.values()].flat(),
    at: (partition: number, offset: string) => partitions.get(partition)?.[Number(offset)],
  };
}

function ack(topicName: string, partition: number, baseOffset: number): RecordMetadata {
  return { topicName, partition, errorCode: 0, baseOffset: String(baseOffset) };
}
