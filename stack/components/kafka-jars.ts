import { existsSync, realpathSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import type { Context } from '../ground/context';
import { cached } from '../install/cache';
import { installing, installLog } from '../install/installer';
import { findProgram } from '../../platform/machine';
import { runToEnd } from '../processes/run-to-end';
import { reporting } from '../ground/report';
import { UserError } from '../../platform/user-error';

const KAFKA_VERSION = '4.2.0';
const LABEL = `Kafka ${KAFKA_VERSION} (about 60 MB)`;

/** The broker, and a logging backend: without one it would be silent, with the default one deafening. */
const POM = `<project>
  <modelVersion>4.0.0</modelVersion>
  <groupId>flash-sale</groupId>
  <artifactId>local-kafka</artifactId>
  <version>1</version>
  <dependencies>
    <dependency>
      <groupId>org.apache.kafka</groupId>
      <artifactId>kafka_2.13</artifactId>
      <version>${KAFKA_VERSION}</version>
    </dependency>
    <dependency>
      <groupId>org.apache.logging.log4j</groupId>
      <artifactId>log4j-slf4j-impl</artifactId>
      <version>2.24.3</version>
    </dependency>
  </dependencies>
</project>
`;

/** The folder with Kafka's jars: KAFKA_HOME's, or one filled by Maven. Maven runs on `java`. */
export async function findKafkaJars(context: Context, java: string): Promise<KafkaJars> {
  const { settings, report, signal } = context;
  const kafkaHome = settings.env['KAFKA_HOME'];
  if (kafkaHome) {
    const libs = join(kafkaHome, 'libs');
    if (!existsSync(libs)) {
      throw new UserError(`KAFKA_HOME is ${kafkaHome}, but there is no folder libs in it.`);
    }
    return { libs, origin: 'KAFKA_HOME' };
  }

  const name = `kafka-${KAFKA_VERSION}`;
  const folder = await cached(settings.cacheDir, { name, proof: BROKER_JAR }, async (target) => {
    const pom = join(target, 'pom.xml');
    writeFileSync(pom, POM);
    await reporting(report, `installing ${LABEL}`, () =>
      installing(LABEL, () =>
        runToEnd(
          settings.root,
          {
            command: 'mvn',
            args: ['--batch-mode', '--quiet', '-f', pom, 'dependency:copy-dependencies', OUTPUT],
            env: { ...settings.env, JAVA_HOME: dirname(dirname(realpathSync(java))) },
            cwd: target,
            logFile: installLog(settings, name),
          },
          signal,
        ),
      ),
    );
  });
  return { libs: join(folder, 'libs'), origin: `Kafka ${KAFKA_VERSION}, installed` };
}

export interface KafkaJars {
  readonly libs: string;
  readonly origin: string;
}

/** Throws a UserError when Kafka would have to be installed and cannot be: before anything is downloaded for it. */
export function requireMaven({ settings }: Context): void {
  const installed = join(settings.cacheDir, `kafka-${KAFKA_VERSION}`, BROKER_JAR);
  if (settings.env['KAFKA_HOME'] || existsSync(installed)) return;
  if (findProgram('mvn', settings.env) === undefined) {
    throw new UserError(
      'Kafka is missing and needs Maven to be installed: install Maven (Debian: apt-get install maven, macOS: brew install maven), or set KAFKA_HOME to an unpacked Kafka, or set KAFKA_ADDR.',
    );
  }
}

const OUTPUT = '-DoutputDirectory=libs';
const BROKER_JAR = join('libs', `kafka_2.13-${KAFKA_VERSION}.jar`);
