import { admissionContract, CONTRACT_LEASE_MS } from '../contract/admission.contract';
import { createFakeStock } from '../support/fake-stock';

const stock = createFakeStock({ leaseMs: CONTRACT_LEASE_MS });

admissionContract('The stock in memory', () => stock);
