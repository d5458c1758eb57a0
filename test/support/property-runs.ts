/** The number of runs of a property test and its seed. FC_RUNS and FC_SEED override them. */
export function propertyRuns(usually: number): { readonly numRuns: number; readonly seed: number } {
  return {
    numRuns: Number(process.env['FC_RUNS'] ?? usually),
    seed: Number(process.env['FC_SEED'] ?? Date.now() % 2_147_483_647),
  };
}
