import type { HoldResult } from '../../../engine/orders/ledger';
import type { LedgerOpener, LedgerStanding } from '../../../engine/stock/registry/ledger-opener';
import type { Attempt, Verdict } from '../../../engine/stock/admission';
import type { FaultLog } from '../../errors/error-log';

/** A verdict on an item whose ledger is open, or the reason why it is not. */
export interface OpenedVerdict {
  readonly claim: Verdict['claim'];
  readonly hold:
    | Exclude<HoldResult, { readonly kind: 'unopened' }>
    | { readonly kind: 'no-ledger'; readonly why: 'lost' | 'unreachable' };
}

export interface AdmitOpenedDeps {
  readonly claimAndHold: (attempt: Attempt) => Promise<Verdict | Error>;
  readonly ledgers: LedgerOpener;
  readonly faults: FaultLog;
}

/**
 * Claims and holds; where the item's ledger is not open, opens it and asks again. That happens once in an item's life, so
 * all other purchases pay nothing for it. Never rejects; an Error means that nothing is known.
 */
export function createAdmitOpened({ claimAndHold, ledgers, faults }: AdmitOpenedDeps) {
  const resolve = async (item: Parameters<LedgerOpener['resolve']>[0]) => {
    try {
      return await ledgers.resolve(item);
    } catch (error) {
      faults.report('an item was not opened', error, { itemId: item.itemId });
      return 'unreachable';
    }
  };

  return async (attempt: Attempt): Promise<OpenedVerdict | Error> => {
    const first = await claimAndHold(attempt);
    if (first instanceof Error || first.hold.kind !== 'unopened') return first as OpenedVerdict;
    const { itemId } = attempt;
    const standing = await resolve({ itemId, known: first.hold.known });
    if (standing !== 'opened') {
      if (standing === 'lost') faults.report('the ledger is lost', undefined, { itemId });
      return { claim: first.claim, hold: withoutLedger(standing) };
    }
    const second = await claimAndHold(attempt);
    if (second instanceof Error) return second;
    // The claim is the first attempt's: the second has found it as its own, and a rejection must still drop it.
    if (second.hold.kind !== 'unopened') return { claim: first.claim, hold: second.hold };
    return { claim: first.claim, hold: withoutLedger('unreachable') };
  };
}

function withoutLedger(
  standing: Exclude<LedgerStanding, 'opened'> | 'unreachable',
): OpenedVerdict['hold'] {
  return standing === 'unknown' ? { kind: 'unknown-item' } : { kind: 'no-ledger', why: standing };
}
