import type {
  ArchivedResult,
  CancelResult,
  ConfirmResult,
  HoldResult,
  OrderInLedger,
  RejectResult,
  ReleaseResult,
  ReserveResult,
} from '../orders/ledger';
import type { OrderId, ReleaseReason } from '../orders/order';
import { NO_ORDER_ID } from './scripts';
import { fieldOf, parseEntry, parseGenerations } from './stored-entry';
import type { Sale, StockCounts } from '../orders/sale';

/*
  Parses what the scripts return. A reply that has none of the shapes in the scripts' headers is a bug, and thrown.
*/

/** The results for these attempts. An element is an Error where the script failed for that attempt alone. */
export function parseHoldResults(
  replies: unknown,
  attempts: readonly { readonly token: string }[],
): (HoldResult | Error)[] {
  return list(replies).map((reply, at) => {
    if (typeof reply === 'string') return parseHeld(reply, attempts[at]?.token);
    const [kind, message] = list(reply);
    return kind === 'error' ? new Error(text(message)) : parseHoldResult(reply);
  });
}

/** Stands for the token of the attempt where the order id is that; no token has the character. */
const OWN_TOKEN = '=';

function parseHeld(reply: string, token: string | undefined): HoldResult {
  const [kind, acceptedAt, priceMinor, currency, id = OWN_TOKEN, payWithin] = reply.split(' ');
  if (kind !== 'held') throw unexpected(reply);
  const orderId = id === OWN_TOKEN ? token : id;
  return {
    kind,
    acceptedAt: integer(acceptedAt),
    orderId: orderId === NO_ORDER_ID ? undefined : (orderId as OrderId | undefined),
    ...(payWithin !== undefined && { payWithinMs: integer(payWithin) }),
    priceMinor: integer(priceMinor),
    currency: text(currency),
  };
}

function parseHoldResult(reply: unknown): HoldResult {
  const [kind, ...rest] = list(reply);
  switch (kind) {
    case 'in-progress':
      return { kind, retryAfterMs: integer(rest[0]) };
    case 'exists':
      return { kind, entry: parseEntry(text(rest[0])) };
    case 'sold-out': {
      const vanished = integer(rest[1]) === 1 && ({ stockKeyVanished: true } as const);
      return { kind, final: integer(rest[0]) === 1, ...vanished };
    }
    case 'limit':
      return {
        kind,
        unitsPerUser: integer(rest[0]),
        owned: integer(rest[1]),
        final: integer(rest[2]) === 1,
      };
    case 'closed':
      return rest[0] === 'over'
        ? { kind, when: 'over', closesAt: integer(rest[1]) }
        : { kind, when: 'not-open', opensAt: integer(rest[1]) };
    case 'mismatch':
    case 'payment-named':
      return { kind };
    case 'unopened':
      return { kind, known: integer(rest[0]) === 1 };
    default:
      throw unexpected(reply);
  }
}

export function parseRejectResult(reply: unknown): RejectResult {
  if (list(reply)[0] === 'rejected') return { kind: 'rejected' };
  const result = parseHoldResult(reply);
  if (result.kind !== 'exists' && result.kind !== 'in-progress') throw unexpected(reply);
  return result;
}

export function parseReserveResult(reply: unknown): ReserveResult | ArchivedResult {
  const [kind, generation, charges, detail, orderId, priceMinor, currency, revision, ...pay] =
    list(reply);
  if (kind === 'archived') return { kind };
  const owed = parseGenerations(text(charges));
  if (kind === 'mismatch' || kind === 'expired') return { kind, owed };
  const order: OrderInLedger = {
    orderId: parseOrderId(orderId),
    priceMinor: integer(priceMinor),
    currency: text(currency),
  };
  switch (kind) {
    case 'reserved': {
      const again = integer(detail) === 1 && ({ again: true } as const);
      const [payBy, payLeftMs] = pay.map(integer);
      const due = payBy ? { payBy, payLeftMs: payLeftMs ?? 0 } : {};
      return { kind, generation: integer(generation), owed, order, ...again, ...due };
    }
    case 'sold':
      return { ...toSold(generation, owed, detail), order, ...parseRevision(revision) };
    case 'ended': {
      const reason = text(detail) as ReleaseReason;
      return { kind, owed, order, reason, ...parseRevision(revision) };
    }
    case 'over':
      return { kind, owed, order };
    case 'sold-out':
    case 'limit':
    case 'cancelled':
      return { kind, owed, order, ...parseRevision(revision) };
    default:
      throw unexpected(reply);
  }
}

