/**
 * Secrets that somebody has mounted into the sidecar. Their files belong to root and its group, so that the sidecar reads them as a member of
 * that group, or as everyone else.
 */
import { type Document, isMap, itemsAt, numberAt, type Path, written } from './kubernetes-yaml.js';
import type { PodPlace } from './pod-changes.js';
import { ROOT_GROUP, USER_ID } from './sidecar-container.js';

/** Of the files of a Secret whose volume says nothing else. */
const DEFAULT_MODE = 0o644;
const GROUP_READS = 0o040;
const OTHERS_READ = 0o004;

/** What is to be said of Secrets that the sidecar of a pod mounts and cannot read. */
export function unreadableSecrets({ document, podSpec }: PodPlace, container: Path): string[] {
  const ofPod = [...podSpec, 'securityContext'];
  // Kubernetes gives such files this group, of which each container is, and lets it read them.
  if (document.hasIn([...ofPod, 'fsGroup'])) return [];
  const runAs = (what: 'runAsUser' | 'runAsGroup'): unknown =>
    document.getIn([...container, 'securityContext', what]) ?? document.getIn([...ofPod, what]);
  if (runAs('runAsUser') === 0) return [];
  const group = runAs('runAsGroup') ?? USER_ID;
  const [needed, who, such] =
    group === ROOT_GROUP ? [GROUP_READS, 'the group', '0440'] : [OTHERS_READ, 'others', '0444'];
  const mounts = itemsAt(document, [...container, 'volumeMounts']);
  const mounted = new Set(mounts.map((mount) => (isMap(mount) ? mount.get('name') : undefined)));
  return itemsAt(document, [...podSpec, 'volumes']).flatMap((volume, i) => {
    if (!isMap(volume) || !mounted.has(volume.get('name'))) return [];
    const path = [...podSpec, 'volumes', i];
    const mode = secretModes(document, path).find((each) => (each & needed) === 0);
    if (mode === undefined) return [];
    const found = mode.toString(8).padStart(4, '0');
    return [
      `it cannot read the Secret of ${written(path)} as group ${group}: found mode ${found}; expected one by which ${who} may read, such as ${such}`,
    ];
  });
}

/** The modes of all files of Secrets in a volume; none where it has no Secret. */
function secretModes(document: Document, volume: Path): number[] {
  const projected = [...volume, 'projected'];
  const sources = [...projected, 'sources'];
  const places: readonly (readonly [secret: Path, byDefault: Path])[] = [
    [
      [...volume, 'secret'],
      [...volume, 'secret', 'defaultMode'],
    ],
    ...itemsAt(document, sources).map(
      (_, i) =>
        [
          [...sources, i, 'secret'],
          [...projected, 'defaultMode'],
        ] as const,
    ),
  ];
  return places.flatMap(([secret, byDefault]) => {
    if (!document.hasIn(secret)) return [];
    const usual = numberAt(document, byDefault) ?? DEFAULT_MODE;
    const items = itemsAt(document, [...secret, 'items']);
    if (items.length === 0) return [usual];
    return items.map((_, i) => numberAt(document, [...secret, 'items', i, 'mode']) ?? usual);
  });
}
