import { isUtf8 } from 'node:buffer';
import type { IncomingHttpHeaders, IncomingMessage } from 'node:http';
import { createDeadlines } from './deadlines';

/** 16 KiB: thirty times the longest valid order, small enough to keep in memory for every connection at once. */
export const BODY_BYTES_MAX = 16 * 1024;

/** From the headers to the last byte. An order fits into one packet; a slow phone line needs a second or two. */
const BODY_DEADLINE_MS = 5_000;

export type BodyRead =
  | { readonly kind: 'text'; readonly text: string }
  | { readonly kind: 'empty' }
  | { readonly kind: 'not-utf8' }
  | { readonly kind: 'wrong-media-type'; readonly detail: string }
  | { readonly kind: 'too-large' }
  | { readonly kind: 'stalled' }
  /** The client has left; nobody waits for an answer. */
  | { readonly kind: 'gone' };

/** Reads the text of a JSON body of at most BODY_BYTES_MAX within `deadlineMs`. Never throws. */
export function createBodyReader(deadlineMs = BODY_DEADLINE_MS) {
  const deadlines = createDeadlines(deadlineMs);

  return (request: IncomingMessage): Promise<BodyRead> => {
    const { headers } = request;
    if (announcesNothing(headers)) return Promise.resolve({ kind: 'empty' });
    const detail = mediaTypeFault(headers);
    if (detail !== undefined) return Promise.resolve({ kind: 'wrong-media-type', detail });
    if (Number(headers['content-length'] ?? 0) > BODY_BYTES_MAX) {
      return Promise.resolve({ kind: 'too-large' });
    }
    return collect(request, deadlines.start);
  };
}

function collect(
  request: IncomingMessage,
  startDeadline: (expire: () => void) => () => void,
): Promise<BodyRead> {
  return new Promise((resolve) => {
    const chunks: Buffer[] = [];
    let length = 0;
    let settled = false;
    const settle = (body: BodyRead) => {
      if (settled) return;
      settled = true;
      cancelDeadline();
      resolve(body);
    };
    const onData = (chunk: Buffer) => {
      // Not taken off the request, which is cheaper: whoever reads on past a settled body has a listener of his own.
      if (settled) return;
      length += chunk.length;
      if (length <= BODY_BYTES_MAX) {
        chunks.push(chunk);
        return;
      }
      request.pause();
      settle({ kind: 'too-large' });
    };
    const onEnd = () => {
      settle(toText(chunks.length === 1 && chunks[0] ? chunks[0] : Buffer.concat(chunks)));
    };
    const onClose = () => {
      settle({ kind: 'gone' });
    };
    const cancelDeadline = startDeadline(() => {
      settle({ kind: 'stalled' });
    });
    // A broken connection also emits `close`, which is where it is handled; without a listener it would be a crash.
    request.on('data', onData).on('end', onEnd).on('close', onClose).on('error', ignore);
  });
}

function toText(bytes: Buffer): BodyRead {
  if (bytes.length === 0) return { kind: 'empty' };
  if (!isUtf8(bytes)) return { kind: 'not-utf8' };
  return { kind: 'text', text: bytes.toString('utf8') };
}

const ignore = () => undefined;

/** Whether the headers promise no body. */
export function announcesNothing(headers: IncomingHttpHeaders): boolean {
  if (headers['transfer-encoding'] !== undefined) return false;
  return headers['content-length'] === undefined || headers['content-length'] === '0';
}

/** What is wrong with the headers that describe the body, in words; undefined when nothing is. */
function mediaTypeFault(headers: IncomingHttpHeaders): string | undefined {
  const type = headers['content-type'];
  if (type === undefined) return 'The content-type header is missing; send application/json.';
  const encoding = headers['content-encoding'];
  if (encoding !== undefined && encoding.toLowerCase() !== 'identity') {
    return 'A compressed body is not accepted.';
  }
  if (type === 'application/json') return undefined;

  const [essence = '', ...parameters] = type.toLowerCase().split(';');
  if (essence.trim() !== 'application/json') return 'The content-type must be application/json.';
  const charsets = parameters.map((parameter) => CHARSET.exec(parameter)?.[1]);
  if (charsets.some((charset) => charset !== undefined && !/^utf-?8$/.test(charset))) {
    return 'The charset must be utf-8.';
  }
  return undefined;
}

/** Only what reads as a charset parameter; other parameters say nothing about the bytes. */
const CHARSET = /^\s*charset\s*=\s*"?([^"]*?)"?\s*$/;
