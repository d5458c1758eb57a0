/**
 * Why something that an operator has asked for is not done:
 * - `invalid`: it makes no sense as it was asked; `unknown-letter`: no letter has the id;
 * - `dealt-with`: somebody has replayed or discarded the letter already; `several-letters`: the id names more than one;
 * - `unavailable`: Kafka or Temporal gives no definite answer, and the same may be asked again.
 */
export type OperatorFaultKind =
  'invalid' | 'unknown-letter' | 'dealt-with' | 'several-letters' | 'unavailable';

/** Its message is a sentence for operators that names no flag and no field: each edge adds how to go on in its own words. */
export class OperatorFault extends Error {
  override readonly name = 'OperatorFault';
  readonly kind: OperatorFaultKind;

  constructor(kind: OperatorFaultKind, message: string, options?: ErrorOptions) {
    super(message, options);
    this.kind = kind;
  }
}
