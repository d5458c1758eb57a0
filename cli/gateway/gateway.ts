import {
  parseItem,
  parseOrder,
  parseProblem,
  parseTrace,
  type ItemBody,
  type OrderBody,
  type Problem,
} from './gateway-answers';
import { createHttpClient, NoAnswerError, type HttpAnswer } from './http-client';
import { UserError, describeError } from '../../platform/user-error';

/** What is sent as the body of POST /buy. */
export interface BuyBody {
  readonly user_id: string;
  readonly item_id: string;
  readonly amount: number;
  readonly request_id: string;
}

/** `body` is the gateway's own document. */
export type BuyAnswer =
  | { readonly kind: 'accepted'; readonly trace: string | null; readonly body: unknown }
  | {
      readonly kind: 'problem';
      readonly problem: Problem;
      /** From Retry-After; absent when the gateway names no time. */
      readonly retryAfterMs?: number;
      readonly body: unknown;
    };

/** `body` is the gateway's own document. `under-way`: not decided yet, asking again is safe. */
export type CancelAnswer =
  | {
      readonly kind: 'cancelled' | 'under-way';
      readonly parsed: OrderBody;
      readonly retryAfterMs?: number;
      readonly body: unknown;
    }
  | Extract<BuyAnswer, { kind: 'problem' }>;

export interface Found<T> {
  readonly parsed: T;
  readonly body: unknown;
}

/** The engine's public door. Every method throws GatewayFault when it gets no answer it can read. */
export interface Gateway {
  readonly url: string;
  readonly buy: (purchase: BuyBody) => Promise<BuyAnswer>;
  readonly cancel: (requestId: string, userId: string) => Promise<CancelAnswer>;
  /** Undefined: no order was accepted under this id. */
  readonly order: (requestId: string) => Promise<Found<OrderBody> | undefined>;
  /** Undefined: nothing is sold under this id. */
  readonly item: (itemId: string) => Promise<Found<ItemBody> | undefined>;
  readonly close: () => void;
}

/** No answer from the gateway, or none it should give. `mayHaveArrived`: what was asked may have been done. */
export class GatewayFault extends UserError {
  override readonly name = 'GatewayFault';
  readonly mayHaveArrived: boolean;

  constructor(
    message: string,
    { mayHaveArrived, cause }: { readonly mayHaveArrived: boolean; readonly cause?: unknown },
  ) {
    super(message, { cause });
    this.mayHaveArrived = mayHaveArrived;
  }
}

/** A client of the gateway at `url`. `answerMsMax` in ms. */
export function createGateway(
  url: string,
  options?: { readonly socketsMax?: number; readonly answerMsMax?: number },
): Gateway {
  const http = createHttpClient(url, options);

  const answerTo = async (asked: Promise<HttpAnswer>): Promise<HttpAnswer & { body: unknown }> => {
    const answer = await asked.catch((error: unknown) => {
      throw noAnswer(url, error);
    });
    return { ...answer, body: parseJson(url, answer) };
  };
  const find = async <T>(
    path: string,
    unknownType: string,
    parse: (body: unknown) => T,
  ): Promise<Found<T> | undefined> => {
    const { status, body } = await answerTo(http.get(path));
    if (status === 200) return { parsed: parse(body), body };
    const { type, title } = readAs(url, status, () => parseProblem(body));
    if (type === unknownType) return undefined;
    throw new GatewayFault(`The gateway at ${url} answers ${status} ${type}: ${title}.`, {
      mayHaveArrived: false,
    });
  };

  return {
    url,
    buy: async (purchase) => {
      const { status, headers, body } = await answerTo(http.post('/buy', purchase));
      if (status === 202) return { kind: 'accepted', trace: parseTrace(body), body };
      const problem = readAs(url, status, () => parseProblem(body));
      return { kind: 'problem', problem, body, ...retryAfter(headers) };
    },
    cancel: async (requestId, userId) => {
      const [id, user] = [requestId, userId].map(encodeURIComponent);
      const asked = http.delete(`/orders/${id}?user_id=${user}`);
      const { status, headers, body } = await answerTo(asked);
      const retry = retryAfter(headers);
      if (status !== 200 && status !== 202) {
        const problem = readAs(url, status, () => parseProblem(body));
        return { kind: 'problem', problem, body, ...retry };
      }
      const parsed = readAs(url, status, () => parseOrder(body));
      return { kind: status === 200 ? 'cancelled' : 'under-way', parsed, body, ...retry };
    },
    order: (requestId) =>
      find(`/orders/${encodeURIComponent(requestId)}`, 'unknown-order', parseOrder),
    item: (itemId) => find(`/items/${encodeURIComponent(itemId)}`, 'unknown-item', parseItem),
    close: http.close,
  };
}

function retryAfter(headers: HttpAnswer['headers']): { readonly retryAfterMs?: number } {
  const seconds = Number(headers['retry-after'] ?? NaN);
  return Number.isFinite(seconds) ? { retryAfterMs: seconds * 1000 } : {};
}

function noAnswer(url: string, error: unknown): GatewayFault {
  const mayHaveArrived = error instanceof NoAnswerError && error.mayHaveArrived;
  const message = mayHaveArrived
    ? `The gateway at ${url} gave no answer (${describeError(error)}).`
    : `Cannot reach the gateway at ${url}: is the stack running? (npm start)`;
  return new GatewayFault(message, { mayHaveArrived, cause: error });
}

function parseJson(url: string, { status, text }: HttpAnswer): unknown {
  return readAs(url, status, () => JSON.parse(text) as unknown);
}

/** Something else may listen at this address, or a proxy may answer in the gateway's stead. */
function readAs<T>(url: string, status: number, read: () => T): T {
  try {
    return read();
  } catch (cause) {
    throw new GatewayFault(
      `What answers ${status} at ${url} does not speak like the flash-sale gateway: check --url or FLASH_SALE_URL.`,
      { mayHaveArrived: true, cause },
    );
  }
}
