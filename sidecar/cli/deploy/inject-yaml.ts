import { type EndpointsAccount, endpointsRole, noteOfRole, type RoleObject } from './endpoints-role.js';
import {
  append,
  type Document,
  documentOf,
  isSeq,
  type Path,
  readDocuments,
  setAt,
  shown,
  textAt,
  writeDocuments,
  written,
} from './kubernetes-yaml.js';
import {
  addExtras,
  CONTAINER,
  containerIn,
  giveTime,
  misshapenIn,
  otherIdentity,
  type PodPlace,
  readIdentity,
  takenPort,
} from './pod-changes.js';
import { unreadableSecrets } from './secret-modes.js';
import { configVolume, type SidecarParts, sidecarContainer, sidecarExtras } from './sidecar-container.js';
import { expandAliases, hasAliases } from './yaml-aliases.js';

/** Where the template of the pods stands, by kind. */
const TEMPLATES: Readonly<Record<string, readonly string[]>> = {
  CronJob: ['spec', 'jobTemplate', 'spec', 'template'],
  DaemonSet: ['spec', 'template'],
  Deployment: ['spec', 'template'],
  Job: ['spec', 'template'],
  Pod: [],
  ReplicaSet: ['spec', 'template'],
  StatefulSet: ['spec', 'template'],
};
const KINDS = Object.keys(TEMPLATES).join(', ');
/** Pods that end: a call that fails because no endpoint is known yet fails the job. */
const JOBS: readonly string[] = ['Job', 'CronJob'];
/** `Prometheus` finds the sidecar by these, where it is set up by the usual example. */
const ANNOTATIONS = {
  'prometheus.io/scrape': 'true',
  'prometheus.io/port': '9464',
  'prometheus.io/path': '/metrics',
};
/** In the name of a Secret, or an id, it stands for the name of the workload. */
const NAME = '{name}';

/** How a sidecar is added. `config` absent: `outrider-NAME` of the workload. */
export interface InjectOptions extends Omit<SidecarParts, 'config' | 'waitsForUpstreams'> {
  readonly config?: string | undefined;
  /** Namespaces of the services whose endpoints it watches. Default: that of the workload. */
  readonly endpointsIn?: readonly string[] | undefined;
  /** The least that a pod gets to end, s. Default: 40. */
  readonly graceS?: number | undefined;
}

/** What became of a file. */
export interface Injected {
  readonly text: string;
  /** One line for each object, such as `Deployment web: the sidecar is added`. */
  readonly notes: readonly string[];
  /** What is wrong, `document N: FIELD: found …; expected …`; then `text` is of no use. */
  readonly problems: readonly string[];
}

/**
 * Adds the sidecar to each Pod, and to the pods of each Deployment, StatefulSet, DaemonSet, ReplicaSet, Job and
 * CronJob in `source`, also in a List as `kubectl get -o yaml` prints it. Other objects and comments stay as they are. Pods that have the
 * sidecar get what the options ask for and they lack, so that a second run with the same options changes nothing.
 */
