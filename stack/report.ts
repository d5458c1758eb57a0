import { randomUUID } from 'node:crypto';
import { DATABASE_URL_FILE_NAME } from '../platform/config/command-line';
import { LOOPBACK } from '../platform/machine';
import { DEMO_ITEM } from '../setup/demo-item';
import { operatorTokenFile } from './data-dir';
import type { StackSettings } from './settings';

/** Where progress goes, one line at a time. */
export type Report = (line: string) => void;

/** How often a long wait reports that it goes on. */
const STILL_MS = 5_000;

/** Elapsed milliseconds as "0.2 s". */
export function seconds(ms: number): string {
  return `${(ms / 1000).toFixed(1)} s`;
}

/** Reports `what` at once, and every 5 s with the elapsed time until `work` has ended. */
export async function reporting<T>(report: Report, what: string, work: () => Promise<T>) {
  const startedAt = Date.now();
  report(`  ${what} ...`);
  const timer = setInterval(() => {
    report(`  ${what} ... ${Math.round((Date.now() - startedAt) / 1000)} s`);
  }, STILL_MS);
  try {
    return await work();
  } finally {
    clearInterval(timer);
  }
}

/** Starts one part and reports it as a row of a table: name, elapsed time, result. */
export async function reportPart<T>(
  report: Report,
  part: string,
  work: () => Promise<T>,
  result: (value: T) => string,
): Promise<T> {
  const startedAt = Date.now();
  const value = await work();
  report(`  ${part.padEnd(18)} ${seconds(Date.now() - startedAt).padStart(7)}  ${result(value)}`);
  return value;
}

/** What to do with a running stack: every address, and the first commands to try. */
export function summary(
  { ports, dataDir, paymentUrl, operatorToken, buyerAuth }: StackSettings,
  stack: {
    readonly redisAddr: string;
    readonly temporalUiUrl: string | undefined;
    readonly databaseUrl: string | undefined;
    readonly paymentUrl: string;
  },
): string {
  const url = (port: number) => `http://${LOOPBACK}:${port}`;
  const gateway = url(ports.gateway);
  const admin = url(ports.admin);
  const requestId = randomUUID();
  const body = { user_id: 'u1', item_id: DEMO_ITEM, amount: 1, request_id: requestId };
  const payments = paymentUrl === undefined ? `${stack.paymentUrl}/ledger` : stack.paymentUrl;
  const token = operatorToken ? '$OPERATOR_TOKEN' : `$(cat ${operatorTokenFile(dataDir)})`;
  const buyerHeader = buyerAuth === 'jwt' ? '-H "authorization: Bearer $FLASH_SALE_TOKEN" ' : '';
  const redisPort = stack.redisAddr.slice(stack.redisAddr.lastIndexOf(':') + 1);
  return `
Everything runs.

  gateway            ${gateway}   (/docs, /items/${DEMO_ITEM})
  operators          ${admin}   (/docs, /metrics, /readyz)
  Temporal Web UI    ${stack.temporalUiUrl ?? 'not known: set TEMPORAL_UI_URL'}
  PostgreSQL         ${stack.databaseUrl === undefined ? 'at DATABASE_URL' : `psql "$(cat ${dataDir}/${DATABASE_URL_FILE_NAME})"`}
  payments           ${payments}
  metrics            ${url(ports.ingest)}/metrics (worker ${String(ports.worker)}, archiver ${String(ports.archiver)})
  logs               ${dataDir}/*.log
  buyers             ${BUYERS[buyerAuth] ?? buyerAuth}

Buy one unit, look at the order, count what is left:

  curl -i ${gateway}/buy -H 'content-type: application/json' ${buyerHeader}\\
    -d '${JSON.stringify(body)}'
  npx flash-sale order ${requestId}
  redis-cli -p ${redisPort} GET inventory:${DEMO_ITEM}

As an operator: what failed, and more units (all of it is in ${admin}/docs):

  curl ${admin}/operator/dead-letters -H "authorization: Bearer ${token}"
  npx flash-sale stock add ${DEMO_ITEM} 50

Ctrl-C stops everything. The data stays; "npm start -- --fresh" starts with empty data.
`;
}

/** What BUYER_AUTH means, in one line. */
const BUYERS: Readonly<Record<string, string>> = {
  trusted:
    'trusted: whoever reaches the gateway may buy, read and cancel as any user_id (docs/buyers.md)',
  jwt: 'jwt: a buyer needs a token, and sees only their own orders (docs/buyers.md)',
};
