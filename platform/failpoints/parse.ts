import { ACTIONS, canDrop, PROCESS_NAMES, pointsOf, type Action, type Point } from './points';

/** At its `hit`-th passing, counted from the start of the process, the point acts; before and after that it does not. */
export interface Failpoint {
  readonly point: Point;
  readonly action: Action;
  readonly hit: number;
}

/**
 * Reads what FAILPOINTS holds: `<point>=<action>@<hit>`, comma-separated; without `@<hit>` the first. Points of any
 * process pass, for the processes of a stack share their environment. Each problem completes the sentence
 * "FAILPOINTS …".
 */
export function parseFailpoints(text: string): {
  readonly failpoints: readonly Failpoint[];
  readonly problems: readonly string[];
} {
  const failpoints: Failpoint[] = [];
  const problems: string[] = [];
  for (const part of text.split(',').map((one) => one.trim())) {
    if (part === '') continue;
    const parsed = parseOne(part);
    if (typeof parsed === 'string') problems.push(parsed);
    else failpoints.push(parsed);
  }
  return { failpoints, problems };
}

const FORM = /^([^=@]*)=([^=@]*)(?:@(\d{1,9}))?$/;

function parseOne(text: string): Failpoint | string {
  const [, pointText, actionText, hitText = '1'] = FORM.exec(text) ?? [];
  if (pointText === undefined) return `must be <point>=<action>@<hit>, not "${text}"`;
  const known = PROCESS_NAMES.flatMap(pointsOf);
  const point = known.find((one) => one === pointText);
  if (!point) return `knows no point "${pointText}"; there are ${known.join(', ')}`;
  const action = ACTIONS.find((one) => one === actionText);
  if (!action) return `must do one of ${ACTIONS.join(', ')} at ${point}, not "${actionText ?? ''}"`;
  if (action === 'drop' && !canDrop(point)) return `has no answer to drop at ${point}`;
  const hit = Number(hitText);
  if (hit < 1) return `counts the hits of ${point} from 1`;
  return { point, action, hit };
}
