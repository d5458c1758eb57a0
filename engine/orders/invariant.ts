/** Checks what the code guarantees. A failure is a bug, and nothing catches it. */
export function invariant(condition: boolean, message: string): asserts condition {
  if (!condition) throw new Error(`Invariant broken: ${message}`);
}

/** Makes a switch exhaustive for the compiler, and throws for a value that its type does not allow. */
export function assertNever(value: never): never {
  throw new Error(`Unexpected value: ${JSON.stringify(value)}`);
}
