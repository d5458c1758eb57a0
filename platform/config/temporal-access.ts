import { loadClientConfigProfile, toClientOptions } from '@temporalio/envconfig';
import type { Reader } from './reader';
import { Secret } from './secret';

type ConnectionOptions = ReturnType<typeof toClientOptions>['connectionOptions'];

/** How to reach Temporal: what the variables of the `temporal` command, or a profile of its file, say. */
export interface TemporalAccess {
  /** host:port of the frontend */
  readonly address: string;
  readonly namespace: string;
  /** Certificates, key, API key and metadata, in the form that both clients take. Absent: none of them. */
  readonly security?: Secret<TemporalSecurity> | undefined;
}

export type TemporalSecurity = Pick<ConnectionOptions, 'tls' | 'apiKey' | 'metadata'>;

/**
 * Reads the environment as the `temporal` command does. A file with profiles counts only where one is asked for by
 * name: a profile for another cluster that happens to lie in a developer's home must not steer this engine.
 */
export function readTemporalAccess(read: Reader): TemporalAccess {
  const env = temporalVariables(read);
  const disableFile = !env['TEMPORAL_CONFIG_FILE'] && !env['TEMPORAL_PROFILE'];
  try {
    const profile = loadClientConfigProfile({ disableFile, overrideEnvVars: env });
    const { connectionOptions, namespace = 'default' } = toClientOptions(profile);
    const { tls, apiKey, metadata } = connectionOptions;
    const security = {
      ...(tls !== undefined && { tls }),
      ...(apiKey !== undefined && { apiKey }),
      ...(metadata !== undefined && { metadata }),
    };
    return {
      address: profile.address ?? read.address('TEMPORAL_ADDRESS'),
      namespace,
      security: Object.keys(security).length > 0 ? new Secret(security) : undefined,
    };
  } catch (error) {
    // The library's messages name files, profiles and fields, and none of their contents.
    read.fail(`TEMPORAL_*: ${error instanceof Error ? error.message : String(error)}`);
    return { address: '', namespace: '' };
  }
}

/** The variables of the `temporal` command that are honoured here; without the ones that are empty. */
function temporalVariables(read: Reader): Record<string, string> {
  const variables = {
    TEMPORAL_ADDRESS: read.optionalAddress('TEMPORAL_ADDRESS'),
    TEMPORAL_NAMESPACE: read.optional('TEMPORAL_NAMESPACE'),
    TEMPORAL_API_KEY: read.secret('TEMPORAL_API_KEY')?.reveal(),
    TEMPORAL_TLS: read.optional('TEMPORAL_TLS'),
    TEMPORAL_TLS_SERVER_CA_CERT_PATH: read.optional('TEMPORAL_TLS_SERVER_CA_CERT_PATH'),
    TEMPORAL_TLS_SERVER_CA_CERT_DATA: read.optional('TEMPORAL_TLS_SERVER_CA_CERT_DATA'),
    TEMPORAL_TLS_CLIENT_CERT_PATH: read.optional('TEMPORAL_TLS_CLIENT_CERT_PATH'),
    TEMPORAL_TLS_CLIENT_CERT_DATA: read.optional('TEMPORAL_TLS_CLIENT_CERT_DATA'),
    TEMPORAL_TLS_CLIENT_KEY_PATH: read.optional('TEMPORAL_TLS_CLIENT_KEY_PATH'),
    TEMPORAL_TLS_CLIENT_KEY_DATA: read.optional('TEMPORAL_TLS_CLIENT_KEY_DATA'),
    TEMPORAL_TLS_SERVER_NAME: read.optional('TEMPORAL_TLS_SERVER_NAME'),
    TEMPORAL_CONFIG_FILE: read.optional('TEMPORAL_CONFIG_FILE'),
    TEMPORAL_PROFILE: read.optional('TEMPORAL_PROFILE'),
    // Where the file lies unless TEMPORAL_CONFIG_FILE says so.
    ...Object.fromEntries(USER_FOLDERS.map((name) => [name, read.optional(name)])),
  };
  if (read.optional('TEMPORAL_TLS_DISABLE_HOST_VERIFICATION') !== undefined) {
    read.fail(
      'TEMPORAL_TLS_DISABLE_HOST_VERIFICATION is not honoured: use TEMPORAL_TLS_SERVER_NAME',
    );
  }
  const cert = variables.TEMPORAL_TLS_CLIENT_CERT_PATH ?? variables.TEMPORAL_TLS_CLIENT_CERT_DATA;
  const key = variables.TEMPORAL_TLS_CLIENT_KEY_PATH ?? variables.TEMPORAL_TLS_CLIENT_KEY_DATA;
  if ((cert === undefined) !== (key === undefined)) {
    read.fail('TEMPORAL_TLS_CLIENT_CERT_* and TEMPORAL_TLS_CLIENT_KEY_* belong together');
  }
  return Object.fromEntries(
    Object.entries(variables).flatMap(([name, value]) =>
      value === undefined ? [] : [[name, value]],
    ),
  );
}

const USER_FOLDERS = ['HOME', 'XDG_CONFIG_HOME'] as const;
