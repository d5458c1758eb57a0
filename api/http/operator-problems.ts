/** The ways in which operators are told no; part of the public contract as all problems are. */
export const OPERATOR_PROBLEMS = {
  'operator-disabled': {
    status: 404,
    title: 'This gateway serves no operators',
    detail: 'Start it with OPERATOR_TOKEN to open what is under /operator.',
  },
  unauthorized: {
    status: 401,
    title: 'This needs the token of an operator',
    detail:
      'Send `Authorization: Bearer <token>` with the token that the gateway was started with.',
  },
  'unknown-dead-letter': {
    status: 404,
    title: 'There is no such dead letter',
    detail: 'No dead letter among the newest has this request_id or letter id.',
  },
  'dealt-with': {
    status: 409,
    title: 'The dead letter has been dealt with',
    detail: 'Send `all: true` to replay it all the same.',
  },
  'several-dead-letters': {
    status: 409,
    title: 'The order has several open dead letters',
    detail: 'Name the letter ids to discard.',
  },
  'not-replayable': {
    status: 409,
    title: 'The order cannot be tried again as it is',
    detail: '`outcome` says why.',
  },
  'units-owned': {
    status: 409,
    title: 'Users own more units than the limit',
    detail: 'Send `force: true` to let it hold for whatever they buy from now on.',
  },
  'operation-reused': {
    status: 422,
    title: 'This operation_id has asked for something else',
    detail: 'Use a new operation_id for a new restock, and repeat a request without changes.',
  },
  'unreadable-stock': {
    status: 409,
    title: 'The stock or the sale of the item cannot be read',
    detail: 'It was written by hand, and not as a whole number.',
  },
  'dependency-unavailable': {
    status: 503,
    title: 'A system behind the gateway does not answer',
    detail:
      'Nothing is lost. Send the same again: what was done before the fault is found done, and the rest goes on.',
  },
} as const;

export type OperatorProblemType = keyof typeof OPERATOR_PROBLEMS;
