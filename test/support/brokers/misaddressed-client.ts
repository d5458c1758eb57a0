import { EventEmitter, once } from 'node:events';
import { Kafka, logLevel, Partitioners, type Producer } from 'kafkajs';
import type { BrokerPair } from './broker-pair';
import type { Fate } from './kafka-proxy';

/** The client looks its metadata up through either broker, by chance: the chance to fail is 1 in 2^40. */
const ROUNDS_MAX = 40;

/**
 * A connected producer of kafkajs, brought into the state in which it takes the second broker for the first, by two
 * sends at once and one connection that closes at the wrong moment: while a look-up of the metadata is under way.
 * `topic` has partition 0 at the first broker and 1 at the second.
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
    // The default is five minutes: it makes the moment rare, not impossible.
  }).producer({ metadataMaxAge: 1, createPartitioner: Partitioners.DefaultPartitioner });
  await producer.connect();
  const sendTo = (partition: number, value: string) =>
    producer.send({ topic, acks: -1, messages: [{ partition, value }] });

  for (let round = 0; round < ROUNDS_MAX; round++) {
    await playRound(brokers, { sendTo, closed });
    // Sound clients pass this by; the others repair their idea of the first broker with it, never that of the second.
    await sendTo(0, `between rounds ${String(round)}`);
    if ((await sendTo(1, `probe ${String(round)}`)).length === 0) return producer;
  }
  throw new Error(`the client is sound after ${String(ROUNDS_MAX)} rounds`);
}

interface Hands {
  readonly sendTo: (partition: number, value: string) => Promise<unknown>;
  /** Emits `seen` when the client has noticed that a connection is closed. */
  readonly closed: EventEmitter;
}

/** Leaves the proxies healed, whatever has come of it. */
async function playRound({ proxies }: BrokerPair, { sendTo, closed }: Hands): Promise<void> {
  let decide: (fate: Fate) => void = () => undefined;
  const decision = new Promise<Fate>((resolve) => (decide = resolve));
  let first: Promise<unknown> | undefined;
  await new Promise<void>((held) => {
    proxies[1].onAnswer = (kind) => {
      if (kind !== 'produce') return 'pass';
      held();
      return decision;
    };
    first = sendTo(0, 'its answer is held back');
  });

  // The second send looks the metadata up again. Through the first broker: nothing happens, another round.
  proxies[1].onRequest = (kind) => {
    if (kind === 'metadata') decide('pass');
  };
  proxies[2].onAnswer = async (kind): Promise<Fate> => {
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
