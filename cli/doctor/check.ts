/**
 * `ok`; `note`: told, nothing to do; `warning`: works, but weaker than it should; `missing`: something needed is not there.
 */
export type CheckState = 'ok' | 'note' | 'warning' | 'missing';

/** One thing that was looked at. */
export interface Check {
  readonly topic: 'prerequisites of npm start' | 'ports of npm start' | 'running parts';
  readonly name: string;
  readonly state: CheckState;
  /** What was found, in a few words. */
  readonly detail: string;
  /** What to do about it; there for every miss and every warning. */
  readonly remedy?: string;
}

/** A check of one topic without having to name the topic. */
export type Finding = Omit<Check, 'topic'>;