export function parseReleaseResult(reply: unknown): ReleaseResult | ArchivedResult {
  const [kind, generation, charges, detail, id, revision] = list(reply);
  if (kind === 'archived') return { kind };
  const owed = parseGenerations(text(charges));
  const entry = { orderId: parseOrderId(id), ...parseRevision(revision) };
  if (kind === 'sold') return { ...toSold(generation, owed, detail), ...entry };
  if (kind !== 'released') throw unexpected(reply);
  const cancelled = integer(detail) === 1 && ({ cancelledByBuyer: true } as const);
  return { kind, generation: integer(generation), owed, ...entry, ...cancelled };
}

export function parseConfirmResult(reply: unknown): ConfirmResult | ArchivedResult {
  const [kind, revision] = list(reply);
  if (kind === 'archived') return { kind };
  if (kind !== 'sold' && kind !== 'lost') throw unexpected(reply);
  return { kind, ...parseRevision(revision) };
}

/** Entries that are older than revisions have none. */
function parseRevision(raw: unknown): { readonly revision?: number } {
  const revision = integer(raw);
  return revision === 0 ? {} : { revision };
}

function parseOrderId(id: unknown): OrderId | undefined {
  return text(id) === '' ? undefined : (id as OrderId);
}

function toSold(generation: unknown, owed: readonly number[], paymentId: unknown) {
  const payment = text(paymentId) !== '' && { paymentId: text(paymentId) };
  return { kind: 'sold' as const, generation: integer(generation), owed, ...payment };
}

export function parseCancelResult(reply: unknown): CancelResult {
  const [kind, entry] = list(reply);
  switch (kind) {
    case 'unknown':
    case 'not-the-buyer':
      return { kind };
    case 'cancelled':
    case 'under-way':
    case 'sold':
    case 'failed':
      return { kind, entry: parseEntry(text(entry)) };
    default:
      throw unexpected(reply);
  }
}

/** Undefined for an unknown item. The script has checked the numbers of the sale, which operators may write by hand. */
export function parseItem(reply: unknown): { counts: StockCounts; sale: Sale } | undefined {
  if (reply === null) return undefined;
  const [free, held, queued, reserved, sold, supply, saleFields] = list(reply);
  const fields = list(saleFields).map(text);
  const numberOf = (name: string) => {
    const raw = fieldOf(fields, name);
    return raw === undefined ? undefined : integer(raw);
  };
  const priceMinor = numberOf('price');
  const currency = fieldOf(fields, 'currency');
  const unitsPerUser = numberOf('units_per_user');
  const opensAt = numberOf('opens_at');
  const closesAt = numberOf('closes_at');
  const payWithinMs = numberOf('pay_within');
  return {
    counts: {
      free: integer(free),
      held: integer(held),
      queued: integer(queued),
      reserved: integer(reserved),
      sold: integer(sold),
      supply: integer(supply),
    },
    sale: {
      ...(priceMinor !== undefined && { priceMinor }),
      ...(currency !== undefined && { currency }),
      ...(unitsPerUser !== undefined && { unitsPerUser }),
      ...(opensAt !== undefined && { opensAt }),
      ...(closesAt !== undefined && { closesAt }),
      ...(payWithinMs !== undefined && { payWithinMs }),
    },
  };
}

export function list(value: unknown): unknown[] {
  if (!Array.isArray(value)) throw unexpected(value);
  return value as unknown[];
}

function text(value: unknown): string {
  if (typeof value !== 'string') throw unexpected(value);
  return value;
}

export function integer(value: unknown): number {
  const number = typeof value === 'string' ? Number(value) : value;
  if (typeof number !== 'number' || !Number.isSafeInteger(number)) throw unexpected(value);
  return number;
}

export function unexpected(reply: unknown): Error {
  return new Error(
    `A ledger script returned what its header does not say: ${JSON.stringify(reply)}`,
  );
}
