import { randomBytes, randomUUID } from 'node:crypto';
import { mkdir, open, readFile, truncate, type FileHandle } from 'node:fs/promises';
import { dirname } from 'node:path';
import { setImmediate as endOfTurn } from 'node:timers/promises';
import {
  isSame,
  parseLine,
  pay,
  paymentId,
  type BuyerAction,
  type ChargeContext,
  type ChargeRecord,
  type EventType,
  type LedgerLine,
} from './charge-record';
import { refund, type Change } from './returns';
import { createEventList, type EventPage, type SimulatorEvent } from './event-list';

export interface ChargeRequest {
  readonly key: string;
  readonly amount: number;
  readonly currency: string;
  readonly context?: ChargeContext;
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
  /** The payment of a page. */
  readonly findPage: (token: string) => Promise<ChargeRecord | undefined>;
  /** Ends an open payment, and blocks a key that was never seen. Whatever is decided or processing stays as it is. */
  readonly cancel: (key: string) => Promise<ChargeRecord>;
  readonly find: (key: string) => Promise<ChargeRecord | undefined>;
  /** Gives back all that is left, and closes the key. `undecided`: nobody can tell yet whether there is money. */
  readonly refund: (key: string) => Promise<'refunded' | 'nothing' | 'undecided'>;
  /** Decides on a key, and changes it so. */
  readonly change: <T>(
    key: string,
    decide: (known: ChargeRecord | undefined) => Change<T>,
  ) => Promise<T>;
  readonly list: () => Promise<ChargeRecord[]>;
  /** The events from a time on, in ms since the epoch, the oldest first. */
  readonly events: (since: number, limit: number) => Promise<EventPage>;
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
export async function openChargeLedger(
  path: string,
  /** Called with each new event once it is in the file. */
  onEvent: (event: SimulatorEvent) => void = () => undefined,
): Promise<ChargeLedger> {
  await mkdir(dirname(path), { recursive: true });
  const content = await readFile(path, { flag: 'a+' });
  const wholeBytes = content.lastIndexOf(NEWLINE) + 1;
  if (wholeBytes < content.length) await truncate(path, wholeBytes);
  const lines = content.toString('utf8', 0, wholeBytes).split('\n').slice(0, -1);
  const records = new Map<string, ChargeRecord>();
  const keys = new Map<string, string>();
  const events = createEventList();
  let lastAt = 0;
  const keep = ({ event, ...record }: LedgerLine): SimulatorEvent | undefined => {
    records.set(record.key, record);
    if (record.token !== undefined) keys.set(record.token, record.key);
    lastAt = Math.max(lastAt, record.at);
    if (!event) return undefined;
    const { at, key, context } = record;
    return events.add({ ...event, at, key, ...(context && { context }) });
  };
  for (const line of lines) keep(parseLine(line));
  const writer = createLineWriter(await open(path, 'a'));

  /** Events are in the order of their times, also when the clock is set back. */
  const write = (changed: Omit<ChargeRecord, 'at'>, type?: EventType): ChargeRecord => {
    const record = { ...changed, at: Math.max(Date.now(), lastAt) };
    const line = { ...record, ...(type && { event: { id: `evt_${randomUUID()}`, type } }) };
    const event = keep(line);
    writer.append(JSON.stringify(line));
    // A failed write is told by the method that waits for it.
    const notify = () => {
      if (event) onEvent(event);
    };
    writer.written().then(notify, () => undefined);
    return record;
  };
  const afterWrites = async <T>(decision: T): Promise<T> => {
    await writer.written();
    return decision;
  };

  const close = (known: ChargeRecord | undefined, key: string): ChargeRecord => {
    if (!known) {
      return write({ key, status: 'blocked', amount: 0, currency: null, code: 'blocked' });
    }
    if (known.status !== 'open') return known;
    return write({ ...known, status: 'cancelled', code: 'cancelled' }, 'payment.cancelled');
  };

  return {
    charge(request, declineCode) {
      const { key, amount, currency } = request;
      const known = records.get(key);
      // Its buyer may be paying it at this moment.
      if (known?.status === 'open' || known?.status === 'processing')
        return afterWrites('conflict');
      if (known) return afterWrites(isSame(known, amount, currency) ? known : 'conflict');
      return afterWrites(
        declineCode === undefined
          ? write({ ...request, status: 'captured', payment_id: paymentId(key) })
          : write({ ...request, status: 'declined', code: declineCode }),
      );
    },

    open(request) {
      const { key, amount, currency } = request;
      const known = records.get(key);
      if (known) return afterWrites(isSame(known, amount, currency) ? known : 'conflict');
      const token = randomBytes(24).toString('base64url');
      return afterWrites(write({ ...request, status: 'open', token }));
    },

    pay(token, action) {
      const known = records.get(keys.get(token) ?? '');
      const changed = known && pay(known, action);
      if (!changed || changed === known) return afterWrites(known);
      const isPaid = changed.status === 'captured';
      return afterWrites(write(changed, isPaid ? 'payment.paid' : undefined));
    },

    findPage: (token) => afterWrites(records.get(keys.get(token) ?? '')),

    cancel: (key) => afterWrites(close(records.get(key), key)),

    find: (key) => afterWrites(records.get(key)),

    refund(key) {
      const ended = close(records.get(key), key);
      const { result, record, event } = refund(ended, {});
      if (record) write(record, event);
      if (result === 'undecided') return afterWrites(result);
      if (!('refused' in result)) return afterWrites('refunded');
      return afterWrites(result.refused === 'charge_disputed' ? 'undecided' : 'nothing');
    },

    change(key, decide) {
      const { result, record, event } = decide(records.get(key));
      if (record) write(record, event);
      return afterWrites(result);
    },

    list: () => afterWrites([...records.values()]),

    events: (since, limit) => afterWrites(events.page(since, limit)),

    close: writer.close,
  };
}

const NEWLINE = 0x0a;

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
