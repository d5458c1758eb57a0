import type { Mutant } from '../mutant';
import { DOOR_MUTANTS } from './door';
import { LEDGER_MUTANTS } from './ledger';
import { LOG_MUTANTS } from './log';
import { SAGA_MUTANTS } from './saga';

/** Every mutant, along the way of an order. */
export const MUTANTS: readonly Mutant[] = [
  ...DOOR_MUTANTS,
  ...LOG_MUTANTS,
  ...LEDGER_MUTANTS,
  ...SAGA_MUTANTS,
];
