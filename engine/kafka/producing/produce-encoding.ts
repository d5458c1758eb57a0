import type { Message } from 'kafkajs';
import { encodeRecordBatch, type PlainMessage } from './record-batch';

/** What the library's producer asks for. */
interface ProduceArguments {
  readonly acks: number;
  readonly timeout: number;
  /** 0 for none. */
  readonly compression: number;
  readonly transactionalId?: string | null;
  /** An idempotent producer's comes as an object of 64 bits. */
  readonly producerId: unknown;
  readonly topicData: readonly {
    readonly topic: string;
    readonly partitions: readonly {
      readonly partition: number;
      readonly messages: readonly Message[];
    }[];
  }[];
}

interface Encoder {
  writeString(value: string | null): this;
  writeInt16(value: number): this;
  writeInt32(value: number): this;
  writeBytes(value: Buffer): this;
}

interface Protocol {
  readonly request: { readonly encode: () => Promise<Encoder> };
  readonly response: unknown;
}

interface ProduceRequests {
  protocol: (version: { readonly version: number }) => (produce: ProduceArguments) => Protocol;
}

/** The versions of the request whose bytes were compared; older ones carry records of another format. */
const VERSIONS: readonly number[] = [3, 4, 5, 6, 7];

/**
 * Lets every producer of this process encode what the engine sends, plain records for one partition, by
 * encodeRecordBatch. All else stays with the library: other records, the framing, the answer. `load` requires from kafkajs,
 * whose version the caller has checked; called once.
 */
export function encodeBatchesOurselves(load: NodeJS.Require): void {
  const requests = load('kafkajs/src/protocol/requests/produce') as ProduceRequests;
  const Encoder = load('kafkajs/src/protocol/encoder') as new () => Encoder;
  const crc32c = load('kafkajs/src/protocol/recordBatch/crc32C') as (bytes: Buffer) => number;
  const ofLibrary = requests.protocol;

  const encode = (
    { acks, timeout }: ProduceArguments,
    { topic, partition, messages }: PlainBatch,
  ) =>
    new Encoder()
      .writeString(null)
      .writeInt16(acks)
      .writeInt32(timeout)
      .writeInt32(1)
      .writeString(topic)
      .writeInt32(1)
      .writeInt32(partition)
      .writeBytes(encodeRecordBatch(messages, { now: Date.now(), crc32c }));

  requests.protocol = (version) => {
    const produceOfLibrary = ofLibrary(version);
    if (!VERSIONS.includes(version.version)) return produceOfLibrary;
    return (produce) => {
      const { request, response } = produceOfLibrary(produce);
      const plain = plainBatch(produce);
      if (!plain) return { request, response };
      const encodeOurselves = () => Promise.resolve(encode(produce, plain));
      return { request: { ...request, encode: encodeOurselves }, response };
    };
  };
}

interface PlainBatch {
  readonly topic: string;
  readonly partition: number;
  readonly messages: readonly PlainMessage[];
}

/** The one batch of a request, if encodeRecordBatch can have it. */
function plainBatch(produce: ProduceArguments): PlainBatch | undefined {
  const { compression, transactionalId, producerId, topicData } = produce;
  const [data, ...moreTopics] = topicData;
  const [part, ...moreParts] = data?.partitions ?? [];
  if (!data || !part || moreTopics.length > 0 || moreParts.length > 0) return undefined;
  if (compression !== 0 || transactionalId != null || producerId !== NOT_IDEMPOTENT)
    return undefined;
  const { partition, messages } = part;
  return messages.every(isPlain) ? { topic: data.topic, partition, messages } : undefined;
}

const NOT_IDEMPOTENT = -1;

function isPlain(message: Message): message is PlainMessage {
  const { key, value, headers = {}, timestamp } = message;
  const isBare = timestamp === undefined && Object.keys(headers).length === 0;
  return isBare && typeof key === 'string' && Buffer.isBuffer(value);
}