export function injectYaml(source: string, options: InjectOptions): Injected {
  const notes: string[] = [];
  const problems: string[] = [];
  const documents = readDocuments(source)?.slice();
  if (documents === undefined) return { text: source, notes, problems: ['found an empty file'] };
  let changed = 0;
  let sidecars = 0;
  const roles = new Map<string, Role>();
  for (const [at, original] of documents.entries()) {
    const complain = (what: string) => problems.push(`document ${at + 1}: ${what}`);
    const [error] = original.errors;
    if (error !== undefined) {
      complain(`not YAML: ${error.message.split('\n', 1)[0]}`);
      continue;
    }
    if (original.contents === null) continue;
    const document = hasAliases(original) ? expandAliases(original) : original;
    if (typeof document === 'string') {
      complain(document);
      continue;
    }
    const changedBefore = changed;
    for (const object of objectsIn(document)) {
      const outcome = injectObject(document, object, { ...options, complain });
      if (outcome === undefined) continue;
      notes.push(outcome.note);
      if (outcome.has !== 'none') sidecars++;
      if (outcome.has === 'added') changed++;
      if (outcome.has === 'none' || options.watchesEndpoints !== true) continue;
      const of = accountOf(document, object);
      const { endpointsIn = [of.namespace] } = options;
      if (of.namespace === undefined && endpointsIn.some((each) => each !== undefined)) {
        const path = written([...object, 'metadata', 'namespace']);
        complain(
          `${path}: found none; expected that of the workload, which a RoleBinding elsewhere has to name`,
        );
        continue;
      }
      for (const where of endpointsIn) {
        const objects = endpointsRole(of, where);
        roles.set(keyOf(objects[0]!), { objects, note: noteOfRole(of, where) });
      }
    }
    if (changed === changedBefore || document === original) continue;
    documents[at] = document;
    notes.push(`document ${at + 1}: its aliases are written out, as the sidecar is for one pod each`);
  }
  if (sidecars === 0 && problems.length === 0) {
    const found =
      notes.length === 0 ? 'an empty file' : notes.map((note) => note.split(':', 1)[0]).join(', ');
    problems.push(`found ${found}; expected one of ${KINDS}`);
  }
  const there = new Set(documents.flatMap((document) => rolesIn(document)));
  const missing = [...roles].filter(([key]) => !there.has(key)).map(([, role]) => role);
  for (const { note } of missing) notes.push(note);
  const added = missing.flatMap(({ objects }) => objects.map((each) => documentOf(each)));
  const isSame = changed === 0 && added.length === 0;
  return { text: isSame ? source : writeDocuments([...documents, ...added], source), notes, problems };
}

/** A Role with its RoleBinding. */
interface Role {
  readonly objects: readonly RoleObject[];
  readonly note: string;
}

function keyOf({ metadata: { name, namespace } }: RoleObject): string {
  return `${namespace} ${name}`;
}

/** The Roles of a document, such as a run before has added. */
function rolesIn(document: Document): string[] {
  const objects = document.errors.length > 0 ? [] : objectsIn(document);
  return objects.flatMap((object) => {
    if (textAt(document, [...object, 'kind']) !== 'Role') return [];
    const at = (field: string) => textAt(document, [...object, 'metadata', field]);
    return [`${at('namespace')} ${at('name')}`];
  });
}

interface Outcome {
  readonly note: string;
  readonly has: 'none' | 'already' | 'added';
}

/** The object of a document, or those of its List (`kind: List`, `DeploymentList` …). */
function objectsIn(document: Document): Path[] {
  const items = document.getIn(['items']);
  if (!isSeq(items) || !/List$/.test(textAt(document, ['kind']) ?? '')) return [[]];
  return items.items.map((_, i) => ['items', i]);
}

