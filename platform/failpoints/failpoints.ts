import { writeSync } from 'node:fs';
import type { Failpoint } from './parse';
import type { Action, Call, Point, ProcessName, Side } from './points';

/** Which call each method of a port makes. Methods that are not named stay as they are. */
export type CallsOf<T, P extends ProcessName> = { readonly [Method in keyof T]?: Call<P> };

/**
 * The failpoints of one process. Unless one is set, every function here hands back what it was given, so production
 * runs through no code of this file. The environment alone sets one; nothing from outside reaches them.
 */
export interface Failpoints<P extends ProcessName> {
  readonly isSet: boolean;
  /** Passes one point. Throws when it drops an answer; does not return when it kills. */
  readonly pass: (call: Call<P>, side: Side) => void;
  /** Makes a call between its two points. */
  readonly between: <T>(call: Call<P>, make: () => Promise<T>) => Promise<T>;
  /** `port` with the named methods between their points; the very same object when nothing is set. */
  readonly around: <T extends object>(port: T, calls: CallsOf<T, P>) => T;
}

/** What stands in the log of a process that has acted; the harness looks for it there. */
export const FAILPOINT_FIRED = 'failpoint fired';

const STDOUT = 1;

export function createFailpoints<P extends ProcessName>(
  process: P,
  failpoints: readonly Failpoint[],
  act: typeof actOnSelf = actOnSelf,
): Failpoints<P> {
  const own = failpoints.filter(({ point }) => point.startsWith(`${process}.`));
  const hits = new Map<Point, number>();

  const pass = (call: Call<P>, side: Side) => {
    const point = `${process}.${call}.${side}` as Point;
    const hit = (hits.get(point) ?? 0) + 1;
    hits.set(point, hit);
    for (const { action } of own.filter((one) => one.point === point && one.hit === hit)) {
      act(action, { point, hit });
    }
  };
  const between = async <T>(call: Call<P>, make: () => Promise<T>): Promise<T> => {
    pass(call, 'before');
    const answer = await make();
    pass(call, 'after');
    return answer;
  };

  if (own.length === 0) {
    return {
      isSet: false,
      pass: () => undefined,
      between: (_, make) => make(),
      around: (port) => port,
    };
  }
  return {
    isSet: true,
    pass,
    between,
    around: (port, calls) => decorate(port, calls, between),
  };
}

/** Both signals take effect before the call returns: no other line of the process runs behind it. */
function actOnSelf(
  action: Action,
  { point, hit }: { readonly point: Point; readonly hit: number },
) {
  // Past the logger, which would not live to write it.
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
      throw new Error(`The answer was lost at ${point}`);
  }
}

/** A proxy and no copy: ports have getters, which a copy would freeze. */
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
