/** Who replays or discards, and why: it is recorded with the letter and with the new run. */
export interface Operator {
  readonly by: string;
  readonly why: string;
}

/** It goes into a record's headers and a workflow's memo, and is read in tables. */
export const WHY_LENGTH_MAX = 500;
