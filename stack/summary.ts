import { randomUUID } from 'node:crypto';
import { DEMO_ITEM } from '../setup/demo-item';
import { operatorTokenFile } from './operator-token';
import { LOOPBACK } from '../platform/machine';
import type { StackSettings } from './ground/settings';
import type { Stack } from './stack';

/** What to do with a stack that runs: every address, and the first commands to try. */
export function summary({ ports, dataDir, paymentUrl, env }: StackSettings, stack: Stack): string {
  const url = (port: number) => `http://${LOOPBACK}:${port}`;
  const gateway = url(ports.gateway);
  const requestId = `req-${randomUUID().slice(0, 8)}`;
  const body = { user_id: 'u1', item_id: DEMO_ITEM, amount: 1, request_id: requestId };
  const simulator = paymentUrl === undefined ? `${stack.paymentUrl}/ledger` : stack.paymentUrl;
  const token = env['OPERATOR_TOKEN']?.trim()
    ? '$OPERATOR_TOKEN'
    : `$(cat ${operatorTokenFile(dataDir)})`;
  const redisPort = stack.redisAddr.slice(stack.redisAddr.lastIndexOf(':') + 1);
  return `
Everything runs.

  gateway            ${gateway}   (/docs, /items/${DEMO_ITEM}, /metrics)
  Temporal Web UI    ${stack.temporalUiUrl ?? 'not known: set TEMPORAL_UI_URL'}
  payments           ${simulator}
  metrics            ${url(ports.ingest)}/metrics   ${url(ports.worker)}/metrics
  logs               ${dataDir}/*.log

Buy one unit, look at the order, count what is left:

  curl -i ${gateway}/buy -H 'content-type: application/json' \\
    -d '${JSON.stringify(body)}'
  npx flash-sale order ${requestId}
  redis-cli -p ${redisPort} GET inventory:${DEMO_ITEM}

As an operator: what failed, and more units (all of it is in /docs):

  curl ${gateway}/operator/dead-letters -H "authorization: Bearer ${token}"
  npx flash-sale stock add ${DEMO_ITEM} 50

Ctrl-C stops everything. The data stays; "npm start -- --fresh" begins anew.
`;
}
