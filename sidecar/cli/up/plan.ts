import { join } from 'node:path';
import { fillPlaceholders } from '../../config/command-placeholders.js';
import { startDigest } from '../../config/engine-model.js';
import type {
  Address,
  ConsulConfig,
  InboundConfig,
  MeshConfig,
  MeshServiceConfig,
  ModelProcessConfig,
  SidecarConfig,
  UpstreamConfig,
} from '../../config/model.js';
import { plainDiscovery } from '../../config/options/consul/discovery.js';
import { present } from '../../config/present.js';
import type { IdentityPaths } from '../../identity/identity.js';
import { commandOf } from '../self.js';
import {
  assignPort,
  defaultAddress,
  HOST,
  listenAddress,
  observeAddress,
  type PlanPorts,
  type TcpAddress,
} from './planned-ports.js';
import type { RunDirectory } from './run-directory.js';

/** How often an idle model is probed with its golden input. */
const GOLDEN_INTERVAL_MS = 10_000;
/**
 * Ports of a caller that the mesh file does not describe: its first upstream (the next ones
 * follow), and its admin server.
 */
const DEFAULT_CALL_PORT = 8800;
const DEFAULT_ADMIN_PORT = 8890;

/** One sidecar of a planned mesh: its configuration and where its files go. */
export interface SidecarSpec {
  /** Also the sidecar's instance name: `SERVICE-REPLICA`, or the name of the caller. */
  readonly name: string;
  readonly service: string;
  readonly role: 'replica' | 'caller';
  /** Private folder (mode 0700) for the sidecar file, the log and the model's socket. */
  readonly folder: string;
  /** Path of the sidecar file. */
  readonly file: string;
  readonly config: SidecarConfig;
  readonly admin: TcpAddress;
}

export interface PlanInput extends PlanPorts {
  readonly mesh: MeshConfig;
  readonly run: RunDirectory;
  /**
   * The agent for discovery, identities and intentions, in place of the mesh file's `consul` block.
   * Absent: endpoints, certificate files and intentions are written into the sidecar files.
   */
  readonly consul?: ConsulConfig;
  /**
   * Issues the certificate of one sidecar; resolves with the paths of its files. Called only
   * without `consul`.
   */
  issue(service: string, instance: string): Promise<IdentityPaths>;
  /** argv of this program, to which a command is appended. */
  readonly self: readonly string[];
}

/**
 * Plans the sidecars of a mesh file: one for every replica, in the order of the file, and the
 * caller's last. Ports are claimed from `input.ports` and stay bound until its `release`; sidecar
 * files are named, not written.
 *
 * @throws CommandFailure for a port in use.
 */
export async function planMesh(input: PlanInput): Promise<SidecarSpec[]> {
  const replicas: SidecarSpec[] = [];
  for (const service of input.mesh.services) {
    for (let replica = 1; replica <= service.replicas; replica++)
      replicas.push(await replicaSpec(input, service, replica));
  }
  const calling: SidecarSpec[] = [];
  for (const replica of replicas) calling.push(await withUpstreams(input, replica, replicas));
  return [...calling, await callerSpec(input, replicas)];
}

/**
 * A replica's sidecar with the upstreams of its service. One without a listener in the file gets a
 * socket in the private folder.
 */
async function withUpstreams(
  input: PlanInput,
  spec: SidecarSpec,
  replicas: readonly SidecarSpec[],
): Promise<SidecarSpec> {
  const { upstreams: called = [] } = input.mesh.services.find(({ name }) => name === spec.service)!;
  if (called.length === 0) return spec;
  const upstreams: UpstreamConfig[] = [];
  for (const upstream of called) {
    const { name, listen: said } = upstream;
    const listen: Address =
      (await assignPort(input, said, `${spec.name}, upstream ${name}`)) ??
      ({ kind: 'unix', path: input.run.socket(spec.folder, `${name}.sock`) } as const);
    upstreams.push({ ...upstream, ...endpointSource(input, upstream, replicas), listen });
  }
  return { ...spec, config: { ...spec.config, outbound: { upstreams } } };
}

