import type { Env } from './reader';

/** What follows is nobody else's. A shop may well have a FLASH_SALE_VERSION. */
const OWN_PREFIXES = ['RATE_LIMIT_', 'IDEMPOTENCY_', 'TRUSTED_PROX'];

/** Read by the local stack and the command line, not by a loader of a process. */
const OTHER_NAMES = [
  'FLASH_SALE_DATA',
  'FLASH_SALE_CACHE',
  'FLASH_SALE_URL',
  'FLASH_SALE_ADMIN_URL',
  'FLASH_SALE_OPERATOR_TOKEN',
  'FLASH_SALE_TOKEN',
  'FLASH_SALE_TESTS',
];

/**
 * What Kubernetes sets for every service of a namespace: REDIS_SERVICE_HOST, REDIS_PORT_6379_TCP_ADDR, and REDIS_PORT with a
 * URL. A service may have any name, and with it its variables.
 */
const SERVICE_VARIABLE = /_SERVICE_(HOST|PORT)(_|$)|_PORT_\d+_(TCP|UDP|SCTP)(_|$)/;
const SERVICE_URL = /^(tcp|udp|sctp):\/\//;

/** Variables of these systems' own tools are set on many machines, and some are two letters from ours: REDIS_HOST. */
const OF_SYSTEMS = /^(REDIS|KAFKA|TEMPORAL|DATABASE)_|_(HOST|PORT)$/;

/**
 * Variables that are set and that nobody reads, although they were meant for the engine: their names begin with a prefix of
 * ours or are a typing error away from `names()`. One sentence each. Other variables are foreign and none of its business.
 */
export function findMisspelled(env: Env, names: () => Iterable<string>): string[] {
  const set = Object.keys(env);
  // Without variables the names are not needed: whoever collects them loads an empty environment.
  if (set.length === 0) return [];
  const known = new Set([...names(), ...OTHER_NAMES]);
  return set.flatMap((name) => {
    if (known.has(name) || SERVICE_VARIABLE.test(name)) return [];
    const nearest = nearestName(name, known);
    // The value is looked at last: no other variable of the environment is read.
    const value = nearest && env[name]?.trim();
    if (!value || SERVICE_URL.test(value)) return [];
    return [`${name} is no variable of this engine: is ${nearest} meant?`];
  });
}

/** The variable of ours for which a name was meant, as far as can be told. */
function nearestName(name: string, known: ReadonlySet<string>): string | undefined {
  const prefix = OWN_PREFIXES.find((one) => name.startsWith(one));
  const [nearest] = [...known]
    .filter((one) => (prefix === undefined ? areSimilar(name, one) : one.startsWith(prefix)))
    .map((one) => ({ name: one, errors: distance(name, one) }))
    .sort((a, b) => a.errors - b.errors);
  return nearest?.name;
}

/** Short names are similar by chance. */
function areSimilar(name: string, known: string): boolean {
  const [shorter, longer] = [name.length, known.length].sort((a, b) => a - b) as [number, number];
  const errorsMax = longer < 12 || OF_SYSTEMS.test(name) ? 1 : 2;
  if (shorter < 9 || longer - shorter > errorsMax) return false;
  return distance(name, known) <= errorsMax;
}

/** Typing errors between two words: letters that are missing, added, wrong, or swapped with the next one. */
function distance(a: string, b: string): number {
  let [beforeLast, last]: [number[], number[]] = [
    [],
    Array.from({ length: b.length + 1 }, (_, j) => j),
  ];
  const at = (row: readonly number[], j: number) => row[j] ?? Infinity;
  for (let i = 1; i <= a.length; i++) {
    const row = [i];
    for (let j = 1; j <= b.length; j++) {
      const same = a[i - 1] === b[j - 1] ? 0 : 1;
      const swapped =
        a[i - 1] === b[j - 2] && a[i - 2] === b[j - 1] ? at(beforeLast, j - 2) + 1 : Infinity;
      row.push(Math.min(at(row, j - 1) + 1, at(last, j) + 1, at(last, j - 1) + same, swapped));
    }
    [beforeLast, last] = [last, row];
  }
  return at(last, b.length);
}
