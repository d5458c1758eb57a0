import type { IncomingMessage } from 'node:http';
import { text } from 'node:stream/consumers';
import { Type, type Static, type TSchema } from '@sinclair/typebox';
import { describeError, UserError } from '../platform/user-error';
import { createHttpClient, NoReplyError, parseJson, type HttpReply } from './http-client';

/** The body of POST /buy. */
export interface BuyBody {
  readonly user_id: string;
  readonly item_id: string;
  readonly amount: number;
  readonly request_id: string;
}

/** Fields that a newer gateway adds pass: only those that the client reads are checked. */
const nullable = <T extends TSchema>(schema: T) => Type.Optional(Type.Union([schema, Type.Null()]));

/** `trace` is the order's page in the Temporal Web UI, which only operators are told. */
const Links = Type.Object({ trace: nullable(Type.String()) });

const Accepted = Type.Object({ request_id: Type.String() });

/** A refund of an order, or a dispute about it. */
const Returned = Type.Object({
  id: Type.String(),
  operation_id: nullable(Type.String()),
  amount_minor: Type.Number(),
  status: Type.String(),
  reason: nullable(Type.String()),
  made_at: Type.String(),
});

/** Fields after the timeline are not known to gateways of earlier versions. */
const Order = Type.Object({
  request_id: Type.String(),
  item_id: Type.String(),
  user_id: Type.String(),
  amount: Type.Number(),
  status: Type.Union([
    Type.Literal('queued'),
    Type.Literal('reserved'),
    Type.Literal('awaiting-payment'),
    Type.Literal('confirmed'),
    Type.Literal('failed'),
    Type.Literal('cancelled'),
  ]),
  reason: nullable(Type.String()),
  payment_id: nullable(Type.String()),
  generation: Type.Number(),
  accepted_at: Type.String(),
  finished_at: nullable(Type.String()),
  timeline: Type.Array(Type.Object({ at: Type.String(), state: Type.String() })),
  total_minor: Type.Optional(Type.Number()),
  currency: Type.Optional(Type.String()),
  refunded_minor: Type.Optional(Type.Number()),
  refunds: Type.Optional(Type.Array(Returned)),
  disputes: Type.Optional(Type.Array(Returned)),
  payment: Type.Optional(Type.Object({ pay_by: Type.String(), url: Type.Optional(Type.String()) })),
  links: Type.Optional(Links),
});

const Item = Type.Object({
  item_id: Type.String(),
  free: Type.Number(),
  held: Type.Number(),
  queued: Type.Number(),
  reserved: Type.Number(),
  sold: Type.Number(),
  supply: Type.Number(),
  price_minor: Type.Number(),
  currency: Type.String(),
  units_per_user: nullable(Type.Number()),
  opens_at: nullable(Type.String()),
  closes_at: nullable(Type.String()),
  pay: Type.Optional(Type.String()),
  pay_within_seconds: nullable(Type.Number()),
  selling_stopped: Type.Optional(Type.Boolean()),
});

/** RFC 9457. `errors` comes with invalid-request; `order` and `reason` come where the request names an order. */
/** How the sale of an item went. */
const Counts = Type.Record(Type.String(), Type.Number());
const Report = Type.Object({
  item_id: Type.String(),
  accepted: Type.Object({
    orders: Type.Number(),
    units: Type.Number(),
    first_at: nullable(Type.String()),
    last_at: nullable(Type.String()),
  }),
  confirmed: Type.Object({
    orders: Type.Number(),
    units: Type.Number(),
    buyers: Type.Number(),
    revenue: Type.Array(
      Type.Object({
        currency: Type.String(),
        price_minor: Type.Number(),
        units: Type.Number(),
        total_minor: Type.Number(),
      }),
    ),
    last_at: nullable(Type.String()),
    seconds_to_last_unit: nullable(Type.Number()),
  }),
  refunded: Type.Optional(
    Type.Object({
      orders: Type.Number(),
      units_restocked: Type.Number(),
      money: Type.Array(Type.Object({ currency: Type.String(), total_minor: Type.Number() })),
    }),
  ),
  failed: Type.Object({ orders: Type.Number(), by_reason: Counts }),
  cancelled: Type.Object({ orders: Type.Number() }),
  refused: Type.Object({ requests: Type.Number(), by_reason: Counts }),
  open: Type.Object({ orders: Type.Number() }),
  to_outcome_ms: nullable(
    Type.Object({ p50: Type.Number(), p90: Type.Number(), p99: Type.Number(), max: Type.Number() }),
  ),
  curve: Type.Object({
    seconds_per_point: Type.Number(),
    points: Type.Array(
      Type.Object({
        at: Type.String(),
        accepted_units: Type.Number(),
        confirmed_units: Type.Number(),
        ended_without_a_sale: Type.Number(),
        refused_requests: Type.Number(),
      }),
    ),
  }),
});

