import type { DeadLetterActivities, PaymentActivities, StockActivities } from '../../activities';

type Activities = StockActivities & PaymentActivities & DeadLetterActivities;
export type Step = keyof Activities;
type When = 'before' | 'after';
export type Hook = () => Promise<unknown> | undefined;

/** What every step of the saga says about whose it is. */
type Input = { requestId: string } | { order: { requestId: string } } | { input: Input };

/** Lets a test stand in the way of one step of one order: to hold it up, to fail it, to do something beside it. */
export function createStepHooks() {
  const hooks = new Map<string, Hook[]>();
  const keyOf = (requestId: string, when: When, step: string) => `${requestId} ${when} ${step}`;
  const run = async (input: Input, when: When, step: string) => {
    // Once: what comes after it, a retry or a later run, meets the next hook or goes its way.
    await hooks.get(keyOf(requestIdOf(input), when, step))?.shift()?.();
  };
  return {
    on: (order: { requestId: string }, when: When, step: Step, ...next: Hook[]) => {
      const key = keyOf(order.requestId, when, step);
      hooks.set(key, [...(hooks.get(key) ?? []), ...next]);
    },
    around: (activities: Activities) =>
      Object.fromEntries(
        Object.entries(activities).map(([step, act]) => [
          step,
          async (input: Input) => {
            await run(input, 'before', step);
            const answer = await (act as (input: Input) => Promise<unknown>)(input);
            await run(input, 'after', step);
            return answer;
          },
        ]),
      ),
  };
}

function requestIdOf(input: Input): string {
  if ('requestId' in input) return input.requestId;
  return 'order' in input ? input.order.requestId : requestIdOf(input.input);
}
