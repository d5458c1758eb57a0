import { ADDRESSES, type AddressName, type FoundAddresses } from '../wiring/stack-addresses';
import type { Check, Finding } from './check';
import { checkPorts } from './ports';
import { checkPrerequisites, type Machine } from './prerequisites';
import { describeError } from '../../platform/user-error';

/** The parts that can be asked. */
export type ProbedName = Exclude<AddressName, 'temporalUi'>;

/** Asks one part at its address how it is. Rejects when nothing answers there. */
export type Probe = (address: string) => Promise<readonly Finding[]>;

/** Looks at everything. Rejects only for bugs: a part that does not answer is a check, too. */
export async function diagnose(
  machine: Machine,
  found: FoundAddresses,
  probes: Readonly<Record<ProbedName, Probe>>,
): Promise<readonly Check[]> {
  const asked = await Promise.all(PROBED.map((name) => ask(name, found, probes[name])));
  const answering = asked.filter(({ findings }) => findings !== undefined).map(({ name }) => name);
  const engineRuns = answering.includes('gateway');
  // A file alone proves nothing: a stack that was killed has left it behind.
  const stackRuns = engineRuns || (found.hasStackFile && answering.length > 0);
  const ports = await checkPorts(machine.env, found, { engineRuns });
  const running = asked.flatMap((part) => part.findings ?? [silent(part, found, { stackRuns })]);
  return [
    ...checkPrerequisites(machine).map((finding) => ({ topic: PREREQUISITES, ...finding })),
    ...ports.map((finding) => ({ topic: PORTS, ...finding })),
    ...running.map((finding) => ({ topic: RUNNING, ...finding })),
  ];
}

const PREREQUISITES = 'prerequisites of npm start' as const;
const PORTS = 'ports of npm start' as const;
const RUNNING = 'running parts' as const;

const PROBED = ['redis', 'kafka', 'temporal', 'payments', 'gateway'] as const;

const LABELS = {
  redis: 'Redis',
  kafka: 'Kafka',
  temporal: 'Temporal',
  payments: 'payments',
  gateway: 'gateway',
} as const satisfies Record<ProbedName, string>;

interface Asked {
  readonly name: ProbedName;
  /** Undefined when nothing answered. */
  readonly findings: readonly Finding[] | undefined;
  readonly fault?: unknown;
}

async function ask(name: ProbedName, { addresses }: FoundAddresses, probe: Probe): Promise<Asked> {
  return probe(addresses[name]).then(
    (findings) => ({ name, findings }),
    (fault: unknown) => ({ name, findings: undefined, fault }),
  );
}

/** What it means that a part does not answer depends on whether somebody says that it should. */
function silent(
  { name, fault }: Asked,
  { addresses, origins }: FoundAddresses,
  { stackRuns }: { readonly stackRuns: boolean },
): Finding {
  const label = LABELS[name];
  const isGiven = origins[name] === 'flag' || origins[name] === 'environment';
  if (!isGiven && !stackRuns) {
    return { name: label, state: 'note', detail: 'not running: npm start' };
  }
  const source = origins[name] === 'flag' ? '--url' : ADDRESSES[name].variable;
  return {
    name: label,
    state: 'missing',
    detail: `${addresses[name]} does not answer (${describeError(fault)})`,
    remedy: isGiven
      ? `start it, or correct ${source}`
      : 'the other parts run: see its log in var/, then stop the stack and npm start again',
  };
}
