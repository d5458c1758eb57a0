import { cancel } from '../../cli/orders';
import { createGateway } from '../../client/gateway';
import {
  anOrderBody,
  aProblem,
  startFakeGateway,
  type Responder,
  type Reply,
} from '../support/fake-gateway';
import { textTerminal } from './text-terminal';

const trace = { temporalUi: 'http://ui', namespace: 'default' };
const undo: (() => Promise<void> | void)[] = [];

afterEach(async () => {
  for (const step of undo.splice(0).reverse()) await step();
});

async function against(respond: Responder) {
  const server = await startFakeGateway(respond);
  const gateway = createGateway(server.url);
  undo.push(server.close, gateway.close);
  const terminal = textTerminal();
  return { server, terminal, deps: { gateway, terminal, trace } };
}

const options = { requestId: 'req-1', user: 'u1' };
const CANCELLED: Reply = {
  status: 200,
  body: anOrderBody({ status: 'cancelled', payment_id: null }),
};
const UNDER_WAY: Reply = {
  status: 202,
  headers: { 'retry-after': '0' },
  body: anOrderBody({ status: 'reserved', payment_id: null, finished_at: null }),
};

describe('cancel', () => {
  test('asks in the name of the buyer and shows the cancelled order', async () => {
    const { deps, server, terminal } = await against(() => CANCELLED);
    expect(await cancel(deps, options)).toBe(0);
    expect(server.received).toEqual([
      { method: 'DELETE', path: '/orders/req-1?user_id=u1', body: undefined },
    ]);
    expect(terminal.written()).toMatch(/req-1[^]*cancelled/);
  });

  test('asks again as long as it is not decided', async () => {
    const answers = [UNDER_WAY, UNDER_WAY, CANCELLED];
    const { deps, server } = await against(() => answers.shift() ?? CANCELLED);
    expect(await cancel(deps, options)).toBe(0);
    expect(server.received).toHaveLength(3);
  });

  test('stops asking after a bound, and says that the cancellation is noted', async () => {
    const { deps } = await against(() => UNDER_WAY);
    const waiting = cancel({ ...deps, waitMsMax: 20 }, options);
    await expect(waiting).rejects.toThrow(/req-1 is noted, but not decided/);
  });

  test('shows the order that is sold already, and exits 1', async () => {
    const tooLate = aProblem(409, 'too-late-to-cancel', {
      reason: 'confirmed',
      order: anOrderBody(),
    });
    const { deps, terminal } = await against(() => tooLate);
    expect(await cancel(deps, options)).toBe(1);
    expect(terminal.written()).toMatch(/409 too-late-to-cancel[^]*confirmed[^]*pay-7/);
  });

  test('says how to ask again when the engine gives no answer, and exits 1', async () => {
    const { deps, terminal } = await against(() => aProblem(503, 'outcome-unknown'));
    expect(await cancel(deps, options)).toBe(1);
    expect(terminal.written()).toContain('flash-sale cancel req-1 --user u1');
  });

  test('asks for the ids it was given, whatever is in them', async () => {
    const { deps, server } = await against(() => aProblem(404, 'unknown-order'));
    expect(await cancel(deps, { requestId: 'a/b?c', user: 'u&1=' })).toBe(1);
    expect(server.received[0]?.path).toBe('/orders/a%2Fb%3Fc?user_id=u%261%3D');
  });

  test.each([
    ['cancelled', CANCELLED],
    ['refused', aProblem(403, 'not-the-buyer')],
  ])('with --json prints one document: %s', async (_, answer) => {
    const { deps, terminal } = await against(() => answer);
    await cancel(deps, { ...options, json: true });
    expect(JSON.parse(terminal.written())).toEqual(answer.body);
  });
});
