import { FormatRegistry, type TSchema } from '@sinclair/typebox';
import { Value } from '@sinclair/typebox/value';
import { createHash } from 'node:crypto';
import { pino } from 'pino';
import { createApp } from '../../api/app';
import { PROBLEMS, type ProblemType } from '../../api/http/problems';
import { Item } from '../../api/routes/items';
import {
  COMPONENTS,
  createOpenApi,
  PROBLEM_SCHEMAS,
  problemExample,
} from '../../api/routes/openapi';
import { Order } from '../../api/routes/order-view';
import { Accepted } from '../../api/routes/orders';
import type { Route } from '../../api/routes/route';
import { WITH_SECRET } from '../support/identity-provider';
import { buy, ITEM, openGateway, reply, until, type OpenGateway, type Reply } from './open-gateway';

FormatRegistry.Set('date-time', (text) => /^\d{4}-\d\d-\d\dT[\d:.]+Z$/.test(text));

/** Fails with what is wrong, not only with that something is. */
function expectValid(schema: TSchema, value: unknown) {
  expect(
    [...Value.Errors(schema, value)].map(({ path, message }) => `${path}: ${message}`),
  ).toEqual([]);
}

const types = Object.keys(PROBLEMS) as ProblemType[];

/** The part of the OpenAPI document that these tests read. */
interface Document {
  readonly openapi: string;
  readonly info: unknown;
  readonly paths: Record<string, Record<string, Operation>>;
  readonly components: {
    readonly schemas: Record<string, { properties?: Record<string, { const?: unknown }> }>;
  };
}
interface Operation {
  readonly operationId: string;
  readonly parameters?: readonly { in: string; name: string; required: boolean }[];
  readonly responses: Record<string, { readonly description: string }>;
}

let open: OpenGateway;
let routes: { readonly public: readonly Route[]; readonly admin: readonly Route[] };
/** Those of a gateway whose buyers have tokens. */
let withTokens: readonly Route[];
beforeEach(async () => {
  open = await openGateway({ units: 3 });
  routes = open.gateway.routes;
  const other = await openGateway({ change: () => ({ jwt: WITH_SECRET }) });
  withTokens = other.gateway.routes.public;
  await other.close();
});
afterEach(() => open.close());

const allRoutes = () => [...routes.public, ...routes.admin, ...withTokens];
const read = async (url: string) => (await (await fetch(`${url}/openapi.json`)).json()) as Document;
const schemasUsedIn = (document: Document) => {
  const used = JSON.stringify(document).matchAll(/"#\/components\/schemas\/([^"]+)"/g);
  return [...new Set([...used].map(([, name]) => name))].sort();
};

