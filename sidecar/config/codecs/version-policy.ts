import type { VersionPolicy } from '../../core/models/version-policy.js';
import type { Parsed } from './parse-result.js';

const FORM = /^(?:(all)|latest(?: ([1-9]\d{0,3}))?|specific ([1-9]\d*(?:, ?[1-9]\d*)*))$/;

/** For the JSON Schema. */
export const VERSION_POLICY_PATTERN = FORM.source;
export const VERSION_POLICY_FORM = '"all", "latest", "latest 2" or "specific 1, 3"';

/** `all`, `latest N`, `latest` (1) or `specific V, V`. */
export function readVersionPolicy(text: string): Parsed<VersionPolicy> {
  const found = FORM.exec(text);
  if (found === null) return { ok: false, problem: `found "${text}"; expected ${VERSION_POLICY_FORM}` };
  const [, all, count = '1', versions] = found;
  if (all !== undefined) return { ok: true, value: { kind: 'all' } };
  if (versions !== undefined)
    return { ok: true, value: { kind: 'specific', versions: versions.split(/, ?/) } };
  return { ok: true, value: { kind: 'latest', count: Number(count) } };
}

/** The text that `readVersionPolicy` reads as this. */
export function writeVersionPolicy(policy: VersionPolicy): string {
  if (policy.kind === 'all') return 'all';
  return policy.kind === 'latest' ? `latest ${policy.count}` : `specific ${policy.versions.join(', ')}`;
}