const Problem = Type.Object({
  type: Type.String(),
  title: Type.String(),
  status: Type.Number(),
  detail: Type.String(),
  errors: Type.Optional(Type.Array(Type.Object({ path: Type.String(), message: Type.String() }))),
  order: Type.Optional(Order),
  reason: nullable(Type.String()),
  code: Type.Optional(Type.String()),
});

/** An order of the archive. */
const FoundOrder = Type.Object({
  order_id: Type.String(),
  request_id: Type.String(),
  item_id: Type.String(),
  user_id: Type.String(),
  amount: Type.Number(),
  price_minor: Type.Number(),
  currency: Type.String(),
  status: Type.String(),
  reason: nullable(Type.String()),
  payment_id: nullable(Type.String()),
  generation: Type.Number(),
  accepted_at: Type.String(),
  finished_at: nullable(Type.String()),
  refunded_minor: Type.Optional(Type.Number()),
});

const FoundOrders = Type.Object({ orders: Type.Array(FoundOrder), next: nullable(Type.String()) });

const Erased = Type.Object({
  replaced_by: Type.String(),
  orders: Type.Number(),
  dead_letters: Type.Number(),
  set_aside: Type.Number(),
  not_reached: Type.Array(Type.String()),
});

const Refunded = Type.Object({
  request_id: Type.String(),
  operation_id: Type.String(),
  status: Type.String(),
  refund_id: nullable(Type.String()),
  amount_minor: nullable(Type.Number()),
  currency: Type.String(),
  restocked: Type.Number(),
});

export type RefundedBody = Static<typeof Refunded>;
export type ErasedBody = Static<typeof Erased>;
export type FoundOrderBody = Static<typeof FoundOrder>;
export type FoundOrdersBody = Static<typeof FoundOrders>;
export type ReportBody = Static<typeof Report>;
export type AcceptedBody = Static<typeof Accepted>;
export type OrderBody = Static<typeof Order>;
export type ItemBody = Static<typeof Item>;
export type ProblemBody = Static<typeof Problem>;

export interface ProblemResponse {
  readonly kind: 'problem';
  /** The last part of the problem's type: a word such as `sold-out`. */
  readonly problem: string;
  /** From Retry-After. */
  readonly retryAfterMs: number | undefined;
  readonly body: ProblemBody;
}

export type BuyResponse =
  { readonly kind: 'accepted'; readonly body: AcceptedBody } | ProblemResponse;

/** `under-way`: not decided yet; the same request may be sent again. */
export type CancelResponse =
  | {
      readonly kind: 'cancelled' | 'under-way';
      readonly retryAfterMs: number | undefined;
      readonly body: OrderBody;
    }
  | ProblemResponse;

/** The gateway gave no response, or none of its contract. `mayHaveArrived`: the request may have been executed. */
export class GatewayError extends UserError {
  readonly mayHaveArrived: boolean;

  constructor(message: string, mayHaveArrived: boolean, cause?: unknown) {
    super(message, cause === undefined ? {} : { cause });
    this.mayHaveArrived = mayHaveArrived;
  }
}

export type Gateway = ReturnType<typeof createGateway>;

