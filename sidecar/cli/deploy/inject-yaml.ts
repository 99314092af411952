import { Document, isMap, isScalar, isSeq, LineCounter, parseAllDocuments, type YAMLSeq } from 'yaml';
import {
  endpointsRole,
  type SidecarParts,
  sidecarContainer,
  sidecarVolumes,
  USER_ID,
} from './sidecar-container.js';

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
/** Name of the container; a pod that has one is left as it is. */
export const CONTAINER = 'outrider';
/** `Prometheus` finds the sidecar by these, where it is set up by the usual example. */
const ANNOTATIONS = {
  'prometheus.io/scrape': 'true',
  'prometheus.io/port': '9464',
  'prometheus.io/path': '/metrics',
};
/** Ports of the sidecar: peers, and metrics with health. */
const PORTS = [9443, 9464];

/** How a sidecar is added. `config` absent: `outrider-NAME` of the workload. */
export interface InjectOptions extends Omit<SidecarParts, 'config' | 'waitsForUpstreams'> {
  readonly config?: string | undefined;
}

/** A place in a document: keys, and positions in lists. */
type Path = readonly (string | number)[];

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
 * CronJob in `source`, also in a List as `kubectl get -o yaml` prints it. Other objects, comments and pods that have it already
 * stay as they are, so that a second run changes nothing.
 */
export function injectYaml(source: string, options: InjectOptions): Injected {
  const notes: string[] = [];
  const problems: string[] = [];
  const lines = new LineCounter();
  const documents = parseAllDocuments(source, { lineCounter: lines, keepSourceTokens: true });
  if (!Array.isArray(documents)) return { text: source, notes, problems: ['found an empty file'] };
  let changed = 0;
  let sidecars = 0;
  const accounts = new Map<string, readonly object[]>();
  for (const [at, document] of documents.entries()) {
    const complain = (what: string) => problems.push(`document ${at + 1}: ${what}`);
    const [error] = document.errors;
    if (error !== undefined) {
      complain(`not YAML: ${error.message.split('\n', 1)[0]}`);
      continue;
    }
    if (document.contents === null) continue;
    for (const object of objectsIn(document)) {
      const outcome = injectObject(document, object, { ...options, complain });
      if (outcome === undefined) continue;
      notes.push(outcome.note);
      if (outcome.has !== 'none') sidecars++;
      if (outcome.has === 'added') changed++;
      if (outcome.has !== 'added' || options.watchesEndpoints !== true) continue;
      const { account, namespace } = accountOf(document, object);
      accounts.set(`${namespace} ${account}`, endpointsRole(account, namespace));
    }
  }
  if (sidecars === 0 && problems.length === 0) {
    const found =
      notes.length === 0 ? 'an empty file' : notes.map((note) => note.split(':', 1)[0]).join(', ');
    problems.push(`found ${found}; expected one of ${KINDS}`);
  }
  const roles = [...accounts.values()].flat();
  for (const each of accounts.keys()) notes.push(noteOfRole(each.split(' ')[1]!));
  const all = [...(documents as Document[]), ...roles.map((role) => new Document(role))];
  return { text: changed === 0 ? source : write(all, source), notes, problems };
}

/** Rights of the account that pods have which name none are those of all such pods of the namespace. */
function noteOfRole(account: string): string {
  const note = `Role and RoleBinding of the account ${account}: added`;
  if (account !== 'default') return note;
  return `${note}; all pods of the namespace without serviceAccountName have this account`;
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
  document: Document.Parsed,
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
  const all = [...containers.items, ...itemsAt(document, [...podSpec, 'initContainers'])];
  if (all.some((each) => isMap(each) && each.get('name') === CONTAINER))
    return { note: `${kind} ${name}: has a container ${CONTAINER} already`, has: 'already' };
  const taken = takenPort(containers, podSpec);
  if (taken !== undefined) {
    complain(taken);
    return undefined;
  }
  const parts = {
    ...options,
    config: options.config ?? `outrider-${configName}`,
    waitsForUpstreams: JOBS.includes(kind),
  };
  const list = options.as === 'native' ? 'initContainers' : 'containers';
  append(document, [...podSpec, list], [sidecarContainer(parts)], options.as === 'native');
  append(document, [...podSpec, 'volumes'], sidecarVolumes(parts), false);
  const group = shareGroup(document, podSpec, [...object, 'spec', 'volumeClaimTemplates']);
  const token = options.watchesEndpoints === true ? keepToken(document, podSpec) : '';
  for (const [key, value] of Object.entries(ANNOTATIONS)) {
    const path = [...template, 'metadata', 'annotations', key];
    if (!document.hasIn(path)) document.setIn(path, value);
  }
  return {
    note: `${kind} ${name}: the sidecar is added; its file is sidecar.yaml in the ConfigMap ${parts.config}${group}${token}`,
    has: 'added',
  };
}

