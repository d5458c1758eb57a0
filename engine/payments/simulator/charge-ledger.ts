import { createHash, randomBytes } from 'node:crypto';
import { mkdir, open, readFile, truncate, type FileHandle } from 'node:fs/promises';
import { dirname } from 'node:path';
import { setImmediate as endOfTurn } from 'node:timers/promises';

const CHARGE_STATUSES = [
  /** Its buyer can pay it, or try another card. */
  'open',
  /** The buyer has paid, and the bank is still deciding. */
  'processing',
  'captured',
  'declined',
  /** It was open and was ended without money. */
  'cancelled',
  'refunded',
  /** It was closed before it was ever seen. */
  'blocked',
] as const;
type ChargeStatus = (typeof CHARGE_STATUSES)[number];

/** What a buyer does on the page of a payment; a processing one takes the first two as its bank's decision. */
export const BUYER_ACTIONS = [
  'approve',
  'decline',
  'insufficient-funds',
  'challenge',
  'approve-challenge',
  'fail-challenge',
  'processing',
] as const;
export type BuyerAction = (typeof BUYER_ACTIONS)[number];

/** The state of one key; also one line of the ledger file. Only `captured` holds money. */
export interface ChargeRecord {
  readonly key: string;
  readonly status: ChargeStatus;
  /** Minor units; 0 for a key that was blocked before any charge. */
  readonly amount: number;
  /** ISO 4217; null for a key that was blocked before any charge. */
  readonly currency: string | null;
  /** When the status last changed, in milliseconds since the epoch. */
  readonly at: number;
  /** Present once money was taken, also after its refund. */
  readonly payment_id?: string;
  /** Why a charge under this key is declined; absent while it is not. */
  readonly code?: string;
  /** Names the page of a payment that its buyer makes. Whoever knows it can pay. */
  readonly token?: string;
  /** What became of the last card of an open payment: `challenge`, while it waits for an answer, or the code of its decline. */
  readonly card?: string;
}

export interface ChargeRequest {
  readonly key: string;
  readonly amount: number;
  readonly currency: string;
}

/**
 * Every charge by its key. A method decides synchronously, so that no other request comes in between, and resolves only
 * when its decision, and any earlier one that it repeats, is in the file. Once a write has failed, every method rejects.
 */
export interface ChargeLedger {
  /** `declineCode` declines a key that is seen for the first time. `conflict`: the key belongs to another charge. */
  readonly charge: (
    request: ChargeRequest,
    declineCode: string | undefined,
  ) => Promise<ChargeRecord | 'conflict'>;
  /** Opens the payment of a key for its buyer, or returns the key as it is. `conflict` as above. */
  readonly open: (request: ChargeRequest) => Promise<ChargeRecord | 'conflict'>;
  /** What the buyer does; nothing where the payment cannot be paid any more. Undefined: no payment has this token. */
  readonly pay: (token: string, action: BuyerAction) => Promise<ChargeRecord | undefined>;
  /** Ends an open payment, and blocks a key that was never seen. Whatever is decided or processing stays as it is. */
  readonly cancel: (key: string) => Promise<ChargeRecord>;
  readonly find: (key: string) => Promise<ChargeRecord | undefined>;
  /** `processing`: nobody can tell yet whether there is money. */
  readonly refund: (key: string) => Promise<'refunded' | 'nothing' | 'processing'>;
  readonly list: () => Promise<ChargeRecord[]>;
  /** Waits for the writes and closes the file. */
  readonly close: () => Promise<void>;
}

/**
 * Opens the ledger file, and creates it and its folder when absent. The last line of a key is its state. A tail without a
 * line end is a write that a crash cut short: it was never answered, so it is removed. Throws for a damaged line.
 *
 * There is no fsync. A finished write() survives the death of this process, also by SIGKILL. Only a dead machine loses it,
 * and with it everything that could disagree. An fsync would make every charge wait for a disk that the real components of
 * the machine need.
 */
