import { accessSync, constants, readFileSync } from 'node:fs';
import { BlockList, isIP } from 'node:net';
import { describeError } from '../user-error';

export type Env = Readonly<Record<string, string | undefined>>;

export type Reader = ReturnType<typeof createReader>;

/**
 * Reads variables one by one and collects what is wrong with each, so that all problems are reported at once. A wrong
 * value is replaced by a placeholder, which no caller sees because `done` throws first.
 */
export function createReader(env: Env) {
  const problems: string[] = [];
  const raw = (name: string) => env[name]?.trim() ?? '';
  const fail = (problem: string) => {
    problems.push(problem);
  };

  const text = (name: string, fallback?: string): string => {
    const value = raw(name) || fallback;
    if (value === undefined) fail(`${name} is required`);
    return value ?? '';
  };
  const matching = (name: string, fallback: string | undefined, pattern: RegExp, what: string) => {
    const value = text(name, fallback);
    if (value !== '' && !pattern.test(value)) fail(`${name} must be ${what}, not "${value}"`);
    return value;
  };
  const number = (name: string, fallback: number, range: { min: number; max: number }) => {
    const value = raw(name) === '' ? fallback : Number(raw(name));
    const inRange = value >= range.min && value <= range.max;
    if (!inRange) {
      fail(`${name} must be a number from ${range.min} to ${range.max}, not "${raw(name)}"`);
    }
    return value;
  };
  const oneOf = <T extends string>(name: string, fallback: T, allowed: readonly T[]): T => {
    const value = text(name, fallback);
    const found = allowed.find((candidate) => candidate === value);
    if (found === undefined) {
      fail(`${name} must be one of ${allowed.join(', ')}, not "${value}"`);
    }
    return found ?? fallback;
  };
  const url = (name: string, value: string) => {
    // Not quoted: it may hold a secret. A port without a scheme is a URL, too: of the scheme "localhost".
    if (value !== '' && !/^https?:$/.test(URL.parse(value)?.protocol ?? '')) {
      fail(`${name} must be an http or https URL`);
    }
    return value.replace(/\/+$/, '');
  };
  const content = (name: string) => readContent(env, name, fail);

  return {
    fail,
    text,
    matching,
    oneOf,
    optional: (name: string): string | undefined => raw(name) || undefined,
    flag: (name: string): boolean => oneOf(name, 'false', ['true', 'false']) === 'true',
    /** A text from X or from the file X_FILE. */
    content,
    /** The same, wrapped so that it is never printed. */
    secret: (name: string): Secret | undefined => {
      const value = content(name);
      return value === undefined ? undefined : new Secret(value);
    },
    /** The path of a file that can be read. */
    optionalFile: (name: string): string | undefined => {
      const file = raw(name);
      if (file === '') return undefined;
      try {
        accessSync(file, constants.R_OK);
      } catch (error) {
        fail(`${name}: ${file} cannot be read (${describeError(error)})`);
      }
      return file;
    },
    address: (name: string) => matching(name, undefined, ADDRESS, 'host:port'),
    optionalAddress: (name: string): string | undefined =>
      raw(name) === '' ? undefined : matching(name, undefined, ADDRESS, 'host:port'),
    addresses: (name: string) => {
      const list = matching(name, undefined, ADDRESSES, 'host:port, comma-separated');
      return list.split(',').map((address) => address.trim());
    },
    /** Addresses and networks (10.0.0.0/8), comma-separated. */
    networks: (name: string): BlockList => {
      const list = new BlockList();
      const entries = raw(name) === '' ? [] : raw(name).split(',');
      for (const entry of entries.map((one) => one.trim())) {
        if (addNetwork(list, entry)) continue;
        fail(`${name} must be IP addresses or networks such as 10.0.0.0/8, not "${entry}"`);
      }
      return list;
    },
    fraction: (name: string, fallback: number) => number(name, fallback, { min: 0, max: 1 }),
    integer: (name: string, fallback: number, range: { min: number; max: number }) => {
      const value = number(name, fallback, range);
      if (!Number.isNaN(value) && !Number.isInteger(value)) fail(`${name} must be a whole number`);
      return value;
    },
    optionalUrl: (name: string) => (raw(name) === '' ? undefined : url(name, raw(name))),
    done: <T>(config: T): T => {
      if (problems.length > 0) throw new Error(`Bad configuration:\n  ${problems.join('\n  ')}`);
      return config;
    },
  };
}

const ADDRESS = /^[^\s:,]+:\d{1,5}$/;
const ADDRESSES = /^[^\s:,]+:\d{1,5}(\s*,\s*[^\s:,]+:\d{1,5})*$/;

/** False where the entry is neither an address nor a network. */
function addNetwork(list: BlockList, entry: string): boolean {
  const [, address = '', prefix] = /^([^/]+)(?:\/(\d{1,3}))?$/.exec(entry) ?? [];
  const version = isIP(address);
  const bits = version === 6 ? 128 : 32;
  const length = prefix === undefined ? bits : Number(prefix);
  if (version === 0 || length > bits) return false;
  list.addSubnet(address, length, version === 6 ? 'ipv6' : 'ipv4');
  return true;
}

/** X, or the content of the file X_FILE without the newline that editors append. Problems never quote it: it may be a secret. */
function readContent(env: Env, name: string, fail: (problem: string) => void): string | undefined {
  const value = env[name] ?? '';
  const file = env[`${name}_FILE`]?.trim() ?? '';
  if (file === '') return value === '' ? undefined : value;
  if (value !== '') fail(`${name} and ${name}_FILE are both set: only one can be meant`);
  try {
    const content = readFileSync(file, 'utf8').replace(/\r?\n$/, '');
    if (content === '') fail(`${name}_FILE: ${file} is empty`);
    return content;
  } catch (error) {
    fail(`${name}_FILE: ${file} cannot be read (${describeError(error)})`);
    return undefined;
  }
}

/** A value that must not reach a log: printed, inspected or turned into JSON it is `[secret]`. */
export class Secret<T = string> {
  readonly #value: T;

  constructor(value: T) {
    this.#value = value;
  }

  /** The value itself, for the client that needs it. */
  reveal(): T {
    return this.#value;
  }

  toString(): string {
    return '[secret]';
  }

  toJSON(): string {
    return '[secret]';
  }
}
