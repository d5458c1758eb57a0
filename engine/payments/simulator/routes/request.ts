import type { IncomingMessage } from 'node:http';
import type { Static, TSchema } from '@sinclair/typebox';
import { TypeCompiler } from '@sinclair/typebox/compiler';
import { ValueErrorType, type ValueError } from '@sinclair/typebox/errors';

/** A charge is some hundred bytes and a list of rules some thousand. */
const BODY_BYTES_MAX = 65_536;

/** A request that cannot be carried out; the response has this status, and the message as its detail. */
export class InvalidRequestError extends Error {
  readonly status: number;

  constructor(detail: string, status = 400) {
    super(detail);
    this.status = status;
  }
}

/** Reads the body as JSON. Throws an InvalidRequestError: 413 when it is too large, 400 when it is not JSON. */
export async function readJson(request: IncomingMessage): Promise<unknown> {
  const text = await readText(request);
  try {
    return JSON.parse(text);
  } catch (error) {
    throw new InvalidRequestError(`The body is not JSON: ${String(error)}`);
  }
}

/** Whether the request is a form of a page. */
export function isForm({ headers }: IncomingMessage): boolean {
  return headers['content-type']?.startsWith('application/x-www-form-urlencoded') ?? false;
}

/** Reads the fields of a form. Throws as above. */
export async function readForm(request: IncomingMessage): Promise<Record<string, string>> {
  return Object.fromEntries(new URLSearchParams(await readText(request)));
}

async function readText(request: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = [];
  let bytes = 0;
  for await (const chunk of request as AsyncIterable<Buffer>) {
    bytes += chunk.length;
    if (bytes > BODY_BYTES_MAX) {
      throw new InvalidRequestError(`The body is larger than ${BODY_BYTES_MAX} bytes.`, 413);
    }
    chunks.push(chunk);
  }
  return Buffer.concat(chunks).toString('utf8');
}

/** Makes a parser that throws an InvalidRequestError with the description of the first field that is wrong. */
export function createParser<T extends TSchema>(schema: T): (value: unknown) => Static<T> {
  const compiled = TypeCompiler.Compile(schema);
  return (value) => {
    if (compiled.Check(value)) return value;
    const error = compiled.Errors(value).First();
    throw new InvalidRequestError(error ? describe(error) : 'The body is invalid.');
  };
}

function describe({ type, path, schema, message }: ValueError): string {
  if (type === ValueErrorType.ObjectAdditionalProperties) {
    return `unknown field "${path.slice(path.lastIndexOf('/') + 1)}"`;
  }
  return schema.description ?? `${path}: ${message}`;
}
