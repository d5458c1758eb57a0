import { UserError } from '../../platform/user-error';

/** Who replays or discards, and why. It is recorded with the letter and with the new run. */
export interface Operator {
  readonly by: string;
  readonly why: string;
}

/** The reason goes into a record's headers and a workflow's memo, and is shown in tables. */
export const WHY_LENGTH_MAX = 500;

/**
 * Why a request of an operator is not carried out:
 * - `invalid`: the request contradicts itself;
 * - `unknown-letter`: no letter has the id;
 * - `dealt-with`: the letter was replayed or discarded before;
 * - `several-letters`: the id matches more than one open letter;
 * - `unrecorded`: what operators do must be recorded first, and Kafka has not acknowledged that; nothing was done;
 * - `unavailable`: Kafka, Temporal or Redis gives no definite answer; the request may be repeated.
 */
export type OperatorErrorKind =
  'invalid' | 'unknown-letter' | 'dealt-with' | 'several-letters' | 'unrecorded' | 'unavailable';

/** Its message names no flag and no field: the command line and the gateway add how to go on. */
export class OperatorError extends UserError {
  override readonly name = 'OperatorError';
  readonly kind: OperatorErrorKind;

  constructor(kind: OperatorErrorKind, message: string, options?: { readonly cause: unknown }) {
    super(message, options);
    this.kind = kind;
  }
}

/** For `promise.catch`: throws an `unavailable` OperatorError with the error as its cause. */
export function unavailable(message: string): (cause: unknown) => never {
  return (cause) => {
    throw new OperatorError('unavailable', message, { cause });
  };
}

const ISO = /^(\d{4}-\d{2}-\d{2})(T\d{2}:\d{2}(:\d{2}(\.\d{1,3})?)?(Z|[+-]\d{2}:\d{2})?)?$/;
const AGO = /^(\d{1,6})([smhd])$/;
const UNIT_MS = { s: 1_000, m: 60_000, h: 3_600_000, d: 86_400_000 } as const;

/**
 * Parses a time that an operator typed, to milliseconds since the epoch: 2026-11-24, 2026-11-24T10:00 (UTC unless it has
 * an offset), or 90s, 30m, 2h, 7d before `now`. Returns undefined for anything else, also for a day that does not exist.
 */
export function parseMoment(text: string, now: number): number | undefined {
  const [, count, unit] = AGO.exec(text) ?? [];
  if (count !== undefined) return now - Number(count) * UNIT_MS[unit as keyof typeof UNIT_MS];
  const [, day, time = 'T00:00', , , zone = ''] = ISO.exec(text) ?? [];
  if (day === undefined || !isCalendarDay(day)) return undefined;
  const at = Date.parse(`${day}${time}${zone === '' ? 'Z' : ''}`);
  return Number.isNaN(at) ? undefined : at;
}

/** Date.parse turns 31 February into a day of March. */
function isCalendarDay(day: string): boolean {
  const at = Date.parse(`${day}T00:00Z`);
  return !Number.isNaN(at) && new Date(at).toISOString().startsWith(day);
}
