/**
 * 32: a turn with 256 requests makes eight round trips at once, and Redis works on the first while the gateway still reads
 * the others. In one batch of 256 they were accepted at two thirds of the rate.
 */
const BATCH_SIZE_MAX = 32;

/**
 * Gathers the calls of one turn of the event loop, or of two, into one round trip. Under load a turn holds dozens of
 * requests; a single request is not delayed. The returned function never rejects: an Error means that nothing is known.
 */
export function createBatcher<In, Out>({
  run,
  deadlineMs,
  sizeMax = BATCH_SIZE_MAX,
  turns = 1,
  onBatch,
}: {
  /** One round trip for many; results in the order of `items`. A rejection means that nothing is known of any of them. */
  readonly run: (items: readonly In[]) => Promise<readonly (Out | Error)[]>;
  /** Milliseconds after which the callers stop waiting. The round trip itself goes on. */
  readonly deadlineMs: number;
  readonly sizeMax?: number;
  /** Turns of the event loop to gather for. */
  readonly turns?: 1 | 2;
  /** Called with the size of each batch. */
  readonly onBatch?: ((size: number) => void) | undefined;
}): (item: In) => Promise<Out | Error> {
  let waiting: { readonly item: In; readonly resolve: (result: Out | Error) => void }[] = [];

  const flush = () => {
    const batch = waiting;
    if (batch.length === 0) return;
    waiting = [];
    onBatch?.(batch.length);
    const failAll = (error: Error) => {
      for (const { resolve } of batch) resolve(error);
    };
    const timer = setTimeout(() => {
      failAll(new Error(`No answer within ${deadlineMs} ms`));
    }, deadlineMs);
    const ran = run(batch.map(({ item }) => item)).catch(asError);
    void ran.then((results) => {
      clearTimeout(timer);
      if (results instanceof Error) failAll(results);
      else
        batch.forEach(({ resolve }, i) => {
          resolve(results[i] ?? NO_RESULT);
        });
    });
  };
  const flushNextTurn = () => {
    setImmediate(flush);
  };

  return (item) =>
    new Promise((resolve) => {
      waiting.push({ item, resolve });
      if (waiting.length === 1) setImmediate(turns === 1 ? flush : flushNextTurn);
      else if (waiting.length >= sizeMax) flush();
    });
}

const NO_RESULT = new Error('The batch had no result for this item');

function asError(error: unknown): Error {
  return error instanceof Error ? error : new Error(String(error));
}
