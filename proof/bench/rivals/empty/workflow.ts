/** The least that Temporal can do for an order: a workflow that is over at once. */
export async function emptyWorkflow(): Promise<void> {
  // Nothing: what this costs is the server's price for having a workflow at all.
}