async function replicaSpec(
  input: PlanInput,
  service: MeshServiceConfig,
  replica: number,
): Promise<SidecarSpec> {
  const name = `${service.name}-${replica}`;
  const base = service.portBase === undefined ? undefined : service.portBase + 2 * (replica - 1);
  const listen = await listenAddress(input, { port: base }, name);
  const admin = await listenAddress(input, { port: base && base + 1 }, `${name} (admin)`);
  const folder = input.run.folder(name);
  const { local, model } = await modelOf(input, service, replica, folder);
  const { engine, defaultMaxTokens, queue, routes, rateLimits, loadReport, reflection } = service;
  const inbound: InboundConfig = {
    ...{ listen, mtls: 'strict', local, ...guard(input, service.name), ...golden(service) },
    ...{
      ...present('engine', engine),
      ...present('engineModel', engineModelOf(service)),
      ...present('defaultMaxTokens', defaultMaxTokens),
      queue,
      ...present('rateLimits', rateLimits),
      loadReport,
      ...present('reflection', reflection),
      routes,
    },
  };
  const spec = { name, service: service.name, role: 'replica', folder, admin } as const;
  return sidecarSpec(input, spec, { inbound, model }, service);
}

/** The same for all replicas: their words differ in what is filled in. */
function engineModelOf({
  engine,
  engineModel,
  server,
  model: { env },
}: MeshServiceConfig): string | undefined {
  if (engine === undefined || server.kind !== 'command') return undefined;
  return engineModel ?? startDigest({ command: server.command, env });
}

/**
 * The intentions of a sidecar file: those about its service. With `consul.intentions` they come from the agent and the file
 * denies all.
 */
function guard(
  { mesh, consul }: PlanInput,
  service: string,
): Pick<InboundConfig, 'intentions' | 'defaultIntention'> {
  if (consul?.intentions === true) return { intentions: [], defaultIntention: 'deny' };
  const intentions = mesh.intentions.filter(({ to }) => to === service || to === '*');
  return { intentions, defaultIntention: mesh.defaultIntention };
}

/**
 * Golden probes for models of our own server: Consul's check and peers' health checks then show the
 * state of the model itself, also without traffic. Every card has a golden input, because the
 * server refuses one without.
 */
function golden({ server }: MeshServiceConfig): Pick<InboundConfig, 'golden'> {
  if (server.kind !== 'models') return {};
  return { golden: { models: server.dir, intervalMs: GOLDEN_INTERVAL_MS } };
}

/**
 * Address and process of the model server. Our own listens on a socket in the private folder
 * (`model.sock`; where there are several processes, `model.sock.1` and so on); another program gets a
 * loopback port, filled into its argv.
 */
async function modelOf(
  input: PlanInput,
  service: MeshServiceConfig,
  replica: number,
  folder: string,
): Promise<{ local: Address; model: ModelProcessConfig }> {
  const { server, model } = service;
  if (server.kind === 'models') {
    const path = input.run.socket(folder, 'model.sock');
    const only = server.isolation === 'process' ? ['--model', '{model}={version}'] : [];
    const serve = ['serve', '--models', server.dir, ...only, '--listen', '{socket}', '--exit-with-stdin'];
    const command = commandOf(input.self, serve);
    const { isolation, instances, versions, repository, rollout, recycle } = server;
    const own = isolation === 'process' && {
      instances,
      ...present('versions', versions),
      ...present('repository', repository),
      ...present('rollout', rollout),
      ...present('recycle', recycle),
    };
    return { local: { kind: 'unix', path }, model: { ...model, isolation, ...own, command } };
  }
  const port = await input.ports.find(HOST, `model of ${service.name}-${replica}`);
  const fill = (text: string) => fillPlaceholders(text, { address: `${HOST}:${port}`, port, replica });
  const env = Object.fromEntries(Object.entries(model.env).map(([name, value]) => [name, fill(value)]));
  return {
    local: { kind: 'tcp', host: HOST, port },
    model: { ...model, env, command: server.command.map(fill) },
  };
}