describe.each(['public', 'admin'] as const)(
  'the OpenAPI document of the %s listener',
  (listener) => {
    let document: Document;
    let base: string;
    beforeEach(async () => {
      base = listener === 'public' ? open.url : open.adminUrl;
      document = await read(base);
    });

    test('names the routes of the listener, no more and no fewer', () => {
      const documented = Object.entries(document.paths).flatMap(([path, methods]) =>
        Object.keys(methods).map((method) => `${method} ${path}`),
      );
      expect(documented.sort()).toEqual(routedIn(routes[listener]).sort());
    });

    test('names only paths that the listener has', async () => {
      for (const { path, method, parameters = [] } of routes[listener]) {
        const url = parameters.reduce(
          (text, { name, example }) => text.replace(`{${name}}`, example ?? ''),
          base + path,
        );
        const answer = await fetch(url, { method: method.toUpperCase() });
        const text = await answer.text();
        // The document itself speaks of these problems, so only an answer that is one counts.
        const isUnknown = /^\{"type":"\/problems\/(not-found|method-not-allowed)"/.test(text);
        expect([path, isUnknown]).toEqual([path, false]);
      }
    });

    test('has every type of problem with its status, and the routes that respond with it', () => {
      for (const type of types) {
        const { properties } = document.components.schemas[`problem.${type}`] ?? {};
        expect(properties?.['type']?.const).toBe(`/problems/${type}`);
        expect(properties?.['status']?.const).toBe(PROBLEMS[type].status);
      }
      const named = new Set(allRoutes().flatMap(({ problems }) => problems));
      // No route answers its own method with the first, and a request with the second reaches none.
      expect(types.filter((type) => !named.has(type))).toEqual([
        'method-not-allowed',
        'headers-too-large',
      ]);
    });

    test('has examples that fit their own schemas', () => {
      for (const { responses, body, parameters = [] } of allRoutes()) {
        if (body) expectValid(body.schema, body.example);
        for (const response of responses) {
          if (response.body) expectValid(response.body.schema, response.body.example);
          for (const other of response.others ?? []) expectValid(other.schema, other.example);
        }
        for (const { schema, example } of parameters) {
          if (example !== undefined) expectValid(schema, example);
        }
      }
      for (const type of types) expectValid(PROBLEM_SCHEMAS[type], problemExample(type));
    });

    test('is OpenAPI 3.1 in its essentials', () => {
      expect(document.openapi).toMatch(/^3\.1\.\d+$/);
      expect(document.info).toMatchObject({
        title: expect.any(String) as string,
        version: expect.any(String) as string,
      });
      const ids = new Set<string>();
      for (const [path, methods] of Object.entries(document.paths)) {
        for (const { operationId, parameters = [], responses } of Object.values(methods)) {
          expect(ids.has(operationId)).toBe(false);
          ids.add(operationId);
          const inPath = [...path.matchAll(/\{(\w+)\}/g)].map(([, name]) => name);
          const named = parameters.filter((parameter) => parameter.in === 'path');
          expect(named.map(({ name }) => name)).toEqual(inPath);
          expect(named.every(({ required }) => required)).toBe(true);
          for (const [status, { description }] of Object.entries(responses)) {
            expect(status).toMatch(/^([1-5]\d\d|default)$/);
            expect(description).not.toBe('');
          }
        }
      }
      for (const name of Object.keys(document.components.schemas)) {
        expect(name).toMatch(/^[\w.-]+$/);
      }
    });

    test('has the schemas to which it refers, and no others', () => {
      expect(Object.keys(document.components.schemas).sort()).toEqual(schemasUsedIn(document));
    });
  },
);

describe('the OpenAPI documents', () => {
  test('of a gateway whose buyers have tokens say where they are needed, and need no user_id', () => {
    const { paths, components } = createOpenApi(withTokens, { audience: 'buyers' });
    const secured = Object.entries(paths).flatMap(([path, methods]) =>
      Object.entries(methods)
        .filter(([, { security }]) => security && 'buyer' in (security[0] ?? {}))
        .map(([method]) => `${method} ${path}`),
    );
    expect(secured.sort()).toEqual([
      'delete /orders/{request_id}',
      'get /orders',
      'get /orders/{request_id}',
      'get /orders/{request_id}/events',
      'post /buy',
    ]);
    expect(components.securitySchemes).toHaveProperty('buyer');
    const required = (route: Route | undefined) => route?.body?.schema['required'] as unknown;
    const buyOf = (all: readonly Route[]) => all.find(({ path }) => path === '/buy');
    expect(required(buyOf(withTokens))).not.toContain('user_id');
    expect(required(buyOf(routes.public))).toContain('user_id');
  });

  test('have every schema in one of them', async () => {
    const used = [await read(open.url), await read(open.adminUrl)].flatMap(schemasUsedIn);
    expect([...new Set(used)].sort()).toEqual(Object.keys(COMPONENTS).sort());
  });

  test('show buyers nothing of operators', async () => {
    const document = await read(open.url);
    expect(Object.keys(document.paths).filter((path) => /operator|metrics/.test(path))).toEqual([]);
    expect(document.components).not.toHaveProperty('securitySchemes.operator');
    expect((await read(open.adminUrl)).components).toHaveProperty('securitySchemes.operator');
  });
});

describe('the responses of the gateway fit its document:', () => {
  const get = async (path: string) => reply(await fetch(open.url + path));
  const expectProblem = ({ status, body }: Reply, type: ProblemType) => {
    expect(body['type']).toBe(`/problems/${type}`);
    expect(status).toBe(PROBLEMS[type].status);
    expectValid(PROBLEM_SCHEMAS[type], body);
  };

  test('a purchase and its order, from acceptance to each end', async () => {
    expectValid(Accepted, (await buy(open)).body);
    expectValid(Order, (await get('/orders/req-1')).body);
    open.stock.force('req-1', { state: 'sold', paymentId: 'p', generation: 1, finishedAt: 5 });
    expectValid(Order, (await get('/orders/req-1')).body);
    open.stock.force('req-1', { state: 'released', reason: 'payment-declined' });
    expectValid(Order, (await get('/orders/req-1')).body);
    expectProblem(await buy(open), 'duplicate-request');
    expectProblem(await buy(open, { amount: 2 }), 'request-id-reused');
  });

  test('an item, as it is and with a sale', async () => {
    expectValid(Item, (await get('/items/101')).body);
    await open.stock.setSale(ITEM, { unitsPerUser: 2, opensAt: 1, closesAt: 2 });
    expectValid(Item, (await get('/items/101')).body);
  });

  test('the rejections of a purchase', async () => {
    expectProblem(await buy(open, { amount: 0 }), 'invalid-request');
    expectProblem(await buy(open, { item_id: 'no-such' }), 'unknown-item');
    expectProblem(await buy(open, { amount: 9 }), 'sold-out');
    await open.stock.setSale(ITEM, { unitsPerUser: 1 });
    expectProblem(await buy(open, { amount: 2 }), 'purchase-limit');
    await open.stock.setSale(ITEM, { opensAt: Date.now() + 60_000 });
    expectProblem(await buy(open), 'sale-not-open');
    await open.stock.setSale(ITEM, { closesAt: 1 });
    expectProblem(await buy(open), 'sale-over');
    expectProblem(await get('/orders/none'), 'unknown-order');
    expectProblem(await get('/items/none'), 'unknown-item');
    expectProblem(await get('/nowhere'), 'not-found');
    expectProblem(await get('/buy'), 'method-not-allowed');
  });

  test('a cancellation, and the rejections of one', async () => {
    const cancel = async (query: string) =>
      reply(await fetch(`${open.url}/orders/req-1${query}`, { method: 'DELETE' }));
    expectProblem(await cancel('?user_id=u1'), 'unknown-order');
    await buy(open);
    expectProblem(await cancel(''), 'invalid-request');
    expectProblem(await cancel('?user_id=u2'), 'not-the-buyer');
    open.stock.force('req-1', { state: 'reserved', generation: 1 });
    expectProblem(await cancel('?user_id=u1'), 'outcome-unknown');
    open.stock.force('req-1', { state: 'sold', paymentId: 'p' });
    expectProblem(await cancel('?user_id=u1'), 'too-late-to-cancel');
    await buy(open, { request_id: 'req-2' });
    const other = await fetch(`${open.url}/orders/req-2?user_id=u1`, { method: 'DELETE' });
    expectValid(Order, await other.json());
  });

  test('a purchase that waits, and one that gets no answer', async () => {
    open.publisher.next = 'wait';
    const first = buy(open);
    await until(() => open.publisher.records.length === 1);
    expectProblem(await buy(open), 'request-in-progress');
    open.publisher.acknowledge();
    await first;
    await open.gateway.drain();
    expectProblem(await buy(open), 'not-accepted');
  });

  test('the state of the gateway', async () => {
    for (const path of ['/livez', '/readyz', '/problems/sold-out', '/openapi.json']) {
      const route = routes.public.find(
        (one) => one.path.split('{')[0] === path.replace('sold-out', ''),
      );
      const schema = route?.responses[0]?.body?.schema;
      if (!schema) throw new Error(`${path} is not documented`);
      expectValid(schema, (await get(path)).body);
    }
  });
});

const PAGE_FILES = ['/docs/swagger-ui.css', '/docs/swagger-ui-bundle.js'];

describe.each(['/openapi.json', '/docs', ...PAGE_FILES])('GET %s', (path) => {
  test('may be cached for a while, and is answered with 304 if it has not changed', async () => {
    const first = await fetch(open.url + path);
    expect(first.status).toBe(200);
    expect(first.headers.get('cache-control')).toBe('public, max-age=60');
    const etag = first.headers.get('etag') ?? '';
    const again = await fetch(open.url + path, { headers: { 'if-none-match': etag } });
    expect(again.status).toBe(304);
    expect(await again.text()).toBe('');
  });
});

describe('GET /docs', () => {
  const load = async () => {
    const response = await fetch(`${open.url}/docs`);
    return { headers: response.headers, page: await response.text() };
  };
  const policyOf = (headers: Headers) => {
    const directives = (headers.get('content-security-policy') ?? '').split('; ');
    return Object.fromEntries(directives.map((one) => one.split(/ (.*)/, 2))) as Record<
      string,
      string
    >;
  };

  test('is a page that loads only files of the gateway', async () => {
    const { headers, page } = await load();
    expect(headers.get('content-type')).toBe('text/html; charset=utf-8');
    const targets = [...page.matchAll(/(?:src|href)="([^"]+)"/g)].map(([, target]) => target);
    expect(targets.sort()).toEqual(['data:,', ...PAGE_FILES].sort());
    expect(page).not.toMatch(/https?:/);
  });

  test('has a policy that allows no other origin and only its own inline script', async () => {
    const { headers, page } = await load();
    const [, script = ''] = /<script>(.*)<\/script>/.exec(page) ?? [];
    const hash = createHash('sha256').update(script).digest('base64');
    expect(policyOf(headers)).toEqual({
      'default-src': "'none'",
      'script-src': `'self' 'sha256-${hash}'`,
      'style-src': "'self'",
      'img-src': "'self' data:",
      'connect-src': "'self'",
      'base-uri': "'none'",
      'form-action': "'none'",
      'frame-ancestors': "'none'",
    });
  });

  test('shows the document of the gateway and uses no validator of another origin', async () => {
    const { page } = await load();
    expect(page).toContain('"url":"/openapi.json"');
    expect(page).toContain('"validatorUrl":null');
  });

  test.each([
    ['/docs/swagger-ui.css', 'text/css; charset=utf-8', '.swagger-ui'],
    ['/docs/swagger-ui-bundle.js', 'text/javascript; charset=utf-8', 'SwaggerUIBundle'],
  ])('loads %s', async (path, type, content) => {
    const response = await fetch(open.url + path);
    expect(response.headers.get('content-type')).toBe(type);
    expect(response.headers.get('x-content-type-options')).toBe('nosniff');
    expect(response.headers.get('content-encoding')).toBe('gzip');
    expect(await response.text()).toContain(content);
    const head = await fetch(open.url + path, { method: 'HEAD' });
    expect([head.status, await head.text()]).toEqual([200, '']);
  });

  test.each(['package.json', 'constructor', '..%2Fpackage.json'])(
    'serves no other file of the package: %s',
    async (file) => {
      const { status, body } = await reply(await fetch(`${open.url}/docs/${file}`));
      expect([status, body['type']]).toEqual([404, '/problems/not-found']);
    },
  );
});

/** What the router knows, without the HEAD that it adds to each GET; and the one route that is served before it. */
function routedIn(routes: readonly Route[]): string[] {
  const unused = { errors: { report: () => undefined }, logger: pino(), isClosing: () => false };
  const app = createApp({ routes, ...unused });
  const routers = app.middleware.flatMap((one) => ('router' in one ? [one.router] : []));
  const { stack } = routers[0] as { stack: { path: string; methods: string[] }[] };
  const routed = stack.flatMap(({ path, methods }) =>
    methods
      .filter((method) => method !== 'HEAD')
      .map((method) => `${method.toLowerCase()} ${path.replace(/:(\w+)/g, '{$1}')}`),
  );
  return [...routed, ...routes.filter(({ path }) => path === '/buy').map(() => 'post /buy')];
}
