import { OperatorError } from '../../../engine/dead-letters/operator';
import type { ActionLog, RecordAction } from '../../../engine/operators/action-log';
import { findCredential, type Credential } from '../../../engine/operators/credentials';
import type { ReadBody } from '../../http/body-reader';
import { bearerToken } from '../../http/clients';
import { RequestError, type AuthLog } from '../../http/errors';
import { problem } from '../../http/problems';
import { httpRequestId as idOf } from '../../http/request-id';
import type { HttpResponse } from '../../http/response';
import type { Route, RouteContext } from '../route';
import {
  invalid,
  type ActionResponse,
  type Caller,
  type Operator,
  type OperatorRoute,
} from './operator';

export interface OperatorClients extends Pick<
  Operator,
  'operations' | 'letters' | 'selling' | 'archive' | 'refunds'
> {
  /** The record of what operators do. */
  readonly actions: Pick<ActionLog, 'recorder' | 'lateRecorder'>;
  /** Those that are valid now. */
  readonly credentials: () => readonly Credential[];
}

/**
 * Puts the operators' routes behind their credentials. Requests without one are rejected before any work, and so are those
 * that change something and have a credential for reading only. Without `clients` the
 * routes exist and respond that they are disabled.
 */
export function createOperatorRoutes(
  routes: readonly OperatorRoute[],
  clients: OperatorClients | undefined,
  {
    ledger,
    findOrder,
    lookUp,
    trace,
    defaultPrice,
    readBody,
    errors,
  }: Pick<Operator, 'ledger' | 'findOrder' | 'lookUp' | 'trace' | 'defaultPrice'> & {
    readonly readBody: ReadBody;
    readonly errors: AuthLog;
  },
): Route[] {
  if (!clients) {
    return routes.map((route) => ({ ...route, handle: () => problem('operator-disabled') }));
  }
  const { credentials, operations, letters, selling, archive, refunds, actions } = clients;
  const reading = createTurns();
  const operator: Operator = {
    operations,
    ledger,
    findOrder,
    lookUp,
    refunds,
    trace,
    defaultPrice,
    selling,
    archive,
    letters: { ...letters, readLetters: () => reading(letters.readLetters) },
    inTurn: createTurns(),
  };

  const responseOf = async <T extends HttpResponse | undefined>(
    /** For a line of the log about the request. */
    fields: Readonly<Record<string, unknown>>,
    respond: () => Promise<T>,
  ): Promise<T | HttpResponse> => {
    try {
      const response = await respond();
      if (!response?.stream) return response;
      return { ...response, stream: reporting(response.stream, errors, fields) };
    } catch (error) {
      const response = toResponse(error);
      if (response.problem === 'dependency-unavailable') {
        errors.report('an operator got no answer', error, fields);
      }
      return response;
    }
  };
  const handle = async (route: OperatorRoute, context: RouteContext) => {
    const fields = { route: route.id, httpRequestId: idOf(context.req) };
    const token = bearerToken(context.req);
    const credential = token === undefined ? undefined : findCredential(credentials(), token);
    if (!credential) {
      // The token that was sent is not logged: it may be the right one with a typing error.
      const cause = context.req.headers.authorization === undefined ? 'no token' : 'a wrong token';
      errors.reportTurnedAway('an operator was turned away', cause, fields);
      const challenge = token === undefined ? CHALLENGE : `${CHALLENGE}, error="invalid_token"`;
      return problem('unauthorized', { headers: { 'www-authenticate': challenge } });
    }
    if (credential.role === 'read' && route.method !== 'get') {
      const { id, name } = credential;
      errors.reportTurnedAway('an operator may only read', undefined, { ...fields, name, id });
      const challenge = `${CHALLENGE}, error="insufficient_scope"`;
      return problem('forbidden', { headers: { 'www-authenticate': challenge } });
    }
    const { id, name, role } = credential;
    const { httpRequestId } = fields;
    const actor = { by: name, role, credential: id, door: 'http', httpRequestId } as const;
    const caller = {
      name,
      record: createRecord(actions.recorder(actor), (act) => responseOf(fields, act)),
      recordLate: actions.lateRecorder(actor),
    };
    return responseOf(fields, async () => {
      if (!route.body) return route.carryOut(operator, caller, context, undefined);
      const body = await readBody(context.req);
      if (typeof body !== 'string') return body;
      return route.carryOut(operator, caller, context, parseJson(body));
    });
  };
  return routes.map((route) => ({ ...route, handle: (context) => handle(route, context) }));
}

/** The record of a request is that of its response. */
function createRecord(
  record: RecordAction,
  responseOf: (act: () => Promise<ActionResponse>) => Promise<ActionResponse>,
): Caller['record'] {
  return (action, act) =>
    record(
      action,
      () => responseOf(act),
      ({ status, problem, before, after, detail }) => {
        const failed = problem === 'dependency-unavailable' ? 'unknown' : 'refused';
        return {
          outcome: status < 400 ? 'done' : failed,
          detail: detail ?? problem,
          before,
          after,
        };
      },
    );
}

const CHALLENGE = 'Bearer realm="operators of the flash sale"';

/** Further requests are told to come back later. */
const WAITING_MAX = 4;

/**
 * Runs one piece of work after the other; throws a RequestError while too many wait. Reading dead letters reads a whole
 * topic: at most one such read competes with purchases for the process, however many operators there are.
 */
function createTurns() {
  let last: Promise<unknown> = Promise.resolve();
  let open = 0;
  return async <T>(work: () => Promise<T>): Promise<T> => {
    if (open > WAITING_MAX) {
      const tooMany = { problem: 'rate-limited', retryAfterMs: 5_000 } as const;
      throw new RequestError('too many requests of operators wait', tooMany);
    }
    open += 1;
    const turn = last.then(work);
    // The next turn starts after this one, even if this one fails.
    last = turn.catch(() => undefined);
    return turn.finally(() => {
      open -= 1;
    });
  };
}

/** The same parts. An error is reported: the status was sent long before. */
async function* reporting<T>(
  stream: AsyncIterable<T>,
  errors: AuthLog,
  fields: Readonly<Record<string, unknown>>,
) {
  try {
    yield* stream;
  } catch (error) {
    errors.report('an export was cut off', error, fields);
    throw error;
  }
}

function parseJson(body: string): unknown {
  if (body === '') throw invalid({ path: '', message: 'must be a JSON object' });
  try {
    return JSON.parse(body);
  } catch {
    throw invalid({ path: '', message: 'must be well-formed JSON' });
  }
}

/** Rethrows anything that is a bug. The message of an OperatorError becomes the detail of a problem. */
function toResponse(error: unknown): HttpResponse {
  if (error instanceof RequestError) {
    return error.problem === 'not-accepted'
      ? problem('dependency-unavailable')
      : problem(error.problem, error.options);
  }
  if (!(error instanceof OperatorError)) throw error;
  const { kind, message: detail } = error;
  switch (kind) {
    case 'invalid':
      return problem('invalid-request', { detail });
    case 'unknown-letter':
      return problem('unknown-dead-letter', { detail });
    case 'dealt-with':
      return problem('dealt-with', { detail: `${detail} Send \`all: true\` to replay it anyway.` });
    case 'several-letters':
      return problem('several-dead-letters', { detail });
    case 'unrecorded':
      return problem('dependency-unavailable', { detail: `${detail} Send it again.` });
    case 'unavailable':
      return problem('dependency-unavailable');
  }
}
