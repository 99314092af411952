/**
 * Which versions of a model are served, as text: the option `versions` of a mesh file, and OUTRIDER_MODEL_VERSIONS, by which a sidecar
 * tells it to a model process.
 */

/** As Triton's `version_policy`. */
export type VersionPolicy =
  | { readonly kind: 'all' }
  /** The highest `count`. */
  | { readonly kind: 'latest'; readonly count: number }
  /** These, as far as they are there. */
  | { readonly kind: 'specific'; readonly versions: readonly string[] };

const FORM = /^(?:(all)|latest(?: ([1-9]\d{0,3}))?|specific ([1-9]\d*(?:, ?[1-9]\d*)*))$/;

/** For the JSON Schema. */
export const VERSION_POLICY_PATTERN = FORM.source;

/** `all`, `latest N`, `latest` (1) or `specific V, V`; undefined for anything else. */
export function parseVersionPolicy(text: string): VersionPolicy | undefined {
  const found = FORM.exec(text);
  if (found === null) return undefined;
  const [, all, count = '1', versions] = found;
  if (all !== undefined) return { kind: 'all' };
  if (versions !== undefined) return { kind: 'specific', versions: versions.split(/, ?/) };
  return { kind: 'latest', count: Number(count) };
}

/** The text that `parseVersionPolicy` reads as this. */
export function versionPolicyText(policy: VersionPolicy): string {
  if (policy.kind === 'all') return 'all';
  return policy.kind === 'latest' ? `latest ${policy.count}` : `specific ${policy.versions.join(', ')}`;
}
