import { randomUUID } from 'node:crypto';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Route } from '../../api/routes/route';
import { createFakeArchive } from '../support/fake-archive';
import { signWithSecret, WITH_SECRET } from '../support/identity-provider';
import { aFailedOrder } from '../cli/letters';
import { reply } from './open-gateway';
import { openOperatorGateway, problemType, TOKENS, type OperatorGateway } from './operator-gateway';

const FILE = join(__dirname, '..', '..', 'docs', 'access.md');

/** The order of u1. */
const ORDER = randomUUID();

/** Who asks, by what is sent as authorization. */
const CALLERS = {
  nobody: () => undefined,
  'another buyer': () => signWithSecret('u2'),
  'the owner': () => signWithSecret('u1'),
  'operator: read': () => TOKENS.read,
  'operator: operate': () => TOKENS.operate,
} satisfies Record<string, () => string | undefined | Promise<string>>;
type Caller = keyof typeof CALLERS;
const callers = Object.keys(CALLERS) as Caller[];

interface Asked {
  /** Where it is not the route as its declaration shows it. */
  readonly as?: string;
  /** Of the path and the query. */
  readonly query?: string;
  readonly params?: Readonly<Record<string, string>>;
  readonly body?: () => object;
}

const aPurchase = (requestId: string = randomUUID()) => ({
  item_id: '101',
  amount: 1,
  request_id: requestId,
});
const why = 'a test';

/** Every route with a request that is valid, so that only who asks decides; by the route's id. */
const REQUESTS: Record<string, readonly Asked[]> = {
  buy: [
    { body: aPurchase },
    { as: 'in the name of the owner', body: () => ({ ...aPurchase(), user_id: 'u1' }) },
    { as: 'with the id of the order', body: () => aPurchase(ORDER) },
  ],
  orders: [{}, { as: 'in the name of the owner', query: '?user_id=u1' }],
  order: [{ params: { request_id: ORDER } }],
  orderEvents: [{ params: { request_id: ORDER } }],
  cancelOrder: [
    { params: { request_id: ORDER } },
    { as: 'in the name of the owner', params: { request_id: ORDER }, query: '?user_id=u1' },
  ],
  item: [{}],
  selling: [{}],
  stopSelling: [{ body: () => ({ why }) }],
  resumeSelling: [{ body: () => ({ why }) }],
  operatorItem: [{}],
  operatorPutSale: [{ body: () => ({ price_minor: 5, why }) }],
  operatorItemReport: [{}],
  operatorOrders: [{}, { as: 'as CSV', query: '?format=csv' }],
  eraseUser: [{ body: () => ({ user_id: 'u1', why }) }],
  operatorOrder: [{ params: { request_id: ORDER } }],
  operatorRestock: [{ body: () => ({ units: 5, operation_id: 'op', why }) }],
  deadLetters: [{}],
  deadLetterStats: [{}],
  deadLetter: [{ params: { id: 'a' } }],
  replay: [{ body: () => ({ ids: ['a'], why }) }],
  discard: [{ body: () => ({ ids: ['a'], why }) }],
  retry: [{ params: { request_id: 'a' }, body: () => ({ why }) }],
  refund: [{ params: { request_id: ORDER }, body: () => ({ why, operation_id: 'op' }) }],
  problem: [{}],
  livez: [{}],
  readyz: [{}],
  metrics: [{}],
  openApi: [{}],
  docs: [{}],
  docsFile: [{}],
};

/** What a gateway serves where. */
function listenersOf({
  url,
  adminUrl,
  gateway,
}: Pick<OperatorGateway, 'url' | 'adminUrl' | 'gateway'>) {
  return [
    { listener: 'public', url, routes: gateway.routes.public },
    { listener: 'admin', url: adminUrl, routes: gateway.routes.admin },
  ];
}

