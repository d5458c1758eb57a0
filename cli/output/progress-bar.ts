const WIDTH = 24;

/** How much is done, as a bar of characters that every terminal has. */
export function progressBar(done: number, total: number): string {
  const filled = total === 0 ? WIDTH : Math.round((WIDTH * done) / total);
  return `[${'#'.repeat(filled)}${'-'.repeat(WIDTH - filled)}]`;
}
