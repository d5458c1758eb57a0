import type { Env } from '../../platform/config';
import type { AddressName, FoundAddresses } from '../wiring/stack-addresses';
import type { Finding } from './check';
import { isTaken } from '../../platform/machine';

interface LocalPort {
  readonly name: string;
  /** The variable that moves it. */
  readonly variable: string;
  readonly standard: number;
  /** Where the stack's file tells the port, if it does. */
  readonly address?: AddressName;
  /** The variable that makes `npm start` use another server instead of its own. */
  readonly unlessGiven?: string;
}

const LOCAL_PORTS: readonly LocalPort[] = [
  { name: 'gateway', variable: 'PORT', standard: 8080, address: 'gateway' },
  { name: 'ingest', variable: 'INGEST_PORT', standard: 9101 },
  { name: 'worker', variable: 'WORKER_PORT', standard: 9102 },
  {
    ...{ name: 'payments', variable: 'PAYMENT_PORT', standard: 8090, address: 'payments' },
    unlessGiven: 'PAYMENT_URL',
  },
  {
    ...{ name: 'Redis', variable: 'REDIS_PORT', standard: 6379, address: 'redis' },
    unlessGiven: 'REDIS_ADDR',
  },
  {
    ...{ name: 'Kafka', variable: 'KAFKA_PORT', standard: 19_092, address: 'kafka' },
    unlessGiven: 'KAFKA_ADDR',
  },
  {
    ...{ name: 'Kafka controller', variable: 'KAFKA_CONTROLLER_PORT', standard: 19_093 },
    unlessGiven: 'KAFKA_ADDR',
  },
  {
    ...{ name: 'Temporal', variable: 'TEMPORAL_PORT', standard: 7233, address: 'temporal' },
    unlessGiven: 'TEMPORAL_ADDRESS',
  },
  {
    ...{ name: 'Temporal Web UI', variable: 'TEMPORAL_UI_PORT', standard: 8233 },
    ...{ address: 'temporalUi', unlessGiven: 'TEMPORAL_ADDRESS' },
  },
];

/**
 * The ports that the local stack listens on: free, taken by it, or taken by somebody else. The last is a miss unless
 * `engineRuns`: then the engine was started in another way than by npm start, and needs no free port.
 */
export async function checkPorts(
  env: Env,
  found: FoundAddresses,
  { engineRuns }: { readonly engineRuns: boolean },
): Promise<Finding[]> {
  const own = LOCAL_PORTS.filter(({ unlessGiven }) => !unlessGiven || !env[unlessGiven]?.trim());
  return Promise.all(
    own.map(async (local): Promise<Finding> => {
      const port = portOf(local, env, found);
      const name = `${local.name} ${port}`;
      if (!(await isTaken(port))) return { name, state: 'ok', detail: 'free' };
      if (found.hasStackFile) return { name, state: 'ok', detail: 'taken by our stack' };
      const detail = 'taken by somebody else';
      if (engineRuns) return { name, state: 'note', detail };
      const remedy = `stop what listens on port ${port}, or set ${local.variable} to another port`;
      return { name, state: 'missing', detail, remedy };
    }),
  );
}

function portOf(local: LocalPort, env: Env, { addresses, origins }: FoundAddresses): number {
  if (local.address && origins[local.address] === 'stack file') {
    const address = addresses[local.address];
    const port = Number((/:(\d+)(?:,|$)/.exec(address) ?? [])[1]);
    if (port > 0) return port;
  }
  const given = Number(env[local.variable]?.trim() || local.standard);
  const isPort = Number.isInteger(given) && given >= 1 && given <= 65_535;
  return isPort ? given : local.standard;
}
