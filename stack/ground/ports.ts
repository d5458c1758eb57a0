import { setTimeout as sleep } from 'node:timers/promises';
import { PORTS, type PortName, type Ports } from './settings';
import { isTaken } from '../../platform/machine';
import { UserError } from '../../platform/user-error';

/** A stack that was killed takes up to 5 s to end what it had started. */
const STALE_MS_MAX = 8_000;
const LOOK_AGAIN_MS = 200;

/**
 * Throws a UserError that lists every port that is taken or wanted twice, with the variable that moves it.
 * `patient`: another stack has just been ended and its ports are about to become free.
 */
export async function claimPorts(
  ports: Ports,
  names: readonly PortName[],
  { patient, signal }: { patient: boolean; signal: AbortSignal },
): Promise<void> {
  const twice = names.filter((name, at) => names.findIndex((n) => ports[n] === ports[name]) !== at);
  if (twice.length > 0) {
    throw new UserError(`Two parts want the same port: move ${list(ports, twice)}.`);
  }
  const deadline = Date.now() + (patient ? STALE_MS_MAX : 0);
  for (;;) {
    const taken = await takenPorts(ports, names);
    if (taken.length === 0) return;
    if (Date.now() >= deadline) {
      throw new UserError(
        `Already in use: ${list(ports, taken)}; stop what listens there, or set the variable in brackets to another port.`,
      );
    }
    await sleep(LOOK_AGAIN_MS, undefined, { signal });
  }
}

/**
 * A free port for each name. They lie below the range from which the system takes the ports of outgoing
 * connections, so that none of those can slip in between this choice and its use.
 */
export async function freePorts(): Promise<Ports> {
  const chosen = new Set<number>();
  const next = async () => {
    for (;;) {
      const port = 20_000 + Math.floor(Math.random() * 12_000);
      if (chosen.has(port) || (await isTaken(port))) continue;
      chosen.add(port);
      return port;
    }
  };
  return {
    gateway: await next(),
    ingest: await next(),
    worker: await next(),
    payment: await next(),
    redis: await next(),
    kafka: await next(),
    kafkaController: await next(),
    temporal: await next(),
    temporalUi: await next(),
  };
}

async function takenPorts(ports: Ports, names: readonly PortName[]): Promise<PortName[]> {
  const taken = await Promise.all(names.map((name) => isTaken(ports[name])));
  return names.filter((_, at) => taken[at]);
}

function list(ports: Ports, names: readonly PortName[]): string {
  return names.map((name) => `port ${ports[name]} (${PORTS[name].variable})`).join(', ');
}
