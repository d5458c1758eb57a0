import { decide, type Hold } from '../../api/buy/decision';
import type { LedgerEntry } from '../../engine/orders/ledger';
import type { OrderId } from '../../engine/orders/order';
import type { Verdict } from '../../engine/stock/admission';

const ENTRY: LedgerEntry = {
  state: 'queued',
  units: 1,
  userId: 'u1',
  fingerprint: 'f',
  generation: 0,
  fence: 0,
  unresolvedCharges: [],
  priceMinor: 1000,
  currency: 'USD',
  acceptedAt: 1,
  timeline: [],
};
const HELD: Hold = {
  kind: 'held',
  orderId: 'a.0' as OrderId,
  acceptedAt: 1,
  priceMinor: 1000,
  currency: 'USD',
};
const MISMATCH: Hold = { kind: 'mismatch' };
const EXISTS: Hold = { kind: 'exists', entry: ENTRY };
const IN_PROGRESS: Hold = { kind: 'in-progress', retryAfterMs: 10 };
const REJECTIONS: Hold[] = [
  { kind: 'sold-out', final: true },
  { kind: 'sold-out', final: false },
  { kind: 'limit', unitsPerUser: 1, owned: 1, final: true },
  { kind: 'closed', when: 'not-open', opensAt: 1 },
  { kind: 'closed', when: 'over', closesAt: 1 },
  { kind: 'payment-named' },
  { kind: 'unknown-item' },
  { kind: 'no-ledger', why: 'lost' },
  { kind: 'no-ledger', why: 'unreachable' },
];
const EVERY_HOLD = [HELD, MISMATCH, EXISTS, IN_PROGRESS, ...REJECTIONS];
const OWN_CLAIMS: Verdict['claim'][] = ['new', 'same'];

describe('the admission table', () => {
  test.each(EVERY_HOLD)(
    "calls the id reused under another's claim, whatever the hold: %j",
    (hold) => {
      expect(decide('other', hold)).toEqual({
        kind: 'reject',
        rejection: { kind: 'request-id-reused' },
        undoHold: hold.kind === 'held',
        dropClaim: false,
        mayBeInTheLog: false,
      });
    },
  );

  test.each(OWN_CLAIMS)('accepts what is held under a claim that is %s', (claim) => {
    expect(decide(claim, HELD)).toEqual({ kind: 'accept', hold: HELD });
  });

  test.each(OWN_CLAIMS)('calls the id reused on a mismatch under a claim that is %s', (claim) => {
    expect(decide(claim, MISMATCH)).toEqual({
      kind: 'reject',
      rejection: { kind: 'request-id-reused' },
      undoHold: false,
      dropClaim: claim === 'new',
      mayBeInTheLog: false,
    });
  });

  test.each(OWN_CLAIMS)('keeps a claim that is %s while its order or attempt lives', (claim) => {
    for (const hold of [EXISTS, IN_PROGRESS]) {
      expect(decide(claim, hold)).toEqual({
        kind: 'reject',
        rejection: hold,
        undoHold: false,
        dropClaim: false,
        mayBeInTheLog: false,
      });
    }
  });

  test.each(REJECTIONS)('drops a claim of its own, and no other, with %j', (hold) => {
    const rejected = { kind: 'reject', rejection: hold, undoHold: false };
    const fresh = { dropClaim: true, mayBeInTheLog: false };
    expect(decide('new', hold)).toEqual({ ...rejected, ...fresh });
    const again = { dropClaim: false, mayBeInTheLog: hold.kind !== 'unknown-item' };
    expect(decide('same', hold)).toEqual({ ...rejected, ...again });
  });
});
