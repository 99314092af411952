/**
 * Which versions of a model are served where each has a process of its own: a process knows its version only, and its sidecar tells it the
 * policy in OUTRIDER_MODEL_VERSIONS (`all`, `latest N` or `specific V, V`).
 */

import { join } from 'node:path';
import type { ModelConfig } from '../../../proto/messages.js';
import { parseVersionPolicy } from '../../../proto/version-policy.js';
import { compareVersions, versionsIn } from './repository.js';

type Policy = NonNullable<ModelConfig['version_policy']>;

/** What nobody has said. */
const LATEST: Policy = { latest: { num_versions: 1 } };

/** The policy in Triton's form; that of one version for a text that says nothing else. */
export function policyOf(text: string | undefined): Policy {
  const policy = parseVersionPolicy(text ?? '');
  if (policy?.kind === 'all') return { all: {} };
  if (policy?.kind === 'specific') return { specific: { versions: [...policy.versions] } };
  return policy === undefined ? LATEST : { latest: { num_versions: policy.count } };
}

/** The versions of a model that are served beside `own`, which is always among them, the lowest first. */
export class ServedVersions {
  readonly policy: Policy;

  /** @param root directory of models. */
  constructor(
    private readonly root: string,
    text: string | undefined,
  ) {
    this.policy = policyOf(text);
  }

  of(name: string, own: readonly string[]): string[] {
    const { all, latest, specific } = this.policy;
    if (latest?.num_versions === 1) return [...own];
    const there = versionsNow(join(this.root, name));
    const chosen =
      all !== undefined
        ? there
        : there.filter((version, i) =>
            latest === undefined
              ? specific?.versions.some((each) => String(each) === version)
              : i >= there.length - latest.num_versions,
          );
    return [...new Set([...own, ...chosen])].sort(compareVersions);
  }
}

/** Those that lie there now: versions come and go while the process runs. */
function versionsNow(folder: string): string[] {
  try {
    return versionsIn(folder);
  } catch {
    return [];
  }
}
