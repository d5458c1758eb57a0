import type { Terminal } from '../../cli/terminal';

/** A terminal that remembers what was written to it. */
export function textTerminal({ colour = false } = {}): Terminal & {
  readonly written: () => string;
  readonly faults: () => string;
} {
  let out = '';
  let err = '';
  return {
    colour,
    out: (text) => {
      out += text;
    },
    stream: async (parts) => {
      for await (const part of parts) out += part;
    },
    err: (text) => {
      err += text;
    },
    written: () => out,
    faults: () => err,
  };
}