/** A client of the gateway's listener at `url`. Each method throws GatewayError when there is no response it can read. */
export function createGateway(url: string, options?: Parameters<typeof createHttpClient>[1]) {
  const http = createHttpClient(url, options);

  const send = async (...request: Parameters<typeof http.send>) => {
    const reply = await http.send(...request).catch((error: unknown) => {
      throw noReply(url, error);
    });
    const read = <T extends TSchema>(schema: T): Static<T> => readBody(url, reply, schema);
    const seconds = Number(reply.headers['retry-after'] ?? NaN);
    const retryAfterMs = Number.isFinite(seconds) ? seconds * 1000 : undefined;
    return { status: reply.status, read, retryAfterMs };
  };
  type Response = Awaited<ReturnType<typeof send>>;

  const problemOf = ({ status, read, retryAfterMs }: Response): ProblemResponse => {
    const body = read(Problem);
    if (body.status !== status) throw notOfTheGateway(url, status, `its body says ${body.status}`);
    return { kind: 'problem', problem: body.type.replace(/^.*\//, ''), retryAfterMs, body };
  };
  const refusal = ({ problem, body }: ProblemResponse): GatewayError => {
    const says = `${body.status} ${problem}: ${body.title}`;
    const fields = (body.errors ?? []).map(({ path, message }) => ` ${path} ${message}.`).join('');
    return new GatewayError(`The gateway at ${url} answers ${says}.${fields}`, false);
  };
  const find = async <T extends TSchema>(path: string, unknownProblem: string, schema: T) => {
    const response = await send('GET', path);
    if (response.status === 200) return response.read(schema);
    const answer = problemOf(response);
    if (answer.problem === unknownProblem) return undefined;
    throw refusal(answer);
  };

  return {
    url,
    buy: async (purchase: BuyBody): Promise<BuyResponse> => {
      const response = await send('POST', '/buy', JSON.stringify(purchase));
      if (response.status !== 202) return problemOf(response);
      return { kind: 'accepted', body: response.read(Accepted) };
    },
    cancel: async (requestId: string, userId: string): Promise<CancelResponse> => {
      const [id, user] = [encodeURIComponent(requestId), encodeURIComponent(userId)];
      const response = await send('DELETE', `/orders/${id}?user_id=${user}`);
      const { status, read, retryAfterMs } = response;
      if (status !== 200 && status !== 202) return problemOf(response);
      return { kind: status === 200 ? 'cancelled' : 'under-way', retryAfterMs, body: read(Order) };
    },
    /** Undefined when no order was accepted under this id. */
    order: (requestId: string): Promise<OrderBody | undefined> =>
      find(`/orders/${encodeURIComponent(requestId)}`, 'unknown-order', Order),
    /** Any order, at the admin listener and with an operator's token. */
    operatorOrder: (requestId: string): Promise<OrderBody | undefined> =>
      find(`/operator/orders/${encodeURIComponent(requestId)}`, 'unknown-order', Order),
    /** A page of the orders that match, at the admin listener and with an operator's token. */
    searchOrders: async (query: URLSearchParams): Promise<FoundOrdersBody> => {
      const response = await send('GET', `/operator/orders?${query.toString()}`);
      if (response.status === 200) return response.read(FoundOrders);
      throw refusal(problemOf(response));
    },
    /** All orders that match, as text that is to be read as it comes. Reading throws GatewayError when it is cut off. */
    exportOrders: async (query: URLSearchParams): Promise<AsyncIterable<string>> => {
      const reply = await http
        .open(`/operator/orders?${query.toString()}`)
        .catch((error: unknown) => {
          throw noReply(url, error);
        });
      if (reply.statusCode === 200) return partsOf(url, reply);
      const status = reply.statusCode ?? 0;
      const whole = { status, headers: reply.headers, text: await text(reply) };
      const read = <T extends TSchema>(schema: T): Static<T> => readBody(url, whole, schema);
      throw refusal(problemOf({ status, read, retryAfterMs: undefined }));
    },
    /** Takes a user_id out of the archive. At the admin listener and with an operator's token. */
    eraseUser: async (body: {
      readonly user_id: string;
      readonly why: string;
      readonly by?: string;
    }): Promise<ErasedBody> => {
      const response = await send('POST', '/operator/users/erase', JSON.stringify(body));
      if (response.status === 200) return response.read(Erased);
      throw refusal(problemOf(response));
    },
    /** Gives money back for a sold order. At the admin listener and with an operator's token. */
    refund: async (
      requestId: string,
      body: {
        readonly operation_id: string;
        readonly amount_minor?: number;
        readonly restock?: number;
        readonly why: string;
        readonly by?: string;
      },
    ): Promise<{ readonly kind: 'refund'; readonly body: RefundedBody } | ProblemResponse> => {
      const path = `/operator/orders/${encodeURIComponent(requestId)}/refund`;
      const response = await send('POST', path, JSON.stringify(body));
      const { status, read } = response;
      if (status !== 200 && status !== 202) return problemOf(response);
      return { kind: 'refund', body: read(Refunded) };
    },
    /** Undefined when the archive has no order of the item. At the admin listener and with an operator's token. */
    report: (itemId: string): Promise<ReportBody | undefined> =>
      find(`/operator/items/${encodeURIComponent(itemId)}/report`, 'unknown-item', Report),
    /** Undefined when nothing is sold under this id. */
    item: (itemId: string): Promise<ItemBody | undefined> =>
      find(`/items/${encodeURIComponent(itemId)}`, 'unknown-item', Item),
    close: http.close,
  };
}

function noReply(url: string, error: unknown): GatewayError {
  const mayHaveArrived = error instanceof NoReplyError && error.mayHaveArrived;
  const message = mayHaveArrived
    ? `The gateway at ${url} gave no answer (${error.message}).`
    : `Cannot reach the gateway at ${url}: is the stack running? (npm start)`;
  return new GatewayError(message, mayHaveArrived, error);
}

async function* partsOf(url: string, reply: IncomingMessage): AsyncGenerator<string> {
  reply.setEncoding('utf8');
  try {
    for await (const part of reply) yield part as string;
  } catch (cause) {
    const message = `The answer of the gateway at ${url} was cut off (${describeError(cause)}): what came is not all.`;
    throw new GatewayError(message, true, cause);
  }
}

/** Another server may listen at this address, or a proxy may answer for the gateway. */
function readBody<T extends TSchema>(url: string, { status, text }: HttpReply, schema: T) {
  try {
    return parseJson(schema, text);
  } catch (cause) {
    throw notOfTheGateway(url, status, describeError(cause), cause);
  }
}

function notOfTheGateway(url: string, status: number, detail: string, cause?: unknown) {
  return new GatewayError(
    `The response ${status} from ${url} is not one of the flash-sale gateway (${detail}): check --url or FLASH_SALE_URL, for operators --admin-url or FLASH_SALE_ADMIN_URL.`,
    true,
    cause,
  );
}
