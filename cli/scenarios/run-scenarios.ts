import { paint, plain } from '../output/terminal';
import type { StackAccess } from '../wiring/stack-access';
import { addressList, type StackAddresses } from '../wiring/stack-addresses';
import { failedPayments } from './failed-payments';
import { neverOversold } from './never-oversold';
import { sameRequestTwice } from './same-request-twice';
import { BOUNDS, withScene, type Bounds, type Scene } from './scene';
import type { Verdict } from './verdict';
import { describeError } from '../../platform/user-error';

export interface ScenarioResult extends Verdict {
  readonly name: string;
  readonly passed: boolean;
  readonly seconds: number;
}

export interface RunOptions {
  /** Takes one line of text at a time, without its end. */
  readonly print: (line: string) => void;
  readonly colour?: boolean;
  readonly deadLetterTopic?: string;
  /** Absent: Redis and Kafka ask for nothing. */
  readonly access?: Pick<StackAccess, 'redis' | 'kafka'>;
  readonly bounds?: Partial<Bounds>;
}

/**
 * Runs the scenarios against the stack at `addresses`, one after another, and prints a line for each. A promise that is not
 * kept is a result; throws a UserError when the gateway or Redis cannot be reached at all. Leaves its items and orders
 * behind, under ids of this run.
 */
export async function runScenarios(
  addresses: StackAddresses,
  { deadLetterTopic = 'orders-dlq', access, bounds, ...output }: RunOptions,
): Promise<readonly ScenarioResult[]> {
  const { redis = addresses.redis, kafka = addressList(addresses.kafka) } = access ?? {};
  const options = { redis, kafka, deadLetterTopic, bounds: { ...BOUNDS, ...bounds } };
  return withScene(addresses, options, (scene) => playScenarios(scene, output));
}

/** The same on a scene that is open already. */
export async function playScenarios(
  scene: Scene,
  { print, colour = false }: Pick<RunOptions, 'print' | 'colour'>,
): Promise<readonly ScenarioResult[]> {
  const results: ScenarioResult[] = [];
  for (const { name, play } of SCENARIOS) {
    const startedAt = performance.now();
    const verdict = await play(scene).catch(missedBy);
    const seconds = Math.round((performance.now() - startedAt) / 100) / 10;
    const result = { name, passed: verdict.misses.length === 0, seconds, ...verdict };
    results.push(result);
    for (const line of linesOf(result, { colour })) print(line);
  }
  return results;
}

const SCENARIOS: readonly { name: string; play: (scene: Scene) => Promise<Verdict> }[] = [
  { name: 'the same request twice', play: sameRequestTwice },
  { name: 'never oversold', play: (scene) => neverOversold(scene) },
  { name: '10 % of payments fail', play: failedPayments },
];

/** A scenario that could not be played to its end has shown nothing, whatever the reason. */
function missedBy(error: unknown): Verdict {
  return { figures: 'not finished', misses: [describeError(error)] };
}

const MISSES_MAX = 10;
const NAME_WIDTH = Math.max(...SCENARIOS.map(({ name }) => name.length));

function linesOf(result: ScenarioResult, terminal: { readonly colour: boolean }): string[] {
  const { name, passed, seconds, figures, misses } = result;
  const mark = passed ? paint(terminal, 'green', 'pass') : paint(terminal, 'red', 'MISS');
  const time = `${seconds.toFixed(1)} s`.padStart(8);
  const rest = misses.length - MISSES_MAX;
  return [
    `${mark}  ${name.padEnd(NAME_WIDTH)} ${time}  ${plain(figures)}`,
    ...misses.slice(0, MISSES_MAX).map((miss) => `      ${plain(miss)}`),
    ...(rest > 0 ? [`      and ${rest} more`] : []),
  ];
}
