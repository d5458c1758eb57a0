import { pino } from 'pino';
import { createApp } from '../../api/app';
import { closeHttpServer, createHttpServer, listen } from '../../api/http/server';

/** An app that cannot write any response while it is `broken`, not even a 500. */
async function openApp() {
  const state = { broken: true };
  const app = createApp({
    routes: [
      {
        method: 'get',
        path: '/livez',
        id: 'livez',
        summary: '',
        description: '',
        responses: [],
        problems: [],
        handle: () => ({ status: 200, headers: {}, body: 'ok' }),
      },
    ],
    errors: { report: () => undefined },
    logger: pino({ level: 'silent' }),
    isClosing: () => {
      if (state.broken) throw new Error('cannot be asked');
      return false;
    },
  });
  const listener = app.callback();
  const server = createHttpServer((request, response) => void listener(request, response), {
    report: () => undefined,
  });
  const port = await listen(server, '127.0.0.1', 0);
  return { state, url: `http://127.0.0.1:${port}`, close: () => closeHttpServer(server, 0) };
}

test('a bug in writing a response is a 500, and the process lives on', async () => {
  const { state, url, close } = await openApp();
  try {
    expect((await fetch(`${url}/livez`)).status).toBe(500);
    state.broken = false;
    expect((await fetch(`${url}/livez`)).status).toBe(200);
  } finally {
    await close();
  }
});
