import { parseVersionPolicy } from '../../../proto/version-policy.js';
import type { VersionPolicy } from '../../core/models/version-policy.js';
import type { Parsed } from './parse-result.js';

export { VERSION_POLICY_PATTERN, versionPolicyText } from '../../../proto/version-policy.js';

export const VERSION_POLICY_FORM = '"all", "latest", "latest 2" or "specific 1, 3"';

/** `parseVersionPolicy`, with what to say where the text is no policy. */
export function readVersionPolicy(text: string): Parsed<VersionPolicy> {
  const value = parseVersionPolicy(text);
  return value === undefined
    ? { ok: false, problem: `found "${text}"; expected ${VERSION_POLICY_FORM}` }
    : { ok: true, value };
}
