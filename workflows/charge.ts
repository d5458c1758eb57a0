import { isCancellation, TemporalFailure } from '@temporalio/workflow';
import { totalMinor } from '../engine/orders/order';
import type { OrderInput } from '../engine/orders/contract';
import { chargeAtOnce, chargePayment } from './steps';
import { rootMessage, type Story } from './story';

interface Charge extends Pick<OrderInput, 'order' | 'firstCharge'> {
  readonly generation: number;
  /** The generation was open before this run, or this attempt at its first task, came to it. */
  readonly again: boolean;
  readonly story: Story;
}

/**
 * Takes the money of one generation. Where the input asks for it, a quick attempt comes first, within the workflow task.
 * It is made at most once in the life of a generation, by the run that has opened it, and only its definite answer counts:
 * a lost task, a reset or a lost answer leaves a doubt, and every doubt is for the regular activity, which looks the
 * charge up before it sends it again.
 */
export async function charge(asked: Charge): Promise<ChargeAnswer> {
  const { order, generation, firstCharge, again, story } = asked;
  const summary = `charge ${String(totalMinor(order))} ${order.currency} (minor units), generation ${String(generation)}`;
  const regular = (inDoubt: boolean) =>
    chargePayment.executeWithOptions({ summary }, [{ order, generation, inDoubt }]);

  if (firstCharge !== 'local' || again) return regular(again);
  try {
    return await chargeAtOnce.executeWithOptions({ summary }, [
      { order, generation, inDoubt: false },
    ]);
  } catch (error) {
    if (!(error instanceof TemporalFailure) || isCancellation(error)) throw error;
    story(`the charge at once had no answer: ${rootMessage(error)}`);
    return regular(true);
  }
}

type ChargeAnswer = Awaited<ReturnType<typeof chargePayment>>;
