/** What is wrong with an image reference: it must name one version, and not musl for what is ours. */
export function imageFaults(where: string, image: string | undefined): string[] {
  if (image === undefined) return [`${where} names no image`];
  const [, tag] = /:([^:/]+)$/.exec(image) ?? [];
  if (tag === undefined) return [`${where}: ${image} has no tag`];
  // PostgreSQL's versions have two parts.
  const version = /^postgres:/.test(image) ? /^\d+\.\d+/ : /\d+\.\d+\.\d+/;
  const isPinned = version.test(tag);
  return isPinned ? [] : [`${where}: ${image} is not pinned to a version`];
}
