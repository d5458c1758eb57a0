/**
 * A turn with 256 requests makes eight round trips at once: Redis works on the first of them while the gateway still reads
 * the others, instead of each waiting for the other. As one they were accepted at two thirds of the rate.
 */
const BATCH_SIZE_MAX = 32;

export interface BatchOptions<In, Out> {
  /** One round trip for many; answers in the order of `items`. May reject: then nothing is known of any of them. */
  readonly run: (items: readonly In[]) => Promise<readonly (Out | Error)[]>;
  /** Milliseconds after which the callers stop waiting. The round trip itself goes on. */
  readonly deadlineMs: number;
  readonly sizeMax?: number;
  /** Turns of the event loop to gather for, 1 if absent. What waits in the sockets meanwhile comes along. */
  readonly turns?: 1 | 2;
  /** Told the size of each batch. */
  readonly onBatch?: (size: number) => void;
}

interface Waiting<In, Out> {
  readonly item: In;
  readonly resolve: (answer: Out | Error) => void;
}

/**
 * Gathers the calls of one turn of the event loop, or of two, into one round trip. Under load a turn holds dozens of
 * requests; alone, a request waits for nobody. The returned function never rejects: an Error means that nothing is known.
 */
export function createBatcher<In, Out>({
  run,
  deadlineMs,
  sizeMax = BATCH_SIZE_MAX,
  turns = 1,
  onBatch,
}: BatchOptions<In, Out>): (item: In) => Promise<Out | Error> {
  let waiting: Waiting<In, Out>[] = [];

  const flush = () => {
    const batch = waiting;
    if (batch.length === 0) return;
    waiting = [];
    onBatch?.(batch.length);
    const answerAll = (error: Error) => {
      for (const { resolve } of batch) resolve(error);
    };
    const timer = setTimeout(() => {
      answerAll(new Error(`No answer within ${deadlineMs} ms`));
    }, deadlineMs);
    void runSafely(batch.map(({ item }) => item)).then((answers) => {
      clearTimeout(timer);
      if (answers instanceof Error) answerAll(answers);
      else
        batch.forEach(({ resolve }, i) => {
          resolve(answers[i] ?? NO_ANSWER);
        });
    });
  };
  const flushNextTurn = () => {
    setImmediate(flush);
  };
  const runSafely = (items: readonly In[]) => run(items).catch(asError);

  return (item) =>
    new Promise((resolve) => {
      waiting.push({ item, resolve });
      if (waiting.length === 1) setImmediate(turns === 1 ? flush : flushNextTurn);
      else if (waiting.length >= sizeMax) flush();
    });
}

const NO_ANSWER = new Error('The batch had no answer for this item');

function asError(error: unknown): Error {
  return error instanceof Error ? error : new Error(String(error));
}
