import { createHttpClient } from '../gateway/http-client';
import { reader } from '../gateway/gateway-answers';
import type { Finding } from './check';

const ANSWER_MS_MAX = 5_000;

/** Whether the gateway is ready, by its own report. Throws when nothing that is a gateway answers. */
export async function probeGateway(url: string): Promise<Finding[]> {
  const { status, text } = await getOnce(url, '/readyz');
  const body: unknown = JSON.parse(text);
  const dependencies = reader(body, 'a report of readiness').optional('dependencies', (found) =>
    Object.entries(found ?? {}),
  );
  const away = (dependencies ?? []).filter(([, answers]) => answers !== true);
  const name = 'gateway';
  if (status === 200) return [{ name, state: 'ok', detail: `${url}, ready` }];
  const why = away.length > 0 ? `waits for ${away.map(([which]) => which).join(', ')}` : 'closing';
  const remedy = 'buyers get 503 until what it waits for is back';
  return [{ name, state: 'missing', detail: `${url}, not ready: ${why}`, remedy }];
}

/** Whether the payment simulator lives. Throws when it does not answer. */
export async function probePayments(url: string): Promise<Finding[]> {
  const { status } = await getOnce(url, '/livez');
  const name = 'payments';
  if (status === 200) return [{ name, state: 'ok', detail: url }];
  const remedy = 'check that PAYMENT_URL is the payment simulator';
  return [{ name, state: 'missing', detail: `${url} answers ${status} to /livez`, remedy }];
}

async function getOnce(url: string, path: string) {
  const client = createHttpClient(url, { answerMsMax: ANSWER_MS_MAX });
  try {
    return await client.get(path);
  } finally {
    client.close();
  }
}
