/** The least that Temporal can do for an order. A file of its own: Temporal bundles it for the workflow sandbox. */
export async function emptyWorkflow(): Promise<void> {
  // Nothing: what this costs is the server's price for having a workflow at all.
}
