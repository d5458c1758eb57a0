import type { StockCounts } from '../../engine/orders/ledger';
import type { OrderStatus } from '../../engine/orders/order-status';
import { UserError } from '../../platform/user-error';

/** An order as the gateway shows it; times are ISO 8601. */
export interface OrderBody {
  readonly requestId: string;
  readonly itemId: string;
  readonly userId: string;
  readonly amount: number;
  readonly status: OrderStatus;
  readonly reason: string | null;
  readonly paymentId: string | null;
  readonly generation: number;
  readonly acceptedAt: string;
  readonly finishedAt: string | null;
  readonly timeline: readonly { readonly at: string; readonly state: string }[];
  /** The order's page in the Temporal Web UI, where the gateway knows one. */
  readonly trace: string | null;
}

/** An item as the gateway shows it; units, minor units of the currency, ISO 8601. */
export interface ItemBody extends StockCounts {
  readonly itemId: string;
  readonly priceMinor: number;
  readonly currency: string;
  readonly unitsPerUser: number | null;
  readonly opensAt: string | null;
  readonly closesAt: string | null;
}

/** How the gateway says no: RFC 9457. */
export interface Problem {
  readonly status: number;
  /** The last part of the problem's type: a word such as `sold-out`. */
  readonly type: string;
  readonly title: string;
  readonly detail: string;
  /** What is wrong, field by field; only for `invalid-request`. */
  readonly errors: readonly { readonly path: string; readonly message: string }[];
  /** The order as it stands; only for `duplicate-request`. */
  readonly order?: OrderBody;
}

/** Reads an order. Throws a UserError when it is not one. */
export function parseOrder(value: unknown): OrderBody {
  const read = reader(value, 'an order');
  return {
    requestId: read.text('request_id'),
    itemId: read.text('item_id'),
    userId: read.text('user_id'),
    amount: read.number('amount'),
    status: read.oneOf('status', ORDER_STATUSES),
    reason: read.textOrNull('reason'),
    paymentId: read.textOrNull('payment_id'),
    generation: read.number('generation'),
    acceptedAt: read.text('accepted_at'),
    finishedAt: read.textOrNull('finished_at'),
    timeline: read.list('timeline', (step) => {
      const readStep = reader(step, 'a step of an order');
      return { at: readStep.text('at'), state: readStep.text('state') };
    }),
    trace: parseTrace(value),
  };
}

/** Reads an item. Throws a UserError when it is not one. */
export function parseItem(value: unknown): ItemBody {
  const read = reader(value, 'an item');
  return {
    itemId: read.text('item_id'),
    free: read.number('free'),
    held: read.number('held'),
    queued: read.number('queued'),
    reserved: read.number('reserved'),
    sold: read.number('sold'),
    supply: read.number('supply'),
    priceMinor: read.number('price_minor'),
    currency: read.text('currency'),
    unitsPerUser: read.numberOrNull('units_per_user'),
    opensAt: read.textOrNull('opens_at'),
    closesAt: read.textOrNull('closes_at'),
  };
}

/** Reads a problem. Throws a UserError when it is not one. */
export function parseProblem(value: unknown): Problem {
  const read = reader(value, 'a problem');
  const order = read.optional('order', parseOrder);
  const errors = read.optional('errors', () => read.list('errors', parseFieldError));
  return {
    status: read.number('status'),
    type: read.text('type').replace(/^.*\//, ''),
    title: read.text('title'),
    detail: read.text('detail'),
    errors: errors ?? [],
    ...(order && { order }),
  };
}

/** The Web UI's link in `links`, which both the 202 and an order carry; null where there is none. */
export function parseTrace(value: unknown): string | null {
  const links = reader(value, 'an answer').optional('links', (found) => reader(found, 'links'));
  return links?.textOrNull('trace') ?? null;
}

function parseFieldError(value: unknown): Problem['errors'][number] {
  const read = reader(value, 'an error of a field');
  return { path: read.text('path'), message: read.text('message') };
}

const ORDER_STATUSES = [
  'queued',
  'reserved',
  'confirmed',
  'failed',
  'cancelled',
] as const satisfies readonly OrderStatus[];

/** Reads the fields of a JSON object. The first one that is not as documented throws, with its name. */
export function reader(value: unknown, what: string) {
  if (typeof value !== 'object' || value === null) throw new UserError(`This is not ${what}.`);
  const object = value as Readonly<Record<string, unknown>>;
  const wrong = (name: string): never => {
    throw new UserError(`The field ${name} of ${what} is not as documented.`);
  };
  const text = (name: string): string => {
    const field = object[name];
    return typeof field === 'string' ? field : wrong(name);
  };
  const number = (name: string): number => {
    const field = object[name];
    return typeof field === 'number' ? field : wrong(name);
  };
  return {
    text,
    number,
    textOrNull: (name: string) => (object[name] == null ? null : text(name)),
    numberOrNull: (name: string) => (object[name] == null ? null : number(name)),
    oneOf: <T extends string>(name: string, allowed: readonly T[]): T =>
      allowed.find((candidate) => candidate === object[name]) ?? wrong(name),
    list: <T>(name: string, parse: (member: unknown) => T): T[] => {
      const field = object[name];
      return Array.isArray(field) ? field.map(parse) : wrong(name);
    },
    optional: <T>(name: string, parse: (field: unknown) => T): T | undefined =>
      object[name] == null ? undefined : parse(object[name]),
  };
}
