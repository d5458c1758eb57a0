import { createHash } from 'node:crypto';
import type { Journal } from './journal';

const CHARGE_STATUSES = ['captured', 'declined', 'refunded', 'blocked'] as const;
export type ChargeStatus = (typeof CHARGE_STATUSES)[number];

/** What is known of one key; also one line of the journal. Only `captured` holds money. */
export interface ChargeRecord {
  readonly key: string;
  readonly status: ChargeStatus;
  /** Minor units; 0 for a key that was blocked before any charge. */
  readonly amount: number;
  /** ISO 4217; null for a key that was blocked before any charge. */
  readonly currency: string | null;
  /** When the status last changed, in milliseconds since the epoch. */
  readonly at: number;
  /** Present once money was taken, also after its return. */
  readonly payment_id?: string;
  /** Why a charge under this key is declined; absent while it is captured. */
  readonly code?: string;
}

export interface ChargeRequest {
  readonly key: string;
  readonly amount: number;
  readonly currency: string;
}

/**
 * Every charge by its key. Each method decides at once, without a pause in which another request could
 * slip in, and resolves only when the decision (and any earlier one that it repeats) is in the journal.
 */
export interface ChargeLedger {
  /** `declineCode` decides the fate of a key seen for the first time. `conflict`: the key is another charge. */
  readonly charge: (
    request: ChargeRequest,
    declineCode: string | undefined,
  ) => Promise<ChargeRecord | 'conflict'>;
  readonly find: (key: string) => Promise<ChargeRecord | undefined>;
  readonly refund: (key: string) => Promise<'refunded' | 'nothing'>;
  readonly list: () => Promise<ChargeRecord[]>;
}

/** Builds the ledger from what is in the journal; the last entry of a key is its state. */
export function createChargeLedger(
  journal: Journal,
  entries: readonly ChargeRecord[],
): ChargeLedger {
  const records = new Map(entries.map((record) => [record.key, record]));
  const write = (record: ChargeRecord) => {
    records.set(record.key, record);
    journal.append(JSON.stringify(record));
    return record;
  };
  const afterJournal = async <T>(decision: T): Promise<T> => {
    await journal.settled();
    return decision;
  };

  return {
    charge({ key, amount, currency }, declineCode) {
      const known = records.get(key);
      if (known) {
        const same = known.amount === amount && known.currency === currency;
        return afterJournal(same || known.currency === null ? known : 'conflict');
      }
      const first = { key, amount, currency, at: Date.now() };
      const record: ChargeRecord =
        declineCode === undefined
          ? { ...first, status: 'captured', payment_id: paymentId(key) }
          : { ...first, status: 'declined', code: declineCode };
      return afterJournal(write(record));
    },

    find: (key) => afterJournal(records.get(key)),

    refund(key) {
      const known = records.get(key);
      if (known === undefined) {
        const code = 'blocked';
        write({ key, status: 'blocked', amount: 0, currency: null, at: Date.now(), code });
      } else if (known.status === 'captured') {
        write({ ...known, status: 'refunded', at: Date.now(), code: 'refunded' });
        return afterJournal('refunded');
      }
      return afterJournal('nothing');
    },

    list: () => afterJournal([...records.values()]),
  };
}

/** Whether a key is one of the `declineRate` (0 to 1) that are declined: the same answer in every run. */
export function isDeclined(key: string, declineRate: number): boolean {
  const fraction = createHash('sha256').update(key).digest().readUInt32BE(0) / 2 ** 32;
  return fraction < declineRate;
}

function paymentId(key: string): string {
  return `pay_${createHash('sha256').update(`payment:${key}`).digest('hex').slice(0, 24)}`;
}

/**
 * Reads one line of the journal. Throws when it is damaged: a whole line cannot be a torn write, and to
 * start without it could mean to charge its key a second time.
 */
export function parseRecord(line: string): ChargeRecord {
  const record = JSON.parse(line) as Partial<ChargeRecord> | null;
  const whole =
    typeof record?.key === 'string' &&
    CHARGE_STATUSES.some((status) => status === record.status) &&
    typeof record.amount === 'number' &&
    (typeof record.currency === 'string' || record.currency === null);
  if (!whole) throw new Error(`The payment ledger file has a damaged line: ${line.slice(0, 200)}`);
  return record as ChargeRecord;
}
