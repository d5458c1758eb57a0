import { EventEmitter, once } from 'node:events';
import { Kafka, logLevel, Partitioners, type Producer } from 'kafkajs';
import type { BrokerPair } from './broker-pair';
import type { Verdict } from './kafka-proxy';

/** A round succeeds if the client fetches its metadata through the second broker, 1 time in 2. All fail 1 time in 2^40. */
const ROUNDS_MAX = 40;

/**
 * A connected producer of kafkajs that mistakes the second broker for the first. Two concurrent sends, and a connection
 * that closes during a metadata request, cause that state. `topic` has partition 0 at the first broker and partition 1 at
 * the second.
 */
export async function misaddressedClient(brokers: BrokerPair, topic: string): Promise<Producer> {
  const closed = new EventEmitter();
  const producer = new Kafka({
    brokers: [brokers.addressOf(1)],
    retry: { initialRetryTime: 20, maxRetryTime: 100 },
    logLevel: logLevel.DEBUG,
    logCreator: () => (entry) => {
      if (entry.log.message === 'Kafka server has closed connection') closed.emit('seen');
    },
    // With the default of five minutes the state is rare but possible.
  }).producer({ metadataMaxAge: 1, createPartitioner: Partitioners.DefaultPartitioner });
  await producer.connect();
  const sendTo = (partition: number, value: string) =>
    producer.send({ topic, acks: -1, messages: [{ partition, value }] });

  for (let round = 0; round < ROUNDS_MAX; round++) {
    await playRound(brokers, { sendTo, closed });
    // This send makes a client in that state repair its address of the first broker, but not that of the second.
    await sendTo(0, `between rounds ${String(round)}`);
    if ((await sendTo(1, `probe ${String(round)}`)).length === 0) return producer;
  }
  throw new Error(`the client still works after ${String(ROUNDS_MAX)} rounds`);
}

interface Client {
  readonly sendTo: (partition: number, value: string) => Promise<unknown>;
  /** Emits `seen` when the client notices a closed connection. */
  readonly closed: EventEmitter;
}

/** Heals the proxies at the end, whatever the result. */
async function playRound({ proxies }: BrokerPair, { sendTo, closed }: Client): Promise<void> {
  let decide: (verdict: Verdict) => void = () => undefined;
  const decision = new Promise<Verdict>((resolve) => (decide = resolve));
  let first: Promise<unknown> | undefined;
  await new Promise<void>((held) => {
    proxies[1].onResponse = (kind) => {
      if (kind !== 'produce') return 'pass';
      held();
      return decision;
    };
    first = sendTo(0, 'its response is held back');
  });

  // The second send fetches the metadata again. Through the first broker the round has no effect.
  proxies[1].onRequest = (kind) => {
    if (kind === 'metadata') decide('pass');
  };
  proxies[2].onResponse = async (kind): Promise<Verdict> => {
    proxies[2].heal();
    if (kind === 'metadata') {
      const seen = once(closed, 'seen');
      proxies[1].heal();
      decide('cut');
      await seen;
    } else {
      decide('pass');
    }
    return 'pass';
  };
  await Promise.all([first, sendTo(1, 'meanwhile')]);
  proxies[1].heal();
  proxies[2].heal();
}
