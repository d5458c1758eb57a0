import { buy, openGateway, reply, until, type OpenGateway } from './open-gateway';
import { createDialer, purchaseRequest } from './raw-lines';

const PUBLIC_URL = 'https://shop.test/sale';
const { dial, hangUp } = createDialer();
let open: OpenGateway;
afterEach(async () => {
  hangUp();
  await open.close();
});

const openPublic = async (limits = {}) => {
  open = await openGateway({ change: () => ({ publicUrl: PUBLIC_URL, limits }) });
};

/** The body that comes back for raw bytes. */
async function bodyOf(text: string): Promise<Record<string, unknown>> {
  const line = await dial(open);
  line.socket.write(text);
  await until(() => line.received.includes('}'));
  return JSON.parse(line.received.split('\r\n\r\n')[1] ?? '') as Record<string, unknown>;
}

describe('with a public URL the type of a problem is absolute:', () => {
  test('of purchases, reads, paths and explanations', async () => {
    await openPublic();
    const get = async (path: string) => reply(await fetch(open.url + path));
    const types = [
      (await buy(open, { amount: 0 })).body['type'],
      (await buy(open, { item_id: 'no-such' })).body['type'],
      (await get('/orders/none')).body['type'],
      (await get('/nowhere')).body['type'],
      (await get('/problems/sold-out')).body['type'],
    ];
    const names = ['invalid-request', 'unknown-item', 'unknown-order', 'not-found', 'sold-out'];
    expect(types).toEqual(names.map((name) => `${PUBLIC_URL}/problems/${name}`));
  });

  test('of what is not HTTP', async () => {
    await openPublic();
    const { type } = await bodyOf('HELLO\r\n\r\n');
    expect(type).toBe(`${PUBLIC_URL}/problems/invalid-request`);
  });

  test('of a full gateway', async () => {
    await openPublic({ buysInFlightMax: 0 });
    const { type } = await bodyOf(purchaseRequest('a'));
    expect(type).toBe(`${PUBLIC_URL}/problems/not-accepted`);
  });

  test('in the OpenAPI document, whose paths stay as they are', async () => {
    await openPublic();
    const { body } = await reply(await fetch(`${open.url}/openapi.json`));
    expect(body['servers']).toEqual([{ url: PUBLIC_URL }]);
    expect(Object.keys(body['paths'] as object)).toContain('/problems/{type}');
    const text = JSON.stringify(body);
    expect(text).toContain(`"const":"${PUBLIC_URL}/problems/sold-out"`);
    expect(text).not.toMatch(/"\/problems\/[a-z]/);
  });
});
