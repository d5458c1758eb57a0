/**
 * A fault that the person at the terminal can mend: a taken port, a missing program. Its message is one plain
 * sentence with the remedy and is shown as it is, without a stack.
 */
export class PlainFault extends Error {
  override readonly name = 'PlainFault';
}
