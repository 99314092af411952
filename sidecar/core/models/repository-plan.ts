import type { LoadState } from './load-state.js';
import type { Revision } from './settled-listing.js';
import { servedVersions, type VersionPolicy } from './version-policy.js';

/** A revision that has processes, or had them. */
export interface HeldRevision extends Revision {
  readonly state: LoadState;
}

/** What to do about a repository. */
export interface RepositoryPlan<H extends HeldRevision> {
  readonly load: readonly Revision[];
  /** These get no new calls, finish those that they have, and are stopped. */
  readonly unload: readonly H[];
}

/** The revisions that the version policy chooses of those that are there. */
export function wantedRevisions(listed: readonly Revision[], policy: VersionPolicy): readonly Revision[] {
  const names = new Set(listed.map(({ name }) => name));
  return [...names].flatMap((name) => {
    const own = listed.filter((each) => each.name === name);
    const versions = servedVersions(
      own.map(({ version }) => version),
      policy,
    );
    return versions.flatMap((version) => own.find((each) => each.version === version) ?? []);
  });
}

/**
 * Compares what is wanted with what is held. What is wanted and not held is loaded; one that has failed is held, so that it
 * is loaded again only when it changes. What is held and no longer wanted goes once all wanted revisions of its model are
 * ready, so that a model that is served goes on being served whatever comes of its next version; at once where nothing is
 * wanted of the model, and for a load that has not ended or has failed.
 */
export function planRepository<H extends HeldRevision>(
  wanted: readonly Revision[],
  held: readonly H[],
): RepositoryPlan<H> {
  const present = held.filter(({ state }) => state.kind !== 'unloading');
  const load = wanted.filter((each) => !present.some((other) => isSame(each, other)));
  const unload = present.filter((each) => {
    if (wanted.some((other) => isSame(each, other))) return false;
    if (each.state.kind === 'loading' || each.state.kind === 'failed') return true;
    return wanted.every((other) => other.name !== each.name || isReady(other, present));
  });
  return { load, unload };
}

function isReady(revision: Revision, held: readonly HeldRevision[]): boolean {
  return held.some((each) => isSame(each, revision) && each.state.kind === 'ready');
}

function isSame(a: Revision, b: Revision): boolean {
  return a.name === b.name && a.version === b.version && a.fingerprint === b.fingerprint;
}