/** The service account of the pods of an object, and its namespace where the file says it. */
function accountOf(document: Document, object: Path) {
  const kind =
    textAt(document, [...object, 'kind']) ?? textAt(document, ['kind'])?.replace(/List$/, '') ?? '';
  const podSpec = [...object, ...(TEMPLATES[kind] ?? []), 'spec'];
  return {
    account: textAt(document, [...podSpec, 'serviceAccountName']) ?? 'default',
    namespace: textAt(document, [...object, 'metadata', 'namespace']),
  };
}

/** The token of the account is for the sidecar alone, unless the pod says otherwise. Returned is what is to be said of it. */
function keepToken(document: Document, podSpec: Path): string {
  const path = [...podSpec, 'automountServiceAccountToken'];
  const said = document.getIn(path);
  if (said === false) return '';
  if (said !== undefined)
    return `; its other containers have the token of its account too: ${written(path)} is ${shown(said)}`;
  document.setIn(path, false);
  return '; its other containers get no token of its account any more (automountServiceAccountToken: false)';
}

/** Volumes whose files would get another group as well. */
const KEPT_VOLUMES = ['persistentVolumeClaim', 'ephemeral', 'csi', 'nfs', 'iscsi'];

/**
 * Secrets are files of root that the group of the pod may read: without a group, the sidecar could not. A pod with volumes that stay is left as
 * it is, as their files would change their group. Returned is what is to be said of it.
 */
function shareGroup(document: Document, podSpec: Path, claims: Path): string {
  const path = [...podSpec, 'securityContext', 'fsGroup'];
  if (document.hasIn(path)) return '';
  const stays = itemsAt(document, [...podSpec, 'volumes']).some(
    (volume) => isMap(volume) && KEPT_VOLUMES.some((kind) => volume.has(kind)),
  );
  if (stays || itemsAt(document, claims).length > 0)
    return `; ${written(path)} is left out, as it would change files of its volumes: without it the sidecar cannot read a Secret`;
  document.setIn(path, USER_ID);
  return '';
}

/** A port that the sidecar needs and a container of the pod has. */
function takenPort(containers: YAMLSeq, podSpec: Path): string | undefined {
  for (const [i, container] of containers.items.entries()) {
    const ports = isMap(container) ? container.get('ports') : undefined;
    if (!isSeq(ports)) continue;
    for (const [j, port] of ports.items.entries()) {
      const number = isMap(port) ? port.get('containerPort') : undefined;
      if (PORTS.includes(Number(number)))
        return `${written([...podSpec, 'containers', i, 'ports', j, 'containerPort'])}: found ${number}; expected another, the sidecar listens there`;
    }
  }
  return undefined;
}

/** Adds to a list, which is made where there is none; a native sidecar goes before the init containers that may call. */
function append(document: Document, path: Path, values: readonly object[], first: boolean): void {
  const list = document.getIn(path);
  const nodes = values.map((value) => document.createNode(value));
  if (!isSeq(list)) document.setIn(path, document.createNode(values));
  else if (first) list.items.unshift(...nodes);
  else list.items.push(...nodes);
}

function itemsAt(document: Document, path: Path): readonly unknown[] {
  const list = document.getIn(path);
  return isSeq(list) ? list.items : [];
}

function textAt(document: Document, path: Path): string | undefined {
  const value = document.getIn(path);
  return typeof value === 'string' ? value : undefined;
}

/** Such as `items[0].spec.containers`. */
function written(path: Path): string {
  return path
    .map((step) => (typeof step === 'number' ? `[${step}]` : `.${step}`))
    .join('')
    .slice(1);
}

function shown(node: unknown): string {
  if (node === undefined || node === null) return 'none';
  if (isSeq(node)) return 'an empty list';
  if (isMap(node)) return 'a map';
  return JSON.stringify(isScalar(node) ? node.value : node);
}

/** Lists stand below their key at the same column in most files of Kubernetes, indented in others: as the file has it. */
function write(documents: readonly Document[], source: string): string {
  const indentSeq = !/^( *)[^\s#-][^\n]*:[ ]*\n\1- /m.test(source);
  return documents
    .map((document, i) => {
      const text = document.toString({ indentSeq, lineWidth: 0 });
      return i === 0 || text.startsWith('---') ? text : `---\n${text}`;
    })
    .join('');
}
