/**
 * A mesh file and a sidecar file say the same things in other places: which services there are, what they call, on which ports,
 * with which models and certificates. The checks see one form of both.
 */
import { existsSync } from 'node:fs';
import { dirname } from 'node:path';
import { loadAnyFile, loadMeshFile, loadSidecarFile } from '../../config/file/load.js';
import type {
  Address,
  AdoptedProxy,
  ConsulConfig,
  DiscoveryConfig,
  DnsConfig,
  KubernetesConfig,
  MeshConfig,
  SidecarConfig,
  UpstreamConfig,
} from '../../config/model.js';
import { present } from '../../config/present.js';
import { formatProblem } from '../../config/problem.js';
import type { Intention } from '../../core/authorization/intentions.js';
import { shippedMeshes } from '../package-info.js';
import { type Finding, failed, ok, warning } from './finding.js';
import type { NamedFiles } from './named-files.js';

/** That models are missing is a finding of its own. */
const NAMED = { models: 'unread', shipped: shippedMeshes() } as const;

/** A port that a file says will be listened on. */
export interface PlannedPort {
  readonly host: string;
  readonly port: number;
  /** `admin`, `upstream digits` … */
  readonly of: string;
}

/** One service that calls another. */
export interface Call {
  readonly from: string;
  /** Name of the upstream, which is the service that is called where Consul says nothing else. */
  readonly to: string;
  /** Its name in the catalogue; absent: its endpoints are in the file, in DNS or in Kubernetes. */
  readonly inConsul?: string;
  /** What the file asks Consul for; absent: the service of that name. */
  readonly discovery?: DiscoveryConfig;
  /** `plaintext`: it is outside the mesh. `unknown`: the catalogue does not say it. Absent: `mesh`. */
  readonly tls?: UpstreamConfig['tls'] | 'unknown';
  /** Of each route, the upstreams that it falls back to; absent: none does. The routes take every method. */
  readonly fallbacks?: readonly (readonly string[])[];
  readonly endpoints: readonly Address[];
  /** The name whose addresses are its endpoints. */
  readonly dns?: DnsConfig;
  /** The Service whose pods are its endpoints. */
  readonly kubernetes?: KubernetesConfig;
}

/** What is checked, in one form for a mesh file and a sidecar file. */
export interface Subject {
  readonly file: string;
  readonly kind: 'mesh' | 'sidecar';
  /** Services whose sidecars it describes, callers included. */
  readonly services: readonly string[];
  readonly calls: readonly Call[];
  readonly ports: readonly PlannedPort[];
  readonly models: readonly { readonly service: string; readonly dir: string }[];
  /** Absent: certificates come from Consul or from `up`. */
  readonly identity?: Extract<SidecarConfig['identity'], { kind: 'files' }>;
  /** Absent: certificates come from elsewhere. */
  readonly spire?: Extract<SidecarConfig['identity'], { kind: 'spire' }>;
  readonly trustDomain: string;
  readonly files: NamedFiles;
  /** Where spans and metrics are sent; absent: nowhere. */
  readonly collectors: { readonly traces?: string; readonly metrics?: string };
  readonly consul?: ConsulConfig;
  /** The intentions of the file where it decides; absent: Consul does. */
  readonly rules?: { readonly intentions: readonly Intention[]; readonly byDefault: 'allow' | 'deny' };
}

/** What a file describes with the registration that it adopts; undefined where the two do not fit. */
export function subjectWith(file: string, adopted: AdoptedProxy): Subject | undefined {
  return ofSidecar(file, adopted);
}

/** Reads a file of either kind: what it describes, undefined where it is wrong, and what is to be said of it. */
export function readSubject(file: string): { readonly subject?: Subject; readonly findings: Finding[] } {
  const { kind, result } = loadAnyFile(file, NAMED);
  if (!result.ok) {
    const next = existsSync(file)
      ? '`outrider validate` shows all problems; mesh-config/REFERENCE.md has every option'
      : 'name a file that exists; `outrider check` without --mesh takes the meshes that run here';
    return { findings: result.problems.map((problem) => failed('config', formatProblem(problem), next)) };
  }
  const warnings = result.warnings.map((each) =>
    warning('config', formatProblem(each), 'change it, or leave it if it is meant'),
  );
  const subject = kind === 'mesh' ? ofMesh(file) : ofSidecar(file);
  return {
    ...present('subject', subject),
    findings: [ok('config', `${file}: a valid ${kind} file`), ...warnings],
  };
}

/** A mesh file: the caller and every service call, and all ports are on this machine. */
function ofMesh(file: string): Subject | undefined {
  const read = loadMeshFile(file, NAMED);
  if (!read.ok) return undefined;
  const { caller, services, consul, intentions, defaultIntention, trustDomain, audit } = read.config;
  const callers = [caller, ...services];
  return {
    file,
    kind: 'mesh',
    services: callers.map(({ name }) => name),
    calls: callers.flatMap(({ name, upstreams = [] }) => upstreams.map((each) => callOf(name, each, consul))),
    ports: [...portsOfMesh(read.config)],
    models: services.flatMap(({ name: service, server }) =>
      server.kind === 'models' ? [{ service, dir: server.dir }] : [],
    ),
    trustDomain,
    ...alsoNamed(read.config, audit?.directory),
    ...present('consul', consul),
    ...(consul?.intentions === true ? {} : { rules: { intentions, byDefault: defaultIntention } }),
  };
}

