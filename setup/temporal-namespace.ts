import { Connection, isGrpcServiceError } from '@temporalio/client';
import { msToTs, tsToMs } from '@temporalio/common/lib/time';
import type { TemporalAccess } from '../platform/config/access';
import { SEARCH_ATTRIBUTES } from '../engine/orders/contract';
import { until } from '../platform/until';
import { UserError } from '../platform/user-error';

/** Closed workflows stay this long, and with them the refusal of a second start of the same order: a week, as long as Kafka keeps records. */
const RETENTION_HOURS = 168;
const RETENTION_MS = RETENTION_HOURS * 3_600_000;

/** temporal.api.enums.v1.IndexedValueType: keyword. The package with the enum is not one of ours. */
const KEYWORD = 2;

const CONNECT_MS_MAX = 2_000;
const CALL_MS_MAX = 5_000;
/** A new namespace or attribute is seen by all parts of a server within a few seconds. */
const VISIBLE_MS_MAX = 30_000;

/** One look at whether a Temporal server answers. Throws when none does. */
export async function probeTemporal(access: TemporalAccess): Promise<void> {
  await withTemporal(access, (connection) => connection.workflowService.getSystemInfo({}));
}

/**
 * Makes the namespace fit for orders: it exists, keeps closed workflows for a week and knows the search attributes.
 * What is there stays. Throws a UserError with the command to run where the server does not let us.
 */
export async function prepareNamespace(
  access: TemporalAccess,
  { report, signal }: { report: (line: string) => void; signal: AbortSignal },
): Promise<void> {
  const { namespace } = access;
  await until(
    `Temporal's namespace ${namespace} is not ready`,
    async () => {
      await withTemporal(access, async (connection) => {
        const exists = await ensureNamespace(connection, namespace);
        if (exists) await extendRetention(connection, namespace, report);
        await ensureSearchAttributes(connection, namespace);
      });
    },
    { withinMs: VISIBLE_MS_MAX, signal },
  );
}

/** False when the namespace has just been made, with everything as we want it. */
async function ensureNamespace(connection: Connection, namespace: string): Promise<boolean> {
  try {
    await connection.workflowService.describeNamespace({ namespace });
    return true;
  } catch (error) {
    if (!hasCode(error, NOT_FOUND)) throw error;
  }
  await allowed(
    `create the namespace ${namespace}`,
    `temporal operator namespace create --namespace ${namespace} --retention ${RETENTION_HOURS}h`,
    () =>
      connection.workflowService.registerNamespace({
        namespace,
        workflowExecutionRetentionPeriod: msToTs(RETENTION_MS),
      }),
  );
  return false;
}

/** A shorter retention is a weaker promise, not a fault: where we may not change it, that is only told. */
async function extendRetention(
  connection: Connection,
  namespace: string,
  report: (line: string) => void,
) {
  const { config } = await connection.workflowService.describeNamespace({ namespace });
  if (tsToMs(config?.workflowExecutionRetentionTtl) >= RETENTION_MS) return;
  try {
    await connection.workflowService.updateNamespace({
      namespace,
      config: { workflowExecutionRetentionTtl: msToTs(RETENTION_MS) },
    });
  } catch (error) {
    if (!hasCode(error, PERMISSION_DENIED)) throw error;
    report(
      `  Temporal does not let us keep closed workflows of namespace ${namespace} for ${RETENTION_HOURS} h: an order id that comes again later than the present retention is sold again.`,
    );
  }
}

async function ensureSearchAttributes(connection: Connection, namespace: string): Promise<void> {
  const { customAttributes } = await connection.operatorService.listSearchAttributes({ namespace });
  const missing = SEARCH_ATTRIBUTES.filter((name) => !(name in customAttributes));
  if (missing.length === 0) return;
  const options = missing.map((name) => `--name ${name} --type Keyword`).join(' ');
  await allowed(
    `create the search attributes ${missing.join(', ')}`,
    `temporal operator search-attribute create --namespace ${namespace} ${options}`,
    () =>
      connection.operatorService.addSearchAttributes({
        namespace,
        searchAttributes: Object.fromEntries(missing.map((name) => [name, KEYWORD])),
      }),
  );
}

/** Runs a change; a refusal becomes a sentence with the command that somebody with the right has to run. */
async function allowed(what: string, command: string, change: () => Promise<unknown>) {
  try {
    await change();
  } catch (error) {
    if (!hasCode(error, PERMISSION_DENIED)) throw error;
    throw new UserError(`Temporal does not let us ${what}: have somebody run "${command}".`, {
      cause: error,
    });
  }
}

/** gRPC status codes. */
const NOT_FOUND = 5;
const PERMISSION_DENIED = 7;

function hasCode(error: unknown, code: number): boolean {
  if (!isGrpcServiceError(error)) return false;
  const actual: number = error.code;
  return actual === code;
}

async function withTemporal<T>(
  { address, security }: TemporalAccess,
  use: (connection: Connection) => Promise<T>,
) {
  const connection = await Connection.connect({
    ...{ address, connectTimeout: CONNECT_MS_MAX },
    ...security?.reveal(),
  });
  try {
    return await connection.withDeadline(Date.now() + CALL_MS_MAX, () => use(connection));
  } finally {
    await connection.close();
  }
}
