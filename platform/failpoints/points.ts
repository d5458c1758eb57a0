/** The calls of each process that leave it. There is a failpoint before and one after each of them. */
export const CALLS = {
  api: [
    ...(['hold', 'undo', 'reject', 'queue', 'append', 'send', 'answer'] as const),
    ...(['cancel', 'cancel-run'] as const),
  ],
  ingest: ['start', 'count', 'dead-letter', 'give-back', 'commit'],
  worker: [
    ...(['reserve', 'confirm', 'release', 'may-settle', 'settle'] as const),
    ...(['charge', 'find', 'refund', 'dead-letter'] as const),
  ],
} as const;

export type ProcessName = keyof typeof CALLS;
export type Call<P extends ProcessName = ProcessName> = (typeof CALLS)[P][number];

/** `before`: nothing has left the process yet. `after`: the other side has answered, and nobody here knows it yet. */
export type Side = 'before' | 'after';

/** A place at which a process can be made to fail, such as `worker.charge.after`. */
export type Point = { [P in ProcessName]: `${P}.${Call<P>}.${Side}` }[ProcessName];

/**
 * `kill`: SIGKILL to itself. `freeze`: SIGSTOP to itself, until somebody sends SIGCONT. `drop`: the call has taken
 * effect and its answer is lost, so the caller gets an error.
 */
export const ACTIONS = ['kill', 'freeze', 'drop'] as const;
export type Action = (typeof ACTIONS)[number];

export const PROCESS_NAMES = Object.keys(CALLS) as ProcessName[];

/** Every point of a process, in the order of its calls. */
export function pointsOf(process: ProcessName): Point[] {
  return CALLS[process].flatMap((call): Point[] => [
    `${process}.${call}.before` as Point,
    `${process}.${call}.after` as Point,
  ]);
}

/** The parts of a point's name. */
export function partsOf(point: Point) {
  const [process, call, side] = point.split('.') as [ProcessName, Call, Side];
  return { process, call, side };
}

/** An answer is lost after its call; the buyer's answer is written, and nobody in the process waits for more. */
export function canDrop(point: Point): boolean {
  return point.endsWith('.after') && point !== 'api.answer.after';
}