/** Ports of a mesh file that are fixed; a caller that is implied takes others where the usual ones are taken. */
function* portsOfMesh({ caller, services, observe }: MeshConfig): Iterable<PlannedPort> {
  const sidecars = services.reduce((sum, { replicas }) => sum + replicas, 1);
  if (observe?.kind === 'tcp' && observe.port !== 0)
    for (let i = 0; i < sidecars; i++)
      yield { host: observe.host, port: observe.port + i, of: `observe, sidecar ${i + 1} of ${sidecars}` };
  if (caller.isImplied !== true) {
    yield* portOf(caller.admin, `admin port of ${caller.name}`);
    yield* portOf(caller.scaler?.listen, `scaler of ${caller.name}`);
    yield* portOf(caller.shared?.listen, 'shared listener');
    for (const { name, listen } of caller.upstreams) yield* portOf(listen, `upstream ${name}`);
  }
  for (const { name, portBase, replicas, upstreams = [] } of services) {
    for (const upstream of upstreams) yield* portOf(upstream.listen, `upstream ${upstream.name} of ${name}`);
    for (let i = 0; portBase !== undefined && i < 2 * replicas; i++)
      yield { host: '127.0.0.1', port: portBase + i, of: `${name}, port_base` };
  }
}

/** A sidecar file: one service, with what it listens on and what it calls. */
function ofSidecar(file: string, adopted?: AdoptedProxy): Subject | undefined {
  const read = loadSidecarFile(file, adopted);
  if (!read.ok) return undefined;
  const { service, admin, observe, scaler, inbound, outbound, identity, consul, trustDomain, audit } =
    read.config;
  const upstreams = outbound?.upstreams ?? [];
  const golden = inbound?.golden;
  return {
    file,
    kind: 'sidecar',
    services: [service],
    calls: upstreams.map((each) => callOf(service, each, consul)),
    ports: [
      ...portOf(admin, 'admin port'),
      ...portOf(observe, 'observe'),
      ...portOf(scaler?.listen, 'scaler'),
      ...portOf(inbound?.listen, 'inbound'),
      ...portOf(outbound?.shared?.listen, 'shared listener'),
      ...upstreams.flatMap(({ name, listen }) => [...portOf(listen, `upstream ${name}`)]),
    ],
    models: golden === undefined ? [] : [{ service, dir: golden.models }],
    ...(identity.kind === 'files' ? { identity } : {}),
    ...(identity.kind === 'spire' ? { spire: identity } : {}),
    trustDomain,
    ...alsoNamed(read.config, audit === undefined ? undefined : dirname(audit.path)),
    ...present('consul', consul),
    ...(inbound === undefined || consul?.intentions === true
      ? {}
      : { rules: { intentions: inbound.intentions, byDefault: inbound.defaultIntention } }),
  };
}

/** What both kinds of file have beside calls: a token, logs and collectors. */
function alsoNamed(
  {
    adminTokenFile,
    accessLog,
    traces,
    metrics,
  }: Pick<SidecarConfig, 'adminTokenFile' | 'accessLog' | 'traces' | 'metrics'>,
  auditDirectory: string | undefined,
): Pick<Subject, 'files' | 'collectors'> {
  return {
    files: {
      ...present('tokenFile', adminTokenFile),
      ...present('accessLog', accessLog?.path),
      ...present('auditDirectory', auditDirectory),
    },
    collectors: {
      ...present('traces', traces?.endpoint),
      ...present('metrics', metrics?.endpoint),
    },
  };
}

/** A call by its upstream; one that lists its endpoints, or has them from DNS or Kubernetes, is not looked up in Consul. */
function callOf(
  from: string,
  {
    name: to,
    consul: query,
    endpoints = [],
    dns,
    kubernetes,
    tls,
    routes = [],
  }: Pick<UpstreamConfig, 'name' | 'consul'> & Partial<UpstreamConfig>,
  consul: ConsulConfig | undefined,
): Call {
  const isElsewhere = endpoints.length > 0 || (dns ?? kubernetes) !== undefined;
  const inConsul = consul === undefined || isElsewhere ? undefined : (query?.service ?? to);
  const addresses = endpoints.map(({ address }) => address);
  const discovery = inConsul === undefined ? undefined : query;
  const asked = {
    ...present('inConsul', inConsul),
    ...present('discovery', discovery),
    ...present('tls', tls),
  };
  const fallbacks = routes.map(({ fallback = [] }) =>
    fallback.flatMap((step) => (step.kind === 'upstream' ? [step.upstream] : [])),
  );
  return {
    from,
    to,
    ...asked,
    ...(fallbacks.every((each) => each.length === 0) ? {} : { fallbacks }),
    endpoints: addresses,
    ...present('dns', dns),
    ...present('kubernetes', kubernetes),
  };
}

/** A port that is fixed; port 0 takes any, and a Unix socket none. */
function* portOf(address: Address | undefined, of: string): Iterable<PlannedPort> {
  if (address?.kind === 'tcp' && address.port !== 0) yield { host: address.host, port: address.port, of };
}
