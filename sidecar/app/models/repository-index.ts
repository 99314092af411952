import type { Revision } from '../../core/models/settled-listing.js';
import { compareVersions } from '../../core/models/version-policy.js';
import type { NamedVersion } from '../../discovery/consul/registered-models.js';
import type { LoadedRevision } from './loaded-revision.js';

/**
 * A line of RepositoryIndex, with the states of Triton. `reason` says why it is UNAVAILABLE, and of a version that is READY
 * why its files, which have changed since, could not be loaded.
 */
export interface IndexEntry {
  readonly name: string;
  readonly version: string;
  readonly state: 'READY' | 'LOADING' | 'UNLOADING' | 'UNAVAILABLE';
  readonly reason: string;
}

type Described = Pick<LoadedRevision, 'name' | 'version' | 'state' | 'why'>;

/** Of several revisions of one version the one that matters most stands in the index. */
const RANKS = { UNAVAILABLE: 0, UNLOADING: 1, LOADING: 2, READY: 3 } as const;

/** Every version that is in the directory or has processes, in the order of names and versions. */
export function repositoryIndex(
  listed: readonly Revision[],
  loaded: readonly Described[],
): readonly IndexEntry[] {
  const entries = new Map<string, IndexEntry>();
  for (const { name, version } of listed)
    entries.set(`${version}/${name}`, { name, version, state: 'UNAVAILABLE', reason: 'unloaded' });
  for (const each of loaded) {
    const { name, version } = each;
    const key = `${version}/${name}`;
    const entry = entryOf(each);
    const known = entries.get(key);
    if (known === undefined || RANKS[entry.state] >= RANKS[known.state]) entries.set(key, entry);
  }
  // The files of a version that is served have changed, and could not be loaded.
  for (const { name, version, state } of loaded) {
    const entry = entries.get(`${version}/${name}`)!;
    if (state.kind === 'failed' && entry.state === 'READY')
      entries.set(`${version}/${name}`, {
        ...entry,
        reason: `changed since, and not loaded again: ${state.why}`,
      });
  }
  return [...entries.values()].sort(byNameAndVersion);
}

/** The order of the index: by name, then by version as a number where both are numbers. */
export function byNameAndVersion(a: NamedVersion, b: NamedVersion): number {
  return a.name < b.name ? -1 : a.name > b.name ? 1 : compareVersions(a.version, b.version);
}

/** What RepositoryIndex says of one revision. */
function entryOf({ name, version, state, why }: Described): IndexEntry {
  const states = { loading: 'LOADING', ready: 'READY', unloading: 'UNLOADING' } as const;
  if (state.kind === 'unavailable' || state.kind === 'failed')
    return { name, version, state: 'UNAVAILABLE', reason: why };
  return { name, version, state: states[state.kind], reason: '' };
}
