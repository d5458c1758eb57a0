import { writeSync } from 'node:fs';

/**
 * A failpoint is a place at which a process fails on purpose: before or after a call that leaves the process. Only the
 * environment sets one, never in production. While none is set, every function here returns what it was given, so
 * production runs no code of this file.
 */
export interface Failpoints<P extends ProcessName> {
  readonly isSet: boolean;
  /** Passes one point. Throws when it drops a reply; does not return when it kills. */
  readonly pass: (call: Call<P>, side: Side) => void;
  /** Makes a call between its two points. */
  readonly between: <T>(call: Call<P>, make: () => Promise<T>) => Promise<T>;
  /** `port` with the named methods between their points; the same object when nothing is set. */
  readonly around: <T extends object>(port: T, calls: CallsOf<T, P>) => T;
}

/** Which call each method of a port makes. Methods that are not named stay as they are. */
export type CallsOf<T, P extends ProcessName> = { readonly [Method in keyof T]?: Call<P> };

/** The calls of each process that leave it. There is a failpoint before and one after each of them. */
export const CALLS = {
  // prettier-ignore
  api: [
    'hold', 'undo', 'reject', 'queue', 'append', 'send', 'answer', 'cancel', 'cancel-run', 'append-cancellation',
    'checkout', 'ask-run', 'start-late-refund', 'start-returns', 'start-refund',
  ],
  // prettier-ignore
  ingest: [
    'start', 'count', 'dead-letter', 'give-back', 'may-start', 'claim', 'commit', 'reserve', 'charge', 'confirm',
    'publish',
  ],
  // prettier-ignore
  worker: [
    'reserve', 'confirm', 'release', 'may-settle', 'settle', 'charge', 'find', 'refund', 'dead-letter', 'publish',
    'cancel-payment', 'list-events', 'ask-run', 'start-late-refund', 'start-returns', 'refund-sale', 'returns',
    'publish-return', 'note-returns', 'restock',
  ],
  archiver: ['positions', 'write', 'commit'],
} as const;

export type ProcessName = keyof typeof CALLS;
export type Call<P extends ProcessName = ProcessName> = (typeof CALLS)[P][number];

/** `before`: nothing has left the process yet. `after`: the other side has replied, and the process has not seen it. */
export type Side = 'before' | 'after';

/** The name of a failpoint, such as `worker.charge.after`. */
export type Point = { [P in ProcessName]: `${P}.${Call<P>}.${Side}` }[ProcessName];

/**
 * `kill`: SIGKILL to itself. `freeze`: SIGSTOP to itself, until it gets a SIGCONT. `drop`: the call takes effect, its
 * reply is lost, and the caller gets an error.
 */
export const ACTIONS = ['kill', 'freeze', 'drop'] as const;
export type Action = (typeof ACTIONS)[number];

/** Acts only when its point is passed for the `hit`-th time since the process started. */
export interface Failpoint {
  readonly point: Point;
  readonly action: Action;
  readonly hit: number;
}

/** The message of the log line that a process writes when a failpoint acts. The chaos harness looks for it. */
export const FAILPOINT_FIRED = 'failpoint fired';

export function createFailpoints<P extends ProcessName>(
  process: P,
  failpoints: readonly Failpoint[],
  act: typeof actOnSelf = actOnSelf,
): Failpoints<P> {
  const set = failpoints.filter(({ point }) => point.startsWith(`${process}.`));
  if (set.length === 0) {
    return {
      isSet: false,
      pass: () => undefined,
      between: (_, make) => make(),
      around: (port) => port,
    };
  }
  const hits = new Map<Point, number>();
  const pass = (call: Call<P>, side: Side) => {
    const point = `${process}.${call}.${side}` as Point;
    const hit = (hits.get(point) ?? 0) + 1;
    hits.set(point, hit);
    for (const { action } of set.filter((one) => one.point === point && one.hit === hit)) {
      act(action, { point, hit });
    }
  };
  const between = async <T>(call: Call<P>, make: () => Promise<T>): Promise<T> => {
    pass(call, 'before');
    const reply = await make();
    pass(call, 'after');
    return reply;
  };
  return {
    isSet: true,
    pass,
    between,
    around: (port, calls) => decorate(port, calls, between),
  };
}

const STDOUT = 1;

/** Both signals take effect before the call returns, so no later line of the process runs. */
function actOnSelf(
  action: Action,
  { point, hit }: { readonly point: Point; readonly hit: number },
) {
  // Synchronous: the process does not live long enough for the logger to write.
  const line = {
    level: 'warn',
    time: new Date().toISOString(),
    point,
    action,
    hit,
    msg: FAILPOINT_FIRED,
  };
  writeSync(STDOUT, `${JSON.stringify(line)}\n`);
  switch (action) {
    case 'kill':
      process.kill(process.pid, 'SIGKILL');
      break;
    case 'freeze':
      process.kill(process.pid, 'SIGSTOP');
      break;
    case 'drop':
      throw new Error(`The reply was lost at ${point}`);
  }
}

/** A proxy instead of a copy: ports have getters, and a copy would freeze their values. */
function decorate<T extends object, P extends ProcessName>(
  port: T,
  calls: CallsOf<T, P>,
  between: Failpoints<P>['between'],
): T {
  return new Proxy(port, {
    get: (target, name): unknown => {
      const method: unknown = Reflect.get(target, name);
      const call = calls[name as keyof T];
      if (call === undefined || typeof method !== 'function') return method;
      return (...args: unknown[]) =>
        between(call, () => Reflect.apply(method, target, args) as Promise<unknown>);
    },
  });
}

/**
 * Parses FAILPOINTS: `<point>=<action>@<hit>`, comma-separated; `@<hit>` is 1 when absent. Points of every process are
 * valid, because the processes of a stack share their environment. Each problem completes the sentence "FAILPOINTS …".
 */
export function parseFailpoints(text: string): {
  readonly failpoints: readonly Failpoint[];
  readonly problems: readonly string[];
} {
  const failpoints: Failpoint[] = [];
  const problems: string[] = [];
  for (const part of text.split(',').map((one) => one.trim())) {
    if (part === '') continue;
    const parsed = parseFailpoint(part);
    if (typeof parsed === 'string') problems.push(parsed);
    else failpoints.push(parsed);
  }
  return { failpoints, problems };
}

const FORM = /^([^=@]*)=([^=@]*)(?:@(\d{1,9}))?$/;

/** A failpoint, or what is wrong with the text. */
function parseFailpoint(text: string): Failpoint | string {
  const [, pointText, actionText, hitText = '1'] = FORM.exec(text) ?? [];
  if (pointText === undefined) return `must be <point>=<action>@<hit>, not "${text}"`;
  const known = PROCESS_NAMES.flatMap(pointsOf);
  const point = known.find((one) => one === pointText);
  if (!point) return `knows no point "${pointText}"; there are ${known.join(', ')}`;
  const action = ACTIONS.find((one) => one === actionText);
  if (!action) return `must do one of ${ACTIONS.join(', ')} at ${point}, not "${actionText ?? ''}"`;
  if (action === 'drop' && !canDrop(point)) return `has no answer to drop at ${point}`;
  const hit = Number(hitText);
  if (hit < 1) return `counts the hits of ${point} from 1`;
  return { point, action, hit };
}

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

/** A reply can be lost only after its call. After `api.answer` the process expects no reply. */
export function canDrop(point: Point): boolean {
  return point.endsWith('.after') && point !== 'api.answer.after';
}
