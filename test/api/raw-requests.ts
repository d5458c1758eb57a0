import { connect } from 'node:net';
import type { GatewayParts } from '../../api/gateway';
import { openGateway, PURCHASE, reply, type OpenGateway, type Reply } from './open-gateway';

/** A gateway that is sent only what it must refuse. */
export interface Refusing extends OpenGateway {
  /** Closes the gateway, then fails if any request left a trace or met a bug. */
  readonly closeUntouched: () => Promise<void>;
}

export async function openRefusing(parts: Partial<GatewayParts> = {}): Promise<Refusing> {
  const open = await openGateway({
    change: () => ({ ...parts, limits: { bodyDeadlineMs: 100 } }),
  });
  const before = open.stock.snapshot();
  return {
    ...open,
    closeUntouched: async () => {
      await open.close();
      expect(open.stock.snapshot()).toBe(before);
      expect(open.publisher.records).toHaveLength(0);
      expect(open.logged.filter(({ msg }) => msg === 'a bug')).toEqual([]);
    },
  };
}

export const JSON_TYPE = { 'content-type': 'application/json' };

/** The text of a purchase whose `fields` differ from PURCHASE. */
export function purchase(fields: object): string {
  return JSON.stringify({ ...PURCHASE, ...fields });
}

/** Posts a body to /buy as it is. */
export async function post(
  { url }: Pick<OpenGateway, 'url'>,
  body: string | Uint8Array<ArrayBuffer>,
  headers: Record<string, string> = JSON_TYPE,
): Promise<Reply> {
  return reply(await fetch(`${url}/buy`, { method: 'POST', headers, body }));
}

/** Sends bytes over a connection of their own and reads up to its end. */
export function sendRaw({ port }: Pick<OpenGateway, 'port'>, text: string): Promise<string> {
  return new Promise((resolve, reject) => {
    let received = '';
    const socket = connect(port, '127.0.0.1', () => socket.write(text));
    socket.setEncoding('utf8').on('error', reject);
    socket.on('data', (chunk: string) => {
      received += chunk;
      if (received.includes('}')) socket.end();
    });
    socket.on('close', () => {
      resolve(received);
    });
  });
}
