import { admissionContract } from '../contract/admission.contract';
import { CONTRACT_LEASE_MS } from '../contract/admission-item';
import { cancelContract, type WorkedOn } from '../contract/cancel.contract';
import type { LedgerEntry } from '../../engine/orders/ledger';
import type { Attempt } from '../../engine/stock/admission';
import { createFakeStock } from '../support/fake-stock';

const stock = createFakeStock({ leaseMs: CONTRACT_LEASE_MS });

admissionContract('The stock in memory', () => stock);

const CHANGES = {
  reserved: { state: 'reserved', generation: 1 },
  sold: { state: 'sold', generation: 1, paymentId: 'p' },
  failed: { state: 'released', reason: 'payment-declined' },
  'cancelled-by-operator': { state: 'released', reason: 'cancelled' },
} as const satisfies Record<WorkedOn, Partial<LedgerEntry>>;

cancelContract('The stock in memory', () => ({
  ...stock,
  bring: ({ requestId }: Attempt, to) => {
    stock.force(requestId, CHANGES[to]);
    return Promise.resolve();
  },
}));
