/**
 * The system's code of a fault, such as ENOENT; undefined where it has none. Asks for no class: errors of the system
 * that reach a test file are of another `Error` than the one that the file knows.
 */
export function errorCode(error: unknown): unknown {
  return typeof error === 'object' && error !== null && 'code' in error ? error.code : undefined;
}