/** Asks for everybody, in turn, a gateway on which u1 has placed an order. An answer is its status and its problem. */
async function answersTo(listener: string, route: Route, asked: Asked): Promise<string[]> {
  const { archive } = createFakeArchive();
  const letters = [aFailedOrder('a')];
  const open = await openOperatorGateway({ letters, jwt: WITH_SECRET, archive });
  try {
    const ordered = await send(open.url, 'the owner', 'POST', '/buy', aPurchase(ORDER));
    expect(ordered.status).toBe(202);
    const { url = '' } = listenersOf(open).find((one) => one.listener === listener) ?? {};
    const answers: string[] = [];
    for (const caller of callers) {
      const sent = await send(url, caller, route.method, pathOf(route, asked), asked.body?.());
      answers.push(await read(sent));
    }
    return answers;
  } finally {
    await open.close();
  }
}

async function read(response: Response): Promise<string> {
  const { status, headers } = response;
  if (status === 401) expect(headers.get('www-authenticate')).toMatch(/^Bearer /);
  if (headers.get('content-type') === 'application/problem+json') {
    return `${status} ${problemType(await reply(response))}`;
  }
  // An event stream ends only with its order.
  await response.body?.cancel();
  return String(status);
}

function pathOf({ path, parameters = [] }: Route, { params = {}, query = '' }: Asked): string {
  const filled = path.replace(/\{(\w+)\}/g, (_, name: string) => {
    const example = parameters.find((one) => one.in === 'path' && one.name === name)?.example;
    return params[name] ?? example ?? name;
  });
  return filled + query;
}

async function send(url: string, caller: Caller, method: string, path: string, body?: object) {
  const token = await CALLERS[caller]();
  return fetch(url + path, {
    method: method.toUpperCase(),
    headers: {
      ...(token !== undefined && { authorization: `Bearer ${token}` }),
      ...(body && { 'content-type': 'application/json' }),
    },
    ...(body && { body: JSON.stringify(body) }),
  });
}

/** A line of the table for each request of each route, where the route is served. */
async function measure(): Promise<string[][]> {
  const open = await openOperatorGateway({ jwt: WITH_SECRET });
  await open.close();
  const rows: string[][] = [];
  for (const { listener, routes } of listenersOf(open)) {
    for (const route of routes) {
      for (const asked of REQUESTS[route.id] ?? []) {
        const name = `\`${route.method.toUpperCase()} ${route.path}\``;
        const answers = await answersTo(listener, route, asked);
        const row = [asked.as === undefined ? name : `${name} ${asked.as}`, ...answers];
        const same = rows.find((other) => other.slice(1).join() === row.join());
        if (same) same[0] = 'both';
        else rows.push([listener, ...row]);
      }
    }
  }
  return rows;
}

/** As Prettier formats it. */
function table(rows: readonly (readonly string[])[]): string {
  const head = ['listener', 'route', ...callers];
  const widths = head.map((_, column) =>
    Math.max(...[head, ...rows].map((row) => row[column]?.length ?? 0)),
  );
  const line = (cells: readonly string[]) =>
    `| ${cells.map((cell, column) => cell.padEnd(widths[column] ?? 0)).join(' | ')} |`;
  return [line(head), line(widths.map((width) => '-'.repeat(width))), ...rows.map(line)].join('\n');
}

const TABLE = /^\|[^]*\|$/m;

test('every declared route is asked here, and no other', async () => {
  const open = await openOperatorGateway({ jwt: WITH_SECRET });
  await open.close();
  const declared = listenersOf(open).flatMap(({ routes }) => routes.map(({ id }) => id));
  expect(Object.keys(REQUESTS).sort()).toEqual([...new Set(declared)].sort());
});

test('docs/access.md shows what each route answers to whom', async () => {
  const page = readFileSync(FILE, 'utf8');
  const measured = page.replace(TABLE, table(await measure()));
  if (process.env['RENEW_DOCS'] === 'true') writeFileSync(FILE, measured);
  else expect(page).toBe(measured);
}, 120_000);
