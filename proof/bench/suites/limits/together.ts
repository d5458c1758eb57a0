/** Sums what bears the same name before the colon. */
export function together(figures: readonly (readonly [string, number])[]): Map<string, number> {
  const sums = new Map<string, number>();
  for (const [name, value] of figures) {
    const [part = name] = name.split(':');
    sums.set(part, (sums.get(part) ?? 0) + value);
  }
  return sums;
}
