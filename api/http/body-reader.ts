import { isUtf8 } from 'node:buffer';
import type { IncomingHttpHeaders, IncomingMessage } from 'node:http';
import type { ReportPressure } from './errors';
import { BODY_BYTES_MAX, createDeadlines } from './limits';
import { problem } from './problems';
import type { HttpResponse } from './response';

/** From the headers to the last byte. An order fits into one packet; a slow phone line needs a second or two. */
const BODY_DEADLINE_MS = 5_000;

/**
 * Bodies that may be arriving at once: 64 MB at most. Those of buyers come with their headers, so only slow ones are many;
 * the one that began first then makes room.
 */
const BODIES_MAX = 4_000;

/** A piece can be one byte and takes some hundred: so many are put together. */
const PIECES_MAX = 64;

/** The text of a body, empty when there is none; or the problem with it; or undefined when the client has left. */
export type Body = string | HttpResponse | undefined;

export type ReadBody = (req: IncomingMessage) => Promise<Body>;

/** Reads a JSON body of at most `bytesMax` within `deadlineMs`. Never rejects. */
export function createBodyReader(
  report: ReportPressure,
  deadlineMs = BODY_DEADLINE_MS,
  bodiesMax = BODIES_MAX,
  bytesMax = BODY_BYTES_MAX,
): ReadBody {
  const deadlines = createDeadlines(deadlineMs, {
    openMax: bodiesMax,
    onFull: () => {
      report('a slow body was given up to make room', undefined);
    },
  });

  return (req) => {
    const { headers } = req;
    if (announcesNothing(headers)) return Promise.resolve('');
    const detail = mediaTypeError(headers);
    if (detail !== undefined) return Promise.resolve(problem('unsupported-media-type', { detail }));
    if (Number(headers['content-length'] ?? 0) > bytesMax) {
      return Promise.resolve(problem('too-large'));
    }
    return collect(req, deadlines, bytesMax);
  };
}

function collect(
  req: IncomingMessage,
  deadlines: ReturnType<typeof createDeadlines>,
  bytesMax: number,
) {
  return new Promise<Body>((resolve) => {
    let chunks: Buffer[] = [];
    let length = 0;
    let finished = false;
    const finish = (body: Body) => {
      if (finished) return;
      finished = true;
      cancelDeadline();
      resolve(body);
    };
    const onData = (chunk: Buffer) => {
      // Ignoring the rest is cheaper than removing this listener. `writeResponse` reads past it with its own.
      if (finished) return;
      length += chunk.length;
      if (length <= bytesMax) {
        chunks.push(chunk);
        if (chunks.length === PIECES_MAX) chunks = [Buffer.concat(chunks)];
        return;
      }
      req.pause();
      finish(problem('too-large'));
    };
    const onEnd = () => {
      finish(toText(chunks.length === 1 && chunks[0] ? chunks[0] : Buffer.concat(chunks)));
    };
    const onClose = () => {
      finish(undefined);
    };
    const cancelDeadline = deadlines.start(() => {
      finish(problem('request-timeout'));
    });
    // A broken connection also emits `close`, which handles it. Without an error listener the process would crash.
    req.on('data', onData).on('end', onEnd).on('close', onClose).on('error', ignore);
  });
}

function toText(bytes: Buffer): Body {
  if (isUtf8(bytes)) return bytes.toString('utf8');
  return problem('invalid-request', {
    members: { errors: [{ path: '', message: 'must be UTF-8' }] },
  });
}

const ignore = () => undefined;

/** Whether the headers announce no body. */
export function announcesNothing(headers: IncomingHttpHeaders): boolean {
  if (headers['transfer-encoding'] !== undefined) return false;
  return headers['content-length'] === undefined || headers['content-length'] === '0';
}

/** What is wrong with the headers that describe the body, in words; undefined when nothing is. */
function mediaTypeError(headers: IncomingHttpHeaders): string | undefined {
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

/** Matches only a charset parameter; other parameters say nothing about the bytes. */
const CHARSET = /^\s*charset\s*=\s*"?([^"]*?)"?\s*$/;
