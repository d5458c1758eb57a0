const ISO = /^(\d{4}-\d{2}-\d{2})(T\d{2}:\d{2}(:\d{2}(\.\d{1,3})?)?(Z|[+-]\d{2}:\d{2})?)?$/;
const AGO = /^(\d{1,6})([smhd])$/;
const MS = { s: 1_000, m: 60_000, h: 3_600_000, d: 86_400_000 } as const;

/**
 * A moment as people write it, in milliseconds since the epoch: 2026-11-24, 2026-11-24T10:00 (UTC unless it says
 * otherwise), or 90s, 30m, 2h, 7d before `now`. Undefined for anything else, such as the 31st of a month that has none.
 */
export function parseMoment(text: string, now: number): number | undefined {
  const [, count, unit] = AGO.exec(text) ?? [];
  if (count !== undefined) return now - Number(count) * MS[unit as keyof typeof MS];
  const [, day, time = 'T00:00', , , zone = ''] = ISO.exec(text) ?? [];
  // Date moves the 31st of February into March without a word.
  if (day === undefined || !isOfTheCalendar(day)) return undefined;
  const at = Date.parse(`${day}${time}${zone === '' ? 'Z' : ''}`);
  return Number.isNaN(at) ? undefined : at;
}

function isOfTheCalendar(day: string): boolean {
  const at = Date.parse(`${day}T00:00Z`);
  return !Number.isNaN(at) && new Date(at).toISOString().startsWith(day);
}
