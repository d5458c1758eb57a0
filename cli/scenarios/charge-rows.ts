import { createHttpClient } from '../gateway/http-client';
import { reader } from '../gateway/gateway-answers';
import { UserError, describeError } from '../../platform/user-error';

/** What the payment simulator knows of one key. */
export interface ChargeRow {
  readonly key: string;
  readonly status: string;
  /** Minor units; null where the key was never charged. */
  readonly amount: number | null;
  readonly currency: string | null;
}

/** The simulator's whole ledger. Throws a UserError when there is none at this URL. */
export async function readChargeRows(url: string): Promise<readonly ChargeRow[]> {
  const client = createHttpClient(url);
  try {
    const { status, text } = await client.get('/ledger');
    if (status !== 200) throw new Error(`it answers ${status}`);
    const rows: unknown = JSON.parse(text);
    if (!Array.isArray(rows)) throw new Error('it answers no list');
    return rows.map(parseRow);
  } catch (cause) {
    throw new UserError(
      `Cannot read the payment simulator's ledger at ${url}/ledger (${describeError(cause)}).`,
      { cause },
    );
  } finally {
    client.close();
  }
}

/** Charges by the order they were made for: a key is the request_id, a colon and the generation. */
export function byOrder(rows: readonly ChargeRow[]): ReadonlyMap<string, readonly ChargeRow[]> {
  const orders = new Map<string, ChargeRow[]>();
  for (const row of rows) {
    const requestId = row.key.slice(0, row.key.lastIndexOf(':'));
    const own = orders.get(requestId);
    if (own) own.push(row);
    else orders.set(requestId, [row]);
  }
  return orders;
}

function parseRow(value: unknown): ChargeRow {
  const read = reader(value, 'a row of the payment ledger');
  return {
    key: read.text('key'),
    status: read.text('status'),
    amount: read.numberOrNull('amount'),
    currency: read.textOrNull('currency'),
  };
}
