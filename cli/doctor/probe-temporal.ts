import { Connection, isGrpcServiceError } from '@temporalio/client';
import type { TemporalAccess } from '../../platform/config/access';
import { SEARCH_ATTRIBUTES } from '../../engine/orders/contract';
import type { Finding } from './check';

const CONNECT_MS_MAX = 2_000;
const CALL_MS_MAX = 5_000;

/** gRPC status code. */
const NOT_FOUND = 5;

/** Whether Temporal answers, knows what orders need, and somebody works on them. Throws when it does not answer. */
export async function probeTemporal(
  { address, namespace, security }: TemporalAccess,
  { taskQueue }: { readonly taskQueue: string },
): Promise<Finding[]> {
  const connection = await Connection.connect({
    ...{ address, connectTimeout: CONNECT_MS_MAX },
    ...security?.reveal(),
  });
  try {
    return await connection.withDeadline(Date.now() + CALL_MS_MAX, async () => {
      if (!(await hasNamespace(connection, namespace))) {
        const remedy = `npm start makes it; elsewhere: temporal operator namespace create --namespace ${namespace} --retention 168h`;
        const detail = `${address}, without the namespace ${namespace}`;
        return [{ name: 'Temporal', state: 'missing', detail, remedy }];
      }
      return [
        await checkAttributes(connection, address, namespace),
        await findWorkers(connection, namespace, taskQueue),
      ];
    });
  } finally {
    await connection.close();
  }
}

async function hasNamespace({ workflowService }: Connection, namespace: string): Promise<boolean> {
  try {
    await workflowService.describeNamespace({ namespace });
    return true;
  } catch (error) {
    const code: number | undefined = isGrpcServiceError(error) ? error.code : undefined;
    if (code === NOT_FOUND) return false;
    throw error;
  }
}

async function checkAttributes(
  { operatorService }: Connection,
  address: string,
  namespace: string,
): Promise<Finding> {
  const { customAttributes } = await operatorService.listSearchAttributes({ namespace });
  const missing = SEARCH_ATTRIBUTES.filter((name) => !(name in customAttributes));
  const name = 'Temporal';
  if (missing.length === 0) {
    const detail = `${address}, namespace ${namespace}, search attributes ${SEARCH_ATTRIBUTES.join(', ')}`;
    return { name, state: 'ok', detail };
  }
  const options = missing.map((attribute) => `--name ${attribute} --type Keyword`).join(' ');
  const remedy = `npm start makes them; elsewhere: temporal operator search-attribute create --namespace ${namespace} ${options}`;
  const detail = `${address}, without the search attributes ${missing.join(', ')}`;
  return { name, state: 'missing', detail, remedy };
}

async function findWorkers(
  { workflowService }: Connection,
  namespace: string,
  taskQueue: string,
): Promise<Finding> {
  // Without a type it is asked for workflow tasks.
  const { pollers } = await workflowService.describeTaskQueue({
    namespace,
    taskQueue: { name: taskQueue },
  });
  const name = 'worker';
  if (pollers.length > 0) {
    return { name, state: 'ok', detail: `${pollers.length} on task queue ${taskQueue}` };
  }
  const remedy = 'orders stay queued until a worker runs: npm start';
  return { name, state: 'missing', detail: `nobody on task queue ${taskQueue}`, remedy };
}