function injectObject(
  document: Document,
  object: Path,
  { complain, ...options }: InjectOptions & { complain(what: string): void },
): Outcome | undefined {
  // A list of one kind may leave the kind out of its objects.
  const ofList = object.length > 0 ? textAt(document, ['kind'])?.replace(/List$/, '') : undefined;
  const kind = textAt(document, [...object, 'kind']) ?? (ofList || undefined);
  if (kind === undefined && (document.has('service') || document.has('services'))) {
    complain(
      'found a file of Outrider; expected an object of Kubernetes: the file of a sidecar goes into a ConfigMap (docs/DEPLOY.md)',
    );
    return undefined;
  }
  if (kind === undefined) {
    complain(`${written([...object, 'kind'])}: found none; expected an object of Kubernetes`);
    return undefined;
  }
  const metadata = [...object, 'metadata'];
  const name =
    textAt(document, [...metadata, 'name']) ?? textAt(document, [...metadata, 'generateName']) ?? '?';
  // A prefix ends with a dash, and the name of a ConfigMap must not.
  const configName = name === '?' ? '' : name.replace(/[-.]+$/, '');
  const below = TEMPLATES[kind];
  if (below === undefined) return { note: `${kind} ${name}: left as it is`, has: 'none' };
  if (options.as === 'container' && JOBS.includes(kind)) {
    complain(
      `${written([...object, 'kind'])}: found ${kind}, which would never end beside an ordinary container; expected another kind, or --as native`,
    );
    return undefined;
  }
  if (options.config === undefined && configName === '') {
    complain(`${written([...metadata, 'name'])}: found none; expected the name of the workload, or --config`);
    return undefined;
  }
  const template = [...object, ...below];
  const podSpec = [...template, 'spec'];
  const containers = document.getIn([...podSpec, 'containers']);
  if (!isSeq(containers) || containers.items.length === 0) {
    complain(
      `${written([...podSpec, 'containers'])}: found ${shown(containers)}; expected a list of containers`,
    );
    return undefined;
  }
  const parts = {
    ...options,
    config: options.config ?? `outrider-${configName}`,
    identity: identityOf(options.identity, configName),
    waitsForUpstreams: JOBS.includes(kind),
  };
  const pod: PodPlace = { document, object, podSpec };
  const misshapen = misshapenIn(pod, template);
  if (misshapen !== undefined) {
    complain(misshapen);
    return undefined;
  }
  const there = containerIn(pod);
  if (there !== undefined) {
    const wrong = otherIdentity(pod, parts);
    if (wrong !== undefined) {
      complain(wrong);
      return undefined;
    }
    const more = [
      ...readIdentity(pod, there, parts),
      ...addExtras(pod, there, sidecarExtras(parts)),
      ...giveTime(pod, options.graceS),
    ];
    const said = [...more, ...unreadableSecrets(pod, there)];
    const note = `${kind} ${name}: has a container ${CONTAINER} already${said.map((each) => `; ${each}`).join('')}`;
    return { note, has: more.length === 0 ? 'already' : 'added' };
  }
  const taken = takenPort(pod, options.as);
  if (taken !== undefined) {
    complain(taken);
    return undefined;
  }
  const list = options.as === 'native' ? 'initContainers' : 'containers';
  append(document, [...podSpec, list], [sidecarContainer(parts)], options.as === 'native');
  append(document, [...podSpec, 'volumes'], [configVolume(parts.config)], false);
  const added = containerIn(pod)!;
  const more = [
    ...addExtras(pod, added, sidecarExtras(parts)),
    ...unreadableSecrets(pod, added),
    ...giveTime(pod, options.graceS),
    ...(parts.waitsForUpstreams ? waitWithoutEnd(document, template.slice(0, -1)) : []),
    ...(parts.identity === undefined && parts.consulAgent === undefined ? [NO_IDENTITY] : []),
  ];
  for (const [key, value] of Object.entries(ANNOTATIONS)) {
    const path = [...template, 'metadata', 'annotations', key];
    if (!document.hasIn(path)) setAt(document, path, value);
  }
  return {
    note: [
      `${kind} ${name}: the sidecar is added`,
      `its file is sidecar.yaml in the ConfigMap ${parts.config}`,
      ...more,
    ].join('; '),
    has: 'added',
  };
}

/** Without one of the three, a sidecar has a certificate only by a volume that someone else adds. */
const NO_IDENTITY =
  'it has neither a certificate nor an agent of Consul: add --identity-secret, --identity-csi or --consul-agent, unless its file needs none';

/**
 * A job that waits for its upstreams with no limit. Only its author knows how long it may run, so nothing is set here. @param spec of
 * the job.
 */
function waitWithoutEnd(document: Document, spec: Path): string[] {
  const limit = [...spec, 'activeDeadlineSeconds'];
  if (document.hasIn(limit)) return [];
  return [
    `it waits for its upstreams without an end, as ${written(limit)} is not set: restarts of its sidecar do not count for backoffLimit`,
  ];
}

/** Of this workload: one certificate is not for several services. */
function identityOf(identity: InjectOptions['identity'], name: string): InjectOptions['identity'] {
  if (identity?.kind === 'secret') return { ...identity, name: identity.name.replaceAll(NAME, name) };
  return identity && { ...identity, id: identity.id.replaceAll(NAME, name) };
}

/** The service account of the pods of an object, and its namespace where the file says it. */
function accountOf(document: Document, object: Path): EndpointsAccount {
  const kind =
    textAt(document, [...object, 'kind']) ?? textAt(document, ['kind'])?.replace(/List$/, '') ?? '';
  const podSpec = [...object, ...(TEMPLATES[kind] ?? []), 'spec'];
  return {
    account: textAt(document, [...podSpec, 'serviceAccountName']) ?? 'default',
    namespace: textAt(document, [...object, 'metadata', 'namespace']),
  };
}
