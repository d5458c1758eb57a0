import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { pino } from 'pino';
import { createApp, type AppDeps } from '../../api/app';

/** An app in which nothing can be written as long as `broken`, not even that there is a bug. */
async function openApp() {
  const state = { broken: true };
  const deps = {
    health: { live: () => ({ status: 200, headers: {}, body: 'ok' }) },
    logger: pino({ level: 'silent' }),
    isClosing: () => {
      if (state.broken) throw new Error('cannot be asked');
      return false;
    },
  };
  const listener = createApp(deps as unknown as AppDeps).callback();
  const server = createServer((request, response) => void listener(request, response)).listen(0);
  await once(server, 'listening');
  return { server, state, url: `http://127.0.0.1:${(server.address() as AddressInfo).port}` };
}

test('a bug in writing answers is a 500, and the process lives on', async () => {
  const { server, state, url } = await openApp();
  try {
    expect((await fetch(`${url}/livez`)).status).toBe(500);
    state.broken = false;
    expect((await fetch(`${url}/livez`)).status).toBe(200);
  } finally {
    server.closeAllConnections();
    server.close();
  }
});
