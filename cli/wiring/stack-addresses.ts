import { existsSync, readFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import type { Env } from '../../platform/config';
import { UserError, describeError } from '../../platform/user-error';

/** Everything a command may talk to. */
export interface StackAddresses {
  /** Base URLs without a slash at their end. */
  readonly gateway: string;
  readonly payments: string;
  readonly temporalUi: string;
  /** host:port */
  readonly temporal: string;
  /** host:port, one or more, comma-separated */
  readonly redis: string;
  readonly kafka: string;
}

export type AddressName = keyof StackAddresses;

/** Who said so, strongest first. */
export type Origin = 'flag' | 'environment' | 'stack file' | 'standard';

export interface FoundAddresses {
  readonly addresses: StackAddresses;
  readonly origins: Readonly<Record<AddressName, Origin>>;
  /** A local stack of this checkout starts, runs, or was killed. It tells its addresses once all of it runs. */
  readonly hasStackFile: boolean;
}

interface Row {
  readonly variable: string;
  readonly kind: 'url' | 'address' | 'addresses';
  /** Where `npm start` puts it unless told otherwise. */
  readonly standard: string;
}

export const ADDRESSES = {
  gateway: { variable: 'FLASH_SALE_URL', kind: 'url', standard: 'http://127.0.0.1:8080' },
  payments: { variable: 'PAYMENT_URL', kind: 'url', standard: 'http://127.0.0.1:8090' },
  temporalUi: { variable: 'TEMPORAL_UI_URL', kind: 'url', standard: 'http://127.0.0.1:8233' },
  redis: { variable: 'REDIS_ADDR', kind: 'addresses', standard: '127.0.0.1:6379' },
  temporal: { variable: 'TEMPORAL_ADDRESS', kind: 'address', standard: '127.0.0.1:7233' },
  kafka: { variable: 'KAFKA_ADDR', kind: 'addresses', standard: '127.0.0.1:19092' },
} as const satisfies Record<AddressName, Row>;

/**
 * Where the stack is: by the flag --url, else the environment, else the file that a running local stack leaves in its
 * data folder, else where `npm start` puts it. `root` is the checkout. Throws a UserError for an address that is none.
 */
export function findStackAddresses({
  url,
  env,
  root,
}: {
  readonly url?: string | undefined;
  readonly env: Env;
  readonly root: string;
}): FoundAddresses {
  const file = join(resolve(root, env['FLASH_SALE_DATA']?.trim() || 'var'), 'stack.json');
  const left = readStackFile(file);
  const find = (name: AddressName): { address: string; origin: Origin } => {
    const { variable, standard } = ADDRESSES[name];
    const given = env[variable]?.trim();
    if (name === 'gateway' && url !== undefined) {
      return { address: checked(name, url, '--url'), origin: 'flag' };
    }
    if (given) return { address: checked(name, given, variable), origin: 'environment' };
    const found = left[name];
    if (found !== undefined) {
      return { address: checked(name, found, `"${name}" in ${file}`), origin: 'stack file' };
    }
    return { address: standard, origin: 'standard' };
  };
  const found = eachAddress(find);
  return {
    addresses: eachAddress((name) => found[name].address),
    origins: eachAddress((name) => found[name].origin),
    hasStackFile: existsSync(file),
  };
}

const NAMES = ['gateway', 'payments', 'temporalUi', 'redis', 'temporal', 'kafka'] as const;

function eachAddress<T>(find: (name: AddressName) => T): Record<AddressName, T> {
  return {
    gateway: find('gateway'),
    payments: find('payments'),
    temporalUi: find('temporalUi'),
    redis: find('redis'),
    temporal: find('temporal'),
    kafka: find('kafka'),
  };
}

/** Only what it says of addresses; whatever else the stack keeps in its file is its own. */
function readStackFile(file: string): Partial<Record<AddressName, string>> {
  if (!existsSync(file)) return {};
  const fault = (why: string, cause?: unknown) =>
    new UserError(`${file} cannot be read (${why}): remove it if no stack is running.`, { cause });
  let value: unknown;
  try {
    value = JSON.parse(readFileSync(file, 'utf8'));
  } catch (error) {
    throw fault(describeError(error), error);
  }
  if (typeof value !== 'object' || value === null) throw fault('it holds no object');
  const object = value as Readonly<Record<string, unknown>>;
  return Object.fromEntries(
    NAMES.flatMap((name) => {
      const address = object[name];
      return typeof address === 'string' ? [[name, address]] : [];
    }),
  );
}

const ADDRESS = /^[^\s:,]+:\d{1,5}$/;

function checked(name: AddressName, value: string, source: string): string {
  const { kind } = ADDRESSES[name];
  switch (kind) {
    case 'url': {
      const isUrl = URL.canParse(value) && /^https?:$/.test(new URL(value).protocol);
      if (!isUrl) throw new UserError(`${source} must be an http or https URL, not "${value}".`);
      return value.replace(/\/+$/, '');
    }
    case 'address':
      if (!ADDRESS.test(value)) throw new UserError(`${source} must be host:port, not "${value}".`);
      return value;
    case 'addresses':
      if (!value.split(',').every((address) => ADDRESS.test(address.trim()))) {
        throw new UserError(`${source} must be host:port, comma-separated, not "${value}".`);
      }
      return value;
  }
}
