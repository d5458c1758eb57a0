import type { IncomingMessage } from 'node:http';
import type { Static, TSchema } from '@sinclair/typebox';
import { TypeCompiler } from '@sinclair/typebox/compiler';
import { ValueErrorType, type ValueError } from '@sinclair/typebox/errors';
import { parseMoment } from '../../engine/dead-letters/operator';
import type { ReadBody } from '../http/body-reader';
import { invalid, Refusal, type FieldFault } from './refusal';

/** Makes a parser of the schema. It throws a Refusal that names every field at fault. */
export function createParser<T extends TSchema>(schema: T): (value: unknown) => Static<T> {
  const compiled = TypeCompiler.Compile(schema);
  return (value) => {
    if (compiled.Check(value)) return value;
    const faults = new Map<string, FieldFault>();
    for (const fault of compiled.Errors(value)) {
      if (!faults.has(fault.path)) {
        faults.set(fault.path, { path: fault.path, message: explain(fault) });
      }
      if (faults.size === FAULTS_MAX) break;
    }
    throw invalid(...faults.values());
  };
}

/** The first few say what kind of body it is. */
const FAULTS_MAX = 20;

function explain(fault: ValueError): string {
  if (fault.type === ValueErrorType.ObjectRequiredProperty) return 'is required';
  if (fault.type === ValueErrorType.ObjectAdditionalProperties) return 'is not a known field';
  return fault.schema.description ?? fault.message;
}

/** The JSON value of a request's body; undefined when the client has left. Throws a Refusal. */
export async function readJson(request: IncomingMessage, readBody: ReadBody): Promise<unknown> {
  const body = await readBody(request);
  if (body === undefined) return undefined;
  if (typeof body !== 'string') throw new Refusal(body);
  if (body === '') throw invalid({ path: '', message: 'must be a JSON object' });
  try {
    return JSON.parse(body) as unknown;
  } catch (error) {
    if (!(error instanceof SyntaxError)) throw error;
    throw invalid({ path: '', message: 'must be well-formed JSON' });
  }
}

/** The time in a field, in ms since the epoch; absent and null stay what they are. Throws a Refusal. */
export function readTime<Absent extends null | undefined>(
  text: string | Absent,
  path: string,
): number | Absent {
  if (typeof text !== 'string') return text;
  const at = parseMoment(text, Date.now());
  if (at !== undefined) return at;
  const message = 'must be a time such as 2026-11-24T10:00Z, or 90s, 30m, 2h, 7d ago';
  throw invalid({ path, message });
}
