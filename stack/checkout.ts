import { existsSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { UserError } from '../platform/user-error';
import { startEngineProcess } from './engine';
import { loadStackSettings } from './settings';
import { startStack } from './stack';

/** What a checkout's own code starts: its servers and its programs, each with the settings of that checkout. */
const CODE = { startStack, loadStackSettings, startEngineProcess };

/** A built checkout. */
export type Checkout = { readonly root: string } & Readonly<typeof CODE>;

/** Where that code lies in `dist/`: first as in this checkout, then as in older ones. */
export const MODULES: Readonly<Record<keyof typeof CODE, readonly string[]>> = {
  startStack: ['stack/stack.js'],
  loadStackSettings: ['stack/settings.js', 'stack/ground/settings.js'],
  // Older checkouts have an engine.js, too, without this function.
  startEngineProcess: ['stack/engine.js', 'stack/engine-process.js'],
};

/** This checkout, whose root folder is `root`. */
export function ownCheckout(root: string): Checkout {
  return { root, ...CODE };
}

/** Loads another checkout's code. Throws a UserError when it is not built. */
export function loadCheckout(root: string): Checkout {
  const require = createRequire(__filename);
  const load = (name: keyof typeof CODE): unknown => {
    for (const module of MODULES[name]) {
      const path = join(root, 'dist', module);
      const code = existsSync(path) ? (require(path) as Record<string, unknown>) : {};
      if (name in code) return code[name];
    }
    throw new UserError(`${name} is not in ${root}/dist: run "npm run build" there.`);
  };
  const names = Object.keys(MODULES) as (keyof typeof CODE)[];
  return { root, ...(Object.fromEntries(names.map((name) => [name, load(name)])) as typeof CODE) };
}