async function callerSpec(input: PlanInput, replicas: readonly SidecarSpec[]): Promise<SidecarSpec> {
  const { caller } = input.mesh;
  const { name, isImplied } = caller;
  const upstreams: UpstreamConfig[] = [];
  for (const [i, upstream] of caller.upstreams.entries()) {
    const listen = isImplied
      ? await defaultAddress(input, DEFAULT_CALL_PORT + i)
      : await assignPort(input, upstream.listen, `upstream ${upstream.name}`);
    const source = endpointSource(input, upstream, replicas);
    upstreams.push({ ...upstream, ...source, ...present('listen', listen) });
  }
  const listen = await assignPort(input, caller.shared?.listen, 'the shared listener');
  const shared = caller.shared && listen ? { shared: { ...caller.shared, listen } } : {};
  const admin = isImplied
    ? await defaultAddress(input, DEFAULT_ADMIN_PORT)
    : await listenAddress(input, caller.admin?.kind === 'tcp' ? caller.admin : {}, `${name} (admin)`);
  const spec = { name, service: name, role: 'caller', folder: input.run.folder(name), admin } as const;
  const scaling = await assignPort(input, caller.scaler?.listen, 'the scaler');
  const scaler = present('scaler', scaling && { listen: scaling });
  return sidecarSpec(input, spec, { outbound: { upstreams, ...shared }, ...scaler });
}

/**
 * Where a sidecar finds the replicas of an upstream: in Consul's catalogue, or at the addresses
 * planned here. With them comes the engine that their service says it is.
 */
function endpointSource(
  { consul, mesh }: PlanInput,
  { name, consul: query, engine: said }: MeshConfig['caller']['upstreams'][number],
  replicas: readonly SidecarSpec[],
): Pick<UpstreamConfig, 'endpoints' | 'consul' | 'engine'> {
  const engine = said ?? mesh.services.find((service) => service.name === name)?.engine;
  const read = present('engine', engine);
  if (consul !== undefined) return { endpoints: [], consul: query ?? plainDiscovery(name), ...read };
  const { datacenter } = mesh;
  const endpoints = replicas
    .filter(({ service }) => service === name)
    .map((spec) => ({
      address: spec.config.inbound!.listen,
      weight: 1,
      id: spec.name,
      locality: datacenter,
    }));
  return { endpoints, ...read };
}

async function sidecarSpec(
  input: PlanInput,
  spec: Pick<SidecarSpec, 'name' | 'service' | 'role' | 'folder' | 'admin'>,
  sides: Pick<SidecarConfig, 'inbound' | 'outbound' | 'model' | 'scaler'>,
  labels: Partial<Pick<MeshServiceConfig, 'tags' | 'meta'>> = {},
): Promise<SidecarSpec> {
  const { trustDomain, datacenter, limits, drainTimeoutMs, log, accessLog, traces, audit, faultInjection } =
    input.mesh;
  const { adminTokenFile, metrics } = input.mesh;
  const config: SidecarConfig = {
    service: spec.service,
    instance: spec.name,
    trustDomain,
    datacenter,
    ...(await identityOf(input, spec, labels)),
    admin: spec.admin,
    ...present('adminTokenFile', adminTokenFile),
    ...present('observe', await observeAddress(input, input.mesh.observe, spec.name)),
    limits,
    drainTimeoutMs,
    log,
    ...present('accessLog', accessLog),
    ...(spec.role === 'replica'
      ? { stateDir: join(input.mesh.stateDir ?? input.run.folder('state'), spec.service) }
      : {}),
    ...present('traces', traces),
    ...present('metrics', metrics),
    ...present('audit', audit && auditOf(audit, spec.name)),
    ...present('faultInjection', faultInjection),
    ...sides,
  };
  return { ...spec, file: join(spec.folder, 'sidecar.yaml'), config };
}

/**
 * Certificate files issued here, or Consul's; with Consul also this sidecar's tags and a cache
 * folder of its own.
 */
async function identityOf(
  { consul, issue }: PlanInput,
  { service, name }: Pick<SidecarSpec, 'name' | 'service'>,
  { tags = [], meta = {} }: Partial<Pick<MeshServiceConfig, 'tags' | 'meta'>>,
): Promise<Pick<SidecarConfig, 'identity' | 'consul'>> {
  if (consul === undefined) return { identity: { kind: 'files', ...(await issue(service, name)) } };
  const { registration, cache, ...options } = consul;
  return {
    identity: { kind: 'consul' },
    consul: {
      ...options,
      ...present('registration', registration && { ...registration, tags, meta }),
      ...present('cache', cache && { ...cache, dir: join(cache.dir, name) }),
    },
  };
}

/** Each sidecar has a file of its own: two writers would break the chain. */
function auditOf({ directory, ...rest }: NonNullable<MeshConfig['audit']>, instance: string) {
  return { ...rest, path: join(directory, `${instance}.jsonl`) };
}