export async function openChargeLedger(path: string): Promise<ChargeLedger> {
  await mkdir(dirname(path), { recursive: true });
  const content = await readFile(path, { flag: 'a+' });
  const wholeBytes = content.lastIndexOf(NEWLINE) + 1;
  if (wholeBytes < content.length) await truncate(path, wholeBytes);
  const lines = content.toString('utf8', 0, wholeBytes).split('\n').slice(0, -1);
  const records = new Map<string, ChargeRecord>();
  const keys = new Map<string, string>();
  const keep = (record: ChargeRecord) => {
    records.set(record.key, record);
    if (record.token !== undefined) keys.set(record.token, record.key);
  };
  for (const line of lines) keep(parseRecord(line));
  const writer = createLineWriter(await open(path, 'a'));

  const write = (record: ChargeRecord) => {
    keep(record);
    writer.append(JSON.stringify(record));
    return record;
  };
  const afterWrites = async <T>(decision: T): Promise<T> => {
    await writer.written();
    return decision;
  };

  const close = (known: ChargeRecord | undefined, key: string): ChargeRecord => {
    const at = Date.now();
    if (!known) {
      return write({ key, status: 'blocked', amount: 0, currency: null, at, code: 'blocked' });
    }
    if (known.status !== 'open') return known;
    return write({ ...known, status: 'cancelled', at, code: 'cancelled' });
  };

  return {
    charge({ key, amount, currency }, declineCode) {
      const known = records.get(key);
      // Its buyer may be paying it at this moment.
      if (known?.status === 'open' || known?.status === 'processing')
        return afterWrites('conflict');
      if (known) return afterWrites(isSame(known, amount, currency) ? known : 'conflict');
      const first = { key, amount, currency, at: Date.now() };
      const record: ChargeRecord =
        declineCode === undefined
          ? { ...first, status: 'captured', payment_id: paymentId(key) }
          : { ...first, status: 'declined', code: declineCode };
      return afterWrites(write(record));
    },

    open({ key, amount, currency }) {
      const known = records.get(key);
      if (known) return afterWrites(isSame(known, amount, currency) ? known : 'conflict');
      const token = randomBytes(24).toString('base64url');
      return afterWrites(write({ key, amount, currency, at: Date.now(), status: 'open', token }));
    },

    pay(token, action) {
      const known = records.get(keys.get(token) ?? '');
      const paid = known && pay(known, action);
      return afterWrites(paid && paid !== known ? write({ ...paid, at: Date.now() }) : known);
    },

    cancel: (key) => afterWrites(close(records.get(key), key)),

    find: (key) => afterWrites(records.get(key)),

    refund(key) {
      const known = records.get(key);
      if (known?.status === 'processing') return afterWrites('processing');
      if (known?.status === 'captured') {
        write({ ...known, status: 'refunded', at: Date.now(), code: 'refunded' });
        return afterWrites('refunded');
      }
      close(known, key);
      return afterWrites('nothing');
    },

    list: () => afterWrites([...records.values()]),

    close: writer.close,
  };
}

/** Whether a key is in the fraction `declineRate` (0 to 1) of keys that are declined: the same keys in every run. */
export function isDeclined(key: string, declineRate: number): boolean {
  const fraction = createHash('sha256').update(key).digest().readUInt32BE(0) / 2 ** 32;
  return fraction < declineRate;
}

/** Whether a key is of this charge; one that was blocked before any charge is of every. */
function isSame(known: ChargeRecord, amount: number, currency: string): boolean {
  return known.currency === null || (known.amount === amount && known.currency === currency);
}

/** The payment after an action of its buyer, or of the bank of a processing one; itself where the action changes nothing. */
function pay(known: ChargeRecord, action: BuyerAction): ChargeRecord {
  const { card, ...open } = known;
  const paid = (): ChargeRecord => ({
    ...open,
    status: 'captured',
    payment_id: paymentId(known.key),
  });
  const reopened = (result: string): ChargeRecord => ({ ...open, status: 'open', card: result });
  if (known.status !== 'open' && known.status !== 'processing') return known;
  if (action === 'approve') return paid();
  if (action === 'decline') return reopened('card_declined');
  if (known.status === 'processing') return known;
  switch (action) {
    case 'insufficient-funds':
      return reopened('insufficient_funds');
    case 'challenge':
      return reopened('challenge');
    case 'processing':
      return { ...open, status: 'processing' };
    case 'approve-challenge':
      return card === 'challenge' ? paid() : known;
    case 'fail-challenge':
      return card === 'challenge' ? reopened('authentication_failed') : known;
  }
}

function paymentId(key: string): string {
  return `pay_${createHash('sha256').update(`payment:${key}`).digest('hex').slice(0, 24)}`;
}

const NEWLINE = 0x0a;

/** A whole line is no torn write. To start without a damaged one could charge its key a second time. */
function parseRecord(line: string): ChargeRecord {
  const record = JSON.parse(line) as Partial<ChargeRecord> | null;
  const whole =
    typeof record?.key === 'string' &&
    CHARGE_STATUSES.some((status) => status === record.status) &&
    typeof record.amount === 'number' &&
    (typeof record.currency === 'string' || record.currency === null);
  if (!whole) throw new Error(`The payment ledger file has a damaged line: ${line.slice(0, 200)}`);
  return record as ChargeRecord;
}

function createLineWriter(file: FileHandle) {
  let waiting: string[] = [];
  let written = Promise.resolve();

  const writeWaiting = async () => {
    // Requests of one turn of the event loop share one write.
    await endOfTurn();
    const group = waiting;
    waiting = [];
    await file.appendFile(group.join(''));
  };
  return {
    append: (line: string): void => {
      waiting.push(`${line}\n`);
      if (waiting.length === 1) written = written.then(writeWaiting);
    },
    /** Resolves when all appended lines are in the file. Rejects for ever once a write has failed. */
    written: () => written,
    close: () => written.finally(() => file.close()),
  };
}
