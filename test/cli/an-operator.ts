import type { Operator } from '../../cli/context';
import type { Action, Outcome } from '../../engine/operators/action-log';

/** An action and what came of it. */
export type Acted = Action & Outcome;

/** An operator named ann, whose actions go into `actions`. Unlike the real record, it fails never and keeps no intent. */
export function anOperator(actions: Acted[]): Operator {
  return {
    by: 'ann',
    record: async (action, act, describe) => {
      const result = await act();
      actions.push({ ...action, ...describe(result) });
      return result;
    },
    recordLate: (action, outcome) => {
      actions.push({ ...action, ...outcome });
      return Promise.resolve(true);
    },
  };
}
