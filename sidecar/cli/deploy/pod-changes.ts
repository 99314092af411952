/** What `outrider inject` changes in the specification of a pod. What a function returns as texts is what is to be said of it. */
import {
  append,
  type Document,
  isMap,
  isSeq,
  itemsAt,
  otherThan,
  type Path,
  setAt,
  shown,
  written,
} from './kubernetes-yaml.js';
import {
  type Extra,
  groupFor,
  IDENTITY,
  IDENTITY_PATH,
  identityIn,
  type SidecarParts,
} from './sidecar-container.js';

/** Name of the container; a pod that has one gets only what that one lacks. */
export const CONTAINER = 'outrider';
/** Ports of the sidecar: peers, and metrics with health. */
const PORTS = [9443, 9464];

/** Longer than `drain_timeout`, 30 s by default, which is also how long Kubernetes waits by default before it kills a pod. */
const GRACE_S = 40;

/** The pod of an object. */
export interface PodPlace {
  readonly document: Document;
  readonly object: Path;
  readonly podSpec: Path;
}

/** What stands where a list or a map of the pod is changed, and is none: it would be lost. @param template has its metadata. */
export function misshapenIn({ document, podSpec }: PodPlace, template: Path): string | undefined {
  const lists = ['initContainers', 'volumes'].map((list) => [...podSpec, list]);
  const maps = [['metadata'], ['metadata', 'annotations']].map((below) => [...template, ...below]);
  for (const path of lists) {
    const problem = otherThan('list', document, path);
    if (problem !== undefined) return problem;
  }
  for (const path of maps) {
    const problem = otherThan('map', document, path);
    if (problem !== undefined) return problem;
  }
  return undefined;
}

/** Where the sidecar of a pod stands; undefined: it has none. */
export function containerIn({ document, podSpec }: PodPlace): Path | undefined {
  for (const list of ['initContainers', 'containers']) {
    const at = itemsAt(document, [...podSpec, list]).findIndex(
      (each) => isMap(each) && each.get('name') === CONTAINER,
    );
    if (at >= 0) return [...podSpec, list, at];
  }
  return undefined;
}

/** Whether a list has an item of this name. */
function hasNamed(document: Document, list: Path, name: string): boolean {
  return itemsAt(document, list).some((each) => isMap(each) && each.get('name') === name);
}

/** Adds what a pod and its sidecar lack of them. Returned is what is to be said of it. */
export function addExtras(pod: PodPlace, container: Path, extras: readonly Extra[]): string[] {
  const { document, podSpec } = pod;
  return extras.flatMap(({ env = [], volume, mountPath }) => {
    const before = {
      env: [...container, 'env'],
      mounts: [...container, 'volumeMounts'],
      volumes: [...podSpec, 'volumes'],
    };
    const missing = env.filter(({ name }) => !hasNamed(document, before.env, name));
    if (missing.length > 0) append(document, before.env, missing, false);
    const said = missing.map(({ name }) => `its variable ${name} is added`);
    if (volume === undefined) return said;
    const { name } = volume;
    const isMounted = hasNamed(document, before.mounts, name);
    if (!isMounted) append(document, before.mounts, [{ name, mountPath, readOnly: true }], false);
    const isThere = hasNamed(document, before.volumes, name);
    if (!isThere) append(document, before.volumes, [volume], false);
    if (isMounted && isThere) return said;
    return [...said, ...(name === IDENTITY ? [`its certificate is in ${IDENTITY_PATH}`] : keepToken(pod))];
  });
}

/** A pod that has another certificate than is asked for. */
export function otherIdentity(
  { document, podSpec }: PodPlace,
  { identity }: SidecarParts,
): string | undefined {
  if (identity === undefined) return undefined;
  const volumes = itemsAt(document, [...podSpec, 'volumes']);
  const at = volumes.findIndex((each) => isMap(each) && each.get('name') === IDENTITY);
  const volume = volumes[at];
  if (!isMap(volume)) return undefined;
  const expected = identity.kind === 'secret' ? identity.name : identity.id;
  const found = identityIn(volume.toJSON());
  if (found === expected) return undefined;
  return `${written([...podSpec, 'volumes', at])}: found ${IDENTITY} of ${found ?? 'another kind'}; expected ${expected}, or no such volume`;
}

/** A pod is killed once its time is over, whatever its sidecar still has. Returned is what is to be said of it. */
export function giveTime({ document, podSpec }: PodPlace, graceS = GRACE_S): string[] {
  const path = [...podSpec, 'terminationGracePeriodSeconds'];
  const found = document.getIn(path);
  if (typeof found === 'number' && found >= graceS) return [];
  document.setIn(path, graceS);
  const before = found === undefined ? 'the default of Kubernetes' : shown(found);
  return [`terminationGracePeriodSeconds is ${graceS} in place of ${before}, longer than drain_timeout`];
}

/** The token of the account is for the sidecar alone, unless the pod says otherwise. Returned is what is to be said of it. */
function keepToken({ document, podSpec }: PodPlace): string[] {
  const path = [...podSpec, 'automountServiceAccountToken'];
  const said = document.getIn(path);
  if (said === false) return [];
  if (said !== undefined)
    return [`its other containers have the token of its account too: ${written(path)} is ${shown(said)}`];
  document.setIn(path, false);
  return ['its other containers get no token of its account any more (automountServiceAccountToken: false)'];
}

/**
 * The sidecar that is there runs with the group that may read the identity it gets, or has without such a group. Files of an `fsGroup` are for
 * every container. Returned is what is to be said of it.
 */
export function readIdentity(
  { document, podSpec }: PodPlace,
  container: Path,
  { identity }: SidecarParts,
): string[] {
  if (identity === undefined) return [];
  const wanted = groupFor(identity);
  const group = document.getIn([...podSpec, 'securityContext', 'fsGroup']);
  if (identity.kind === 'secret' ? group !== undefined : group === wanted) return [];
  const path = [...container, 'securityContext', 'runAsGroup'];
  const found = document.getIn(path);
  const hasIdentity = hasNamed(document, [...podSpec, 'volumes'], IDENTITY);
  if (found === wanted || (hasIdentity && found !== undefined)) return [];
  setAt(document, path, wanted);
  return [
    `its runAsGroup is ${wanted}${found === undefined ? '' : ` in place of ${shown(found)}`}, for its certificate`,
  ];
}

/**
 * A port that the sidecar needs and a container of the pod has. Ordinary init containers have ended before a sidecar that is no init container
 * begins.
 */
export function takenPort({ document, podSpec }: PodPlace, as: SidecarParts['as']): string | undefined {
  for (const list of ['initContainers', 'containers'])
    for (const [i, container] of itemsAt(document, [...podSpec, list]).entries()) {
      if (!isMap(container)) continue;
      if (list === 'initContainers' && as !== 'native' && container.get('restartPolicy') !== 'Always')
        continue;
      const found = portIn(container.get('ports'));
      if (found === undefined) continue;
      const path = [...podSpec, list, i, 'ports', found.at, 'containerPort'];
      return `${written(path)}: found ${found.port}; expected another, the sidecar listens there`;
    }
  return undefined;
}

function portIn(ports: unknown): { readonly at: number; readonly port: number } | undefined {
  if (!isSeq(ports)) return undefined;
  for (const [at, each] of ports.items.entries()) {
    const port = Number(isMap(each) ? each.get('containerPort') : undefined);
    if (PORTS.includes(port)) return { at, port };
  }
  return undefined;
}
