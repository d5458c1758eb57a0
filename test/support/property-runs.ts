/** How often a property is tried, `usually` so often, and from where: FC_RUNS and FC_SEED deepen or repeat a run. */
export function propertyRuns(usually: number): { readonly numRuns: number; readonly seed: number } {
  return {
    numRuns: Number(process.env['FC_RUNS'] ?? usually),
    seed: Number(process.env['FC_SEED'] ?? Date.now() % 2_147_483_647),
  };
}
