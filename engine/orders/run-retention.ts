/** What Temporal's namespace says of the runs that have ended. */
export interface RunRetention {
  /** How long a run that ends now is kept. */
  readonly keptMs: number;
  /** The namespace's own fields, the note of `raiseRetention` among them. */
  readonly data: Readonly<Record<string, string>>;
}

const RAISED_AT = 'flash-sale-retention-raised-at';
const KEPT_BEFORE = 'flash-sale-retention-before';

/**
 * How far back every run is known. A run that ended before the retention was raised is deleted after the shorter one, so
 * today's retention alone says too much.
 */
export function runsKeptMs({ keptMs, data }: RunRetention, now: number): number {
  const { [RAISED_AT]: raisedAt, [KEPT_BEFORE]: before } = data;
  if (raisedAt === undefined || before === undefined) return keptMs;
  return Math.min(keptMs, Math.max(now - Number(raisedAt), Number(before)));
}

/** The fields to note in the namespace when its retention is raised. */
export function raiseRetention(retention: RunRetention, now: number): Record<string, string> {
  const before = runsKeptMs(retention, now);
  return { [RAISED_AT]: String(now), [KEPT_BEFORE]: String(before) };
}
