import { createServer, type AddressInfo } from 'node:net';

/**
 * Temporal's native core serves its metrics on a port of its own; ours fetches them from there, so that a process has
 * one door. The port is free when it is picked and bound a moment later: if somebody takes it in between, the core
 * refuses to start and the supervisor tries again.
 */
export async function openSdkMetrics() {
  const address = `127.0.0.1:${String(await freePort())}`;
  return {
    address,
    /** The core's metrics in the Prometheus format. */
    read: async () => (await fetch(`http://${address}/metrics`)).text(),
  };
}

async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  await new Promise((resolve) => server.close(resolve));
  return port;
}
