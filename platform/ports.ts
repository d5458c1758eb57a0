import { connect, createServer } from 'node:net';

/** Where everything of the local stack listens. */
export const LOOPBACK = '127.0.0.1';

/**
 * Whether somebody listens on the port. Who listens on all addresses can leave loopback bindable on some systems, so
 * both are asked.
 */
export async function isTaken(port: number): Promise<boolean> {
  return (await answers(port)) || !(await canBind(port));
}

function answers(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect({ port, host: LOOPBACK });
    socket.once('connect', () => {
      socket.destroy();
      resolve(true);
    });
    socket.once('error', () => {
      resolve(false);
    });
  });
}

function canBind(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const server = createServer();
    server.once('error', () => {
      resolve(false);
    });
    server.listen(port, LOOPBACK, () => {
      server.close(() => {
        resolve(true);
      });
    });
  });
}
