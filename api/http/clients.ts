import type { IncomingMessage } from 'node:http';
import { isIP, type BlockList } from 'node:net';

/** The token of an Authorization header of type Bearer; undefined where there is none. */
export function bearerToken({ headers }: Pick<IncomingMessage, 'headers'>): string | undefined {
  return /^Bearer +(\S+) *$/i.exec(headers.authorization ?? '')?.[1];
}

export type Clients = ReturnType<typeof createClients>;

/** Who sends requests, by address. `trustedProxies` are believed in what they say about whom they forward for. */
export function createClients(trustedProxies: BlockList) {
  const isTrusted = (address: string) =>
    trustedProxies.check(address, isIP(address) === 6 ? 'ipv6' : 'ipv4');

  /**
   * The connection's other end; behind trusted proxies the last address of X-Forwarded-For that is none of them. What
   * stands before it is what its sender says, and anybody can say anything.
   */
  const addressOf = ({ socket, headers }: IncomingMessage): string => {
    let address = plainAddress(socket.remoteAddress ?? '');
    const forwarded = headers['x-forwarded-for'];
    if (forwarded === undefined || !isTrusted(address)) return address;
    for (const entry of String(forwarded).split(',').reverse()) {
      const next = plainAddress(entry.trim());
      if (isIP(next) === 0) break;
      address = next;
      if (!isTrusted(address)) break;
    }
    return address;
  };

  const isProxy = ({ socket }: Pick<IncomingMessage, 'socket'>): boolean =>
    isTrusted(plainAddress(socket.remoteAddress ?? ''));

  return {
    addressOf,
    /** Whether the connection is a trusted proxy's. */
    isProxy,
    /**
     * What limits count by: the IPv4 address, or the /64 network of an IPv6 address, all of which one client may use.
     * Undefined for a trusted proxy that names nobody: it is the shop's own server, whose share is not limited.
     */
    keyOf: (req: IncomingMessage): string | undefined => {
      const names = req.headers['x-forwarded-for'] !== undefined;
      return !names && isProxy(req) ? undefined : networkOf(addressOf(req));
    },
  };
}

/** Without a port, a zone, brackets, or the form of IPv6 in which a dual-stack socket shows IPv4. */
function plainAddress(text: string): string {
  const [, bracketed] = /^\[([^\]]*)\](?::\d+)?$/.exec(text) ?? [];
  const [, beforePort] = /^([\d.]+):\d+$/.exec(text) ?? [];
  const address = (bracketed ?? beforePort ?? text).replace(/%.*$/, '');
  return address.replace(/^::ffff:(?=[\d.]+$)/i, '');
}

/** The four groups of an IPv6 address that name its network, in one spelling. IPv4 as it is. */
export function networkOf(text = ''): string {
  const address = plainAddress(text);
  if (isIP(address) !== 6) return address;
  // `::` stands for as many zeros as make eight groups; a dotted end stands for two groups.
  const [head = '', tail = ''] = address.replace(/[\d.]+\.[\d.]+$/, '0:0').split('::');
  const groups = [head, tail].map((part) => (part === '' ? [] : part.split(':')));
  const zeros = Array<string>(8 - groups.flat().length).fill('0');
  const all = [...(groups[0] ?? []), ...zeros, ...(groups[1] ?? [])];
  const network = all.slice(0, 4).map((group) => parseInt(group, 16).toString(16));
  return `${network.join(':')}::/64`;
}
