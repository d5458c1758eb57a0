import { isGrpcServiceError, type Connection } from '@temporalio/client';
import { msToTs, tsToMs } from '@temporalio/common/lib/time';
import type { TemporalAccess } from '../platform/config/access';
import { raiseRetention } from '../engine/orders/run-retention';
import { SEARCH_ATTRIBUTES } from '../engine/orders/contract';
import { withTemporalConnection } from '../platform/temporal-client';
import { until } from '../platform/until';
import { UserError } from '../platform/user-error';

/** While a closed workflow is kept, a second start of the same order is refused. A week, as long as Kafka keeps records. */
const RETENTION_HOURS = 168;
const RETENTION_MS = RETENTION_HOURS * 3_600_000;

/** temporal.api.enums.v1.IndexedValueType.KEYWORD. The package with the enum is not installed. */
const KEYWORD = 2;

const CALL_MS_MAX = 5_000;
/** All parts of a server see a new namespace or attribute within a few seconds. */
const VISIBLE_MS_MAX = 30_000;

/** Checks once whether a Temporal server replies, and throws when none does. */
export async function probeTemporal(access: TemporalAccess): Promise<void> {
  await withTemporalConnection(access, CALL_MS_MAX, (connection) =>
    connection.workflowService.getSystemInfo({}),
  );
}

/**
 * Creates the namespace where it is missing, extends its retention to a week and adds the search attributes. Throws a
 * UserError with the command to run where permission is missing.
 */
export async function prepareNamespace(
  access: TemporalAccess,
  { report, signal }: { report: (line: string) => void; signal: AbortSignal },
): Promise<void> {
  const { namespace } = access;
  await until(
    `Temporal's namespace ${namespace} is not ready`,
    async () => {
      await withTemporalConnection(access, CALL_MS_MAX, async (connection) => {
        const exists = await ensureNamespace(connection, namespace);
        if (exists) await extendRetention(connection, namespace, report);
        await ensureSearchAttributes(connection, namespace);
      });
    },
    { withinMs: VISIBLE_MS_MAX, signal },
  );
}

/** False when the namespace was created just now, with the right retention. */
async function ensureNamespace(connection: Connection, namespace: string): Promise<boolean> {
  try {
    await connection.workflowService.describeNamespace({ namespace });
    return true;
  } catch (error) {
    if (!hasCode(error, NOT_FOUND)) throw error;
  }
  await withPermission(
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

/** A shorter retention weakens a guarantee and prevents nothing. Where permission is missing, it is only reported. */
async function extendRetention(
  connection: Connection,
  namespace: string,
  report: (line: string) => void,
) {
  const { config, namespaceInfo } = await connection.workflowService.describeNamespace({
    namespace,
  });
  const keptMs = tsToMs(config?.workflowExecutionRetentionTtl);
  if (keptMs >= RETENTION_MS) return;
  try {
    await connection.workflowService.updateNamespace({
      namespace,
      // A rebuild must not take a run for one that never was, because it was forgotten under the shorter retention.
      updateInfo: { data: raiseRetention({ keptMs, data: namespaceInfo?.data ?? {} }, Date.now()) },
      config: { workflowExecutionRetentionTtl: msToTs(RETENTION_MS) },
    });
  } catch (error) {
    if (!hasCode(error, PERMISSION_DENIED)) throw error;
    report(
      `  Temporal gives no permission to keep closed workflows of namespace ${namespace} for ${RETENTION_HOURS} h: a request id that is used again after its present retention is a new order.`,
    );
  }
}

async function ensureSearchAttributes(connection: Connection, namespace: string): Promise<void> {
  const { customAttributes } = await connection.operatorService.listSearchAttributes({ namespace });
  const missing = SEARCH_ATTRIBUTES.filter((name) => !(name in customAttributes));
  if (missing.length === 0) return;
  const options = missing.map((name) => `--name ${name} --type Keyword`).join(' ');
  await withPermission(
    `create the search attributes ${missing.join(', ')}`,
    `temporal operator search-attribute create --namespace ${namespace} ${options}`,
    () =>
      connection.operatorService.addSearchAttributes({
        namespace,
        searchAttributes: Object.fromEntries(missing.map((name) => [name, KEYWORD])),
      }),
  );
}

/** Makes a change. Missing permission becomes a UserError with the command to run. */
async function withPermission(what: string, command: string, change: () => Promise<unknown>) {
  try {
    await change();
  } catch (error) {
    if (!hasCode(error, PERMISSION_DENIED)) throw error;
    throw new UserError(
      `Temporal gives no permission to ${what}: ask an administrator to run "${command}".`,
      {
        cause: error,
      },
    );
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
