import { existsSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { UserError } from '../../../platform/user-error';
import { engineProgram } from '../../../stack/engine';
import { loadStackSettings } from '../../../stack/ground/settings';
import { startStack } from '../../../stack/stack';

/** A built checkout, and its code that starts its servers and its programs: each side runs with its own settings. */
export interface Checkout {
  readonly root: string;
  readonly startStack: typeof startStack;
  readonly loadStackSettings: typeof loadStackSettings;
  readonly engineProgram: typeof engineProgram;
}

/** This checkout. */
export function ownCheckout(root: string): Checkout {
  return { root, startStack, loadStackSettings, engineProgram };
}

/** Where the code lies in `dist/`: first as in this checkout, then as in older ones. */
const MODULES = {
  startStack: ['stack/stack.js'],
  loadStackSettings: ['stack/ground/settings.js'],
  engineProgram: ['stack/engine.js'],
} as const;

/** Loads the code of another checkout. Throws a UserError when it is not built. */
export function loadCheckout(root: string): Checkout {
  const load = createRequire(__filename);
  const find = (name: keyof typeof MODULES): unknown => {
    const paths = MODULES[name].map((path) => join(root, 'dist', path));
    const path = paths.find((candidate) => existsSync(candidate));
    if (path === undefined) {
      throw new UserError(`${paths.join(' or ')} is missing: run "npm run build" in ${root}.`);
    }
    return (load(path) as Record<string, unknown>)[name];
  };
  return {
    root,
    startStack: find('startStack') as Checkout['startStack'],
    loadStackSettings: find('loadStackSettings') as Checkout['loadStackSettings'],
    engineProgram: find('engineProgram') as Checkout['engineProgram'],
  };
}
