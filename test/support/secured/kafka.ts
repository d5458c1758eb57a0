import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { type KafkaAccess, SASL_MECHANISMS } from '../../../platform/config/access';
import { Secret } from '../../../platform/config/reader';
import { startKafka, type BrokerVariant } from '../../../stack/components/kafka';
import type { Certificates } from './certificates';
import { createTestComponents } from './test-components';

export const USER = 'engine';
export const PASSWORD = 'a-password-of-the-broker';

type Mechanism = (typeof SASL_MECHANISMS)[number];

export interface SecuredKafka {
  /** Certificates and credentials for this mechanism. */
  readonly accessBy: (mechanism: Mechanism) => KafkaAccess;
  readonly stop: () => Promise<void>;
}

/** A broker that admits clients only through SASL_SSL, with any of three mechanisms, and with a client certificate. */
export async function startSecuredKafka(certificates: Certificates): Promise<SecuredKafka> {
  const own = await createTestComponents('secured-kafka');
  const accessTo = (address: string, mechanism: Mechanism): KafkaAccess => ({
    addrs: [address],
    tls: {
      ca: certificates.ca.cert,
      client: { cert: certificates.client.cert, key: new Secret(certificates.client.key) },
      serverName: undefined,
    },
    sasl: { mechanism, username: USER, password: new Secret(PASSWORD) },
  });
  const { ports } = own.context.settings;
  const { address } = await startKafka(own.context, {
    properties: securedProperties(ports, keyStores(own.dataDir, certificates)),
    formatArgs: ['SCRAM-SHA-256', 'SCRAM-SHA-512'].flatMap((mechanism) => [
      '--add-scram',
      `${mechanism}=[name=${USER},password=${PASSWORD}]`,
    ]),
    accessTo: (at) => accessTo(at, 'PLAIN'),
  } satisfies BrokerVariant);
  return { accessBy: (mechanism) => accessTo(address, mechanism), stop: own.stop };
}

/** Kafka's PEM key store is one file with key and certificate. */
function keyStores(dataDir: string, { ca, server }: Certificates) {
  const keyStore = join(dataDir, 'broker.pem');
  mkdirSync(dataDir, { recursive: true });
  writeFileSync(keyStore, readFileSync(server.keyFile, 'utf8') + server.cert);
  return { keyStore, trustStore: ca.certFile };
}

function securedProperties(
  ports: { kafka: number; kafkaController: number },
  stores: { keyStore: string; trustStore: string },
) {
  const plain = 'org.apache.kafka.common.security.plain.PlainLoginModule required';
  const scram = 'org.apache.kafka.common.security.scram.ScramLoginModule required;';
  const controller = `CONTROLLER://127.0.0.1:${String(ports.kafkaController)}`;
  return {
    listeners: `SASL_SSL://127.0.0.1:${String(ports.kafka)},${controller}`,
    'advertised.listeners': `SASL_SSL://127.0.0.1:${String(ports.kafka)}`,
    'listener.security.protocol.map': 'SASL_SSL:SASL_SSL,CONTROLLER:PLAINTEXT',
    'inter.broker.listener.name': 'SASL_SSL',
    'sasl.mechanism.inter.broker.protocol': 'PLAIN',
    'sasl.enabled.mechanisms': SASL_MECHANISMS.join(','),
    'listener.name.sasl_ssl.plain.sasl.jaas.config': `${plain} username="${USER}" password="${PASSWORD}" user_${USER}="${PASSWORD}";`,
    'listener.name.sasl_ssl.scram-sha-256.sasl.jaas.config': scram,
    'listener.name.sasl_ssl.scram-sha-512.sasl.jaas.config': scram,
    'ssl.keystore.type': 'PEM',
    'ssl.keystore.location': stores.keyStore,
    'ssl.truststore.type': 'PEM',
    'ssl.truststore.location': stores.trustStore,
    'ssl.client.auth': 'required',
  };
}
