import type { IncomingMessage } from 'node:http';
import { OperatorError } from '../../engine/dead-letters/operator';
import type { HttpResponse } from '../http/response';
import type { ReadBody } from '../http/body-reader';
import { RequestError, type ErrorLog } from '../http/errors';
import { problem } from '../http/problems';
import { createDeadLetterRoutes, type DeadLetterRoutesDeps } from './dead-letters';
import { readJson } from './read-request';
import { operatorErrorProblem, Refusal } from './refusal';
import { createStockRoutes, type StockRoutesDeps } from './stock';
import { createTokenCheck } from './token';
import { createTurns } from './turns';

export type OperatorRoute =
  | 'item'
  | 'putSale'
  | 'restock'
  | 'deadLetters'
  | 'deadLetterStats'
  | 'deadLetter'
  | 'replay'
  | 'discard'
  | 'retry';

export interface OperatorRequest {
  readonly request: IncomingMessage;
  /** The id in the path, decoded. */
  readonly id: string | undefined;
  readonly query: Readonly<Record<string, unknown>>;
}

export interface Operator {
  /** Carries out a request to a route of operators; undefined when the client has left. Throws only for bugs. */
  readonly answer: (
    route: OperatorRoute,
    request: OperatorRequest,
  ) => Promise<HttpResponse | undefined>;
}

/** What the gateway needs to serve operators. */
export interface OperatorDeps {
  readonly token: string;
  readonly operations: StockRoutesDeps['operations'];
  readonly letters: Omit<DeadLetterRoutesDeps, 'turns'>;
}

export interface OperatorWiring extends Omit<StockRoutesDeps, 'operations'> {
  /** Absent: the routes are there, and say that they are disabled. */
  readonly operator: OperatorDeps | undefined;
  readonly readBody: ReadBody;
  readonly errors: ErrorLog;
}

/** The operators' routes. Who has not the token learns nothing but that, before anything else is looked at. */
export function createOperator(wiring: OperatorWiring): Operator {
  const { operator, readBody, errors } = wiring;
  if (!operator) return { answer: () => Promise.resolve(problem('operator-disabled')) };
  const isOperator = createTokenCheck(operator.token);
  const stock = createStockRoutes({ ...wiring, operations: operator.operations });
  const turns = { reading: createTurns(), acting: createTurns() };
  const letters = createDeadLetterRoutes({ ...operator.letters, turns });

  const withBody = async (
    { request }: OperatorRequest,
    carryOut: (value: unknown) => Promise<HttpResponse>,
  ) => {
    const value = await readJson(request, readBody);
    return value === undefined ? undefined : carryOut(value);
  };
  const routes: Record<OperatorRoute, (one: OperatorRequest) => Promise<HttpResponse | undefined>> =
    {
      item: ({ id }) => stock.item(id),
      putSale: (one) => withBody(one, (value) => stock.putSale(one.id, value)),
      restock: (one) => withBody(one, (value) => stock.restock(one.id, value)),
      deadLetters: ({ query }) => letters.list(query),
      deadLetterStats: ({ query }) => letters.stats(query),
      deadLetter: ({ id = '' }) => letters.show(id),
      replay: (one) => withBody(one, letters.replay),
      discard: (one) => withBody(one, letters.discard),
      retry: (one) => withBody(one, (value) => letters.retry(one.id, value)),
    };

  return {
    answer: async (route, one) => {
      const { authorization } = one.request.headers;
      if (!isOperator(authorization)) {
        // Never what was sent: it may be the right token with a slip of the finger.
        const cause = authorization === undefined ? 'no token' : 'a wrong token';
        errors.report('an operator was turned away', cause, { route });
        return problem('unauthorized', { headers: { 'www-authenticate': CHALLENGE } });
      }
      return routes[route](one).catch((error: unknown) => {
        if (error instanceof Refusal) return error.answer;
        const isAway = error instanceof RequestError;
        if (!(error instanceof OperatorError) && !isAway) throw error;
        if (isAway || error.kind === 'unavailable') {
          errors.report('an operator got no answer', error, { route });
          return problem('dependency-unavailable');
        }
        return operatorErrorProblem(error);
      });
    },
  };
}

const CHALLENGE = 'Bearer realm="operators of the flash sale"';
