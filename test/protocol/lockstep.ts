import { isDeepStrictEqual } from 'node:util';
import type { OrderEnd } from './model-archive';
import type { ProtocolLedger } from './model-ledger';

/**
 * Makes every call on two ledgers and requires equal results and equal states, so that what the walks prove of the model
 * holds for the scripts.
 */
export function inLockstep(model: ProtocolLedger, real: ProtocolLedger): ProtocolLedger {
  async function both<T>(what: string, ask: (ledger: ProtocolLedger) => Promise<T>): Promise<T> {
    const [expected, actual] = [await ask(model), await ask(real)];
    const [modelState, realState] = [await model.look(), await real.look()];
    const [told, seen] = [comparable(expected), comparable(actual)];
    if (!isDeepStrictEqual(seen, told)) throw new Error(difference(`${what} answered`, seen, told));
    const [left, should] = [comparable(realState), comparable(modelState)];
    if (!isDeepStrictEqual(left, should)) throw new Error(difference(`${what} left`, left, should));
    return actual;
  }
  /** The model's revision of each end: each ledger numbers them in its own way. */
  const revisions = new Map<string, number>();
  const nameOf = ({ orderId, revision }: OrderEnd) => `${orderId} ${String(revision)}`;
  const endFor = (ledger: ProtocolLedger, end: OrderEnd): OrderEnd =>
    ledger === real ? end : { ...end, revision: revisions.get(nameOf(end)) ?? 0 };
  return {
    hold: (order, token, at) => both(`hold ${order}`, (ledger) => ledger.hold(order, token, at)),
    undo: (order, token) => both(`undo ${order}`, (ledger) => ledger.undo(order, token)),
    reject: (order) => both(`reject ${order}`, (ledger) => ledger.reject(order)),
    queue: (order, orderId) => both(`queue ${order}`, (ledger) => ledger.queue(order, orderId)),
    reserve: (order, step) => both(`reserve ${order}`, (ledger) => ledger.reserve(order, step)),
    confirm: (order, step) => both(`confirm ${order}`, (ledger) => ledger.confirm(order, step)),
    release: (order, step) => both(`release ${order}`, (ledger) => ledger.release(order, step)),
    abandon: (order, orderId) =>
      both(`abandon ${order}`, (ledger) => ledger.abandon(order, orderId)),
    cancel: (order) => both(`cancel ${order}`, (ledger) => ledger.cancel(order)),
    isRefundable: (order, generation) =>
      both(`is refundable ${order}`, (ledger) => ledger.isRefundable(order, generation)),
    resolveCharge: (order, generation) =>
      both(`resolve charge ${order}`, (ledger) => ledger.resolveCharge(order, generation)),
    async endOf(order) {
      const end = await both(`end of ${order}`, (ledger) => ledger.endOf(order));
      if (end) revisions.set(nameOf(end), (await model.endOf(order))?.revision ?? 0);
      return end;
    },
    archivable: (order, end) =>
      both(`archivable ${order}`, (ledger) => ledger.archivable(order, endFor(ledger, end))),
    archive: (order, end) =>
      both(`archive ${order}`, (ledger) => ledger.archive(order, endFor(ledger, end))),
    lose: () => both('lose', (ledger) => ledger.lose()),
    rebuild: (entries, supply) => both('rebuild', (ledger) => ledger.rebuild(entries, supply)),
    endLease: (order) => both(`end lease ${order}`, (ledger) => ledger.endLease(order)),
    look: () => real.look(),
  };
}

/** Results show who holds a unit; the fields of a held entry may differ, and the numbers of revisions. */
function comparable(value: unknown): unknown {
  if (value === undefined) return undefined;
  return JSON.parse(JSON.stringify(value), (key, field: unknown) =>
    key === 'leased' || key === 'token' || key === 'revision' ? undefined : field,
  ) as unknown;
}

function difference(what: string, actual: unknown, expected: unknown): string {
  return `${what} ${JSON.stringify(actual)}, the model says ${JSON.stringify(expected)}`;
}
