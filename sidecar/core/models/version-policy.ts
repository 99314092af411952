/** Which versions of a model are served (Triton's `version_policy`). */
export type VersionPolicy =
  | { readonly kind: 'all' }
  /** The highest `count`. */
  | { readonly kind: 'latest'; readonly count: number }
  /** These, as far as they are there. */
  | { readonly kind: 'specific'; readonly versions: readonly string[] };

export const LATEST: VersionPolicy = { kind: 'latest', count: 1 };

/** The versions that are served of those that are there, the highest first. */
export function servedVersions(available: readonly string[], policy: VersionPolicy): readonly string[] {
  const ordered = [...available].sort((a, b) => compareVersions(b, a));
  if (policy.kind === 'all') return ordered;
  if (policy.kind === 'latest') return ordered.slice(0, policy.count);
  return ordered.filter((version) => policy.versions.includes(version));
}

/** Versions are whole numbers without leading zeros, of any length; no version (`''`) comes before all others. */
export function compareVersions(a: string, b: string): number {
  if (a.length !== b.length) return a.length - b.length;
  return a === b ? 0 : a < b ? -1 : 1;
}
