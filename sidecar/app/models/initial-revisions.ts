import { wantedRevisions } from '../../core/models/repository-plan.js';
import type { Revision } from '../../core/models/settled-listing.js';
import { listRevisions } from '../../health/model/model-revisions.js';
import type { RepositorySettings } from './model-repository.js';

/** What a sidecar before this one has left about the versions in a directory. */
export interface EarlierDecisions {
  /** These very files have been rejected. */
  isRejected(revision: Revision): boolean;
  /** By model the version that a rollout has left; it counts where it is there. */
  readonly pinned: Readonly<Record<string, string>>;
}

const NONE: EarlierDecisions = { isRejected: () => false, pinned: {} };

/**
 * The revisions that are served from the start, without those whose very files a sidecar before this one has rejected.
 *
 * @throws Error of one line when the directory cannot be read or has no version to serve.
 */
export function initialRevisions(
  { directory, policy }: Pick<RepositorySettings, 'directory' | 'policy'>,
  { isRejected, pinned }: EarlierDecisions = NONE,
): readonly Revision[] {
  const all = listRevisions(directory);
  // Of a model of which nothing else is there, a rejected version is tried again.
  const found = all.filter(
    (each) => !isRejected(each) || all.every((other) => other.name !== each.name || isRejected(other)),
  );
  if (!found.some(({ version }) => version !== ''))
    throw new Error(`${directory}: found no models, expected <name>/<version>/model.yaml`);
  const chosen = found.filter(({ name, version }) => Object.hasOwn(pinned, name) && pinned[name] === version);
  const others = found.filter(({ name }) => chosen.every((each) => each.name !== name));
  const wanted = [...chosen, ...wantedRevisions(others, policy)];
  if (wanted.length === 0)
    throw new Error(`${directory}: found no version that the version policy serves, expected at least one`);
  return wanted;
}
