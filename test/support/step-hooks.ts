import type { OrderActivities } from '../../activities/order-activities';

export type Step = keyof OrderActivities;
type When = 'before' | 'after';
/** `result`: of the step, for a hook after it, which may change what the workflow gets. */
export type Hook = (result?: object) => Promise<unknown> | undefined;

/** The part of every step's input that names its order. */
type Input = { requestId: string } | { order: { requestId: string } } | { input: Input };

/** Hooks by which a test delays or fails a step of an order, or does something meanwhile. */
export function createStepHooks() {
  const hooks = new Map<string, Hook[]>();
  const keyOf = (requestId: string, when: When, step: string) => `${requestId} ${when} ${step}`;
  const run = async (input: Input, when: When, step: string, result?: object) => {
    // A hook runs once. A retry or a later run gets the next hook, or none.
    await hooks.get(keyOf(requestIdOf(input), when, step))?.shift()?.(result);
  };
  return {
    on: (order: { requestId: string }, when: When, step: Step, ...next: Hook[]) => {
      const key = keyOf(order.requestId, when, step);
      hooks.set(key, [...(hooks.get(key) ?? []), ...next]);
    },
    around: (activities: OrderActivities) =>
      Object.fromEntries(
        Object.entries(activities).map(([step, act]) => [
          step,
          async (input: Input) => {
            await run(input, 'before', step);
            const result = await (act as (input: Input) => Promise<object | undefined>)(input);
            await run(input, 'after', step, result);
            return result;
          },
        ]),
      ) as unknown as OrderActivities,
  };
}

function requestIdOf(input: Input): string {
  if ('requestId' in input) return input.requestId;
  return 'order' in input ? input.order.requestId : requestIdOf(input.input);
}
