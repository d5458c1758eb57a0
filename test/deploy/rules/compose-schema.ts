import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

/** What is a matter of taste, or of our own rules. */
const OFF = [
  'no-build-and-image',
  'no-quotes-in-volumes',
  'require-project-name-field',
  'service-container-name-regex',
  'service-dependencies-alphabetical-order',
  'service-image-require-explicit-tag',
  'service-keys-order',
  'service-ports-alphabetical-order',
  'services-alphabetical-order',
  'top-level-properties-order',
];

/** The linter as we use it: its own types name files in a way that the compiler does not follow. */
interface Linter {
  readonly DCLinter: new (config: {
    readonly rules: Readonly<Record<string, 0>>;
    readonly quiet: boolean;
    readonly debug: boolean;
    readonly exclude: readonly string[];
  }) => {
    lintFiles(
      paths: readonly string[],
      recursive: boolean,
    ): Promise<{ messages: { rule: string; line: number; message: string }[] }[]>;
  };
}

/** What the schema of the Compose specification, and the linter's rules about mistakes, have against a file. */
export async function composeSchemaFaults(text: string): Promise<string[]> {
  const { DCLinter } = (await import('dclint')) as unknown as Linter;
  const folder = mkdtempSync(join(tmpdir(), 'flash-sale-compose-'));
  try {
    const file = join(folder, 'docker-compose.yml');
    writeFileSync(file, text);
    const rules = Object.fromEntries(OFF.map((name) => [name, 0 as const]));
    const linter = new DCLinter({ rules, quiet: false, debug: false, exclude: [] });
    const results = await linter.lintFiles([file], false);
    return results.flatMap(({ messages }) =>
      messages.map(({ rule, line, message }) => `${rule}:${line} ${message}`),
    );
  } finally {
    rmSync(folder, { recursive: true });
  }
}
