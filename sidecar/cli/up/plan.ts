/**
 * From a mesh file to the sidecars of one machine: a spec for every replica, one for the caller, and what each gets
 * to know of the others.
 *
 * Ports are held by the port book until everything has one; files are only named here, not written.
 */

import { join } from 'node:path';
import { fillPlaceholders } from '../../config/command-placeholders.js';
import type {
  Address,
  ConsulConfig,
  EndpointConfig,
  InboundConfig,
  MeshConfig,
  MeshServiceConfig,
  ModelProcessConfig,
  SidecarConfig,
  UpstreamConfig,
} from '../../config/model.js';
import { plainDiscovery } from '../../config/options/consul/discovery.js';
import { present } from '../../config/present.js';
import type { PortAllocator } from './port-allocator.js';
import type { RunDirectory } from './run-directory.js';

const HOST = '127.0.0.1';
const GOLDEN_INTERVAL_MS = 10_000;

/** One sidecar of the mesh. */
export interface SidecarSpec {
  /** Also the sidecar's instance name. */
  readonly name: string;
  readonly service: string;
  readonly role: 'replica' | 'caller';
  /** Private folder with everything of this sidecar. */
  readonly folder: string;
  /** The sidecar file. */
  readonly file: string;
  readonly config: SidecarConfig;
  readonly admin: { readonly host: string; readonly port: number };
}

/** Of a caller of which the file says nothing: of its first upstream, and of its admin pages. */
const USUAL_CALL_PORT = 8800;
const USUAL_ADMIN_PORT = 8890;

export interface PlanInput {
  readonly mesh: MeshConfig;
  readonly run: RunDirectory;
  readonly ports: PortAllocator;
  /**
   * Present: sidecars find each other, prove who they are and learn who may call through this agent. Replaces what the
   * mesh file says of Consul.
   */
  readonly consul?: ConsulConfig;
  /** Issues certificates for one sidecar and says where they lie. Not asked where Consul does that. */
  issue(service: string, instance: string): Promise<{ cert: string; key: string; roots: string }>;
  /** argv that runs this program, to which a command is appended. */
  readonly self: readonly string[];
}

/** Every spec, replicas in the order of the file and the caller last. Throws a CommandFailure for a port in use. */
export async function planMesh(input: PlanInput): Promise<SidecarSpec[]> {
  const replicas: SidecarSpec[] = [];
  for (const service of input.mesh.services) {
    for (let replica = 1; replica <= service.replicas; replica++)
      replicas.push(await replicaSpec(input, service, replica));
  }
  return [...replicas, await callerSpec(input, replicas)];
}

async function replicaSpec(
  input: PlanInput,
  service: MeshServiceConfig,
  replica: number,
): Promise<SidecarSpec> {
  const name = `${service.name}-${replica}`;
  const base = service.portBase === undefined ? undefined : service.portBase + 2 * (replica - 1);
  const inbound = await port(input, HOST, base, name);
  const admin = await port(input, HOST, base === undefined ? undefined : base + 1, `${name} (admin)`);
  const folder = input.run.folder(name);
  const { local, model } = await modelOf(input, service, replica, folder);
  const { queue, routes } = service;
  const listen: Address = { kind: 'tcp', host: HOST, port: inbound };
  return sidecarSpec(
    input,
    folder,
    { name, service: service.name, role: 'replica', admin: { host: HOST, port: admin } },
    {
      inbound: {
        listen,
        mtls: 'strict',
        local,
        ...guard(input),
        ...golden(service),
        queue,
        ...present('rateLimits', service.rateLimits),
        routes,
      },
      model,
    },
    service,
  );
}

/** Where Consul says who may call, the sidecar file must not. */
function guard({ mesh, consul }: PlanInput): Pick<InboundConfig, 'intentions' | 'defaultIntention'> {
  if (consul?.intentions === true) return { intentions: [], defaultIntention: 'deny' };
  return { intentions: mesh.intentions, defaultIntention: mesh.defaultIntention };
}

/**
 * What Consul shows of a model and what peers are told of it by name shall come from the model, also while nobody calls.
 * Where neither looks, nothing is asked. Our own server serves no model without a golden input in its card.
 */
function golden({ server }: MeshServiceConfig): Pick<InboundConfig, 'golden'> {
  if (server.kind !== 'models') return {};
  return { golden: { models: server.dir, intervalMs: GOLDEN_INTERVAL_MS } };
}

/** Our own server gets a socket in the private folder, and more beside it where each model has a process; a foreign one gets a loopback port, filled into its argv. */
async function modelOf(
  input: PlanInput,
  service: MeshServiceConfig,
  replica: number,
  folder: string,
): Promise<{ local: Address; model: ModelProcessConfig }> {
  const { server, model } = service;
  if (server.kind === 'models') {
    const path = input.run.socket(folder, 'model.sock');
    const command = [
      ...input.self,
      'serve',
      '--models',
      server.dir,
      ...(server.isolation === 'process' ? ['--model', '{model}'] : []),
      '--listen',
      '{socket}',
      '--exit-with-stdin',
    ];
    return { local: { kind: 'unix', path }, model: { ...model, isolation: server.isolation, command } };
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
  const folder = input.run.folder(caller.name);
  const upstreams: UpstreamConfig[] = [];
  for (const [i, upstream] of caller.upstreams.entries()) {
    const listen = caller.isImplied
      ? await usualPort(input, USUAL_CALL_PORT + i)
      : await settle(input, upstream.listen, `upstream ${upstream.name}`);
    const found = endpointSource(input, upstream, replicas);
    upstreams.push({ ...upstream, ...found, ...(listen === undefined ? {} : { listen }) });
  }
  const sharedListen = await settle(input, caller.shared?.listen, 'the shared listener');
  const shared = caller.shared && sharedListen ? { shared: { ...caller.shared, listen: sharedListen } } : {};
  const wanted = caller.admin?.kind === 'tcp' ? caller.admin : { host: HOST, port: 0 };
  const admin = caller.isImplied
    ? await usualPort(input, USUAL_ADMIN_PORT)
    : { host: wanted.host, port: await port(input, wanted.host, wanted.port, `${caller.name} (admin)`) };
  return sidecarSpec(
    input,
    folder,
    { name: caller.name, service: caller.name, role: 'caller', admin },
    {
      outbound: { upstreams, ...shared },
    },
  );
}

/** With Consul, what to ask it; else the replicas themselves. */
function endpointSource(
  { consul, mesh }: PlanInput,
  { name, consul: asked }: MeshConfig['caller']['upstreams'][number],
  replicas: readonly SidecarSpec[],
): Pick<UpstreamConfig, 'endpoints' | 'consul'> {
  if (consul !== undefined) return { endpoints: [], consul: asked ?? plainDiscovery(name) };
  const { datacenter } = mesh;
  return {
    endpoints: replicas.filter((spec) => spec.service === name).map((spec) => endpointOf(spec, datacenter)),
  };
}

function endpointOf(spec: SidecarSpec, datacenter: string): EndpointConfig {
  return { address: spec.config.inbound!.listen, weight: 1, id: spec.name, locality: datacenter };
}

/** For a caller of which the file says nothing: the same from one start to the next, as far as it is free. */
async function usualPort({ ports }: PlanInput, port: number) {
  const isFree = await ports.tryClaim(HOST, port);
  return { kind: 'tcp', host: HOST, port: isFree ? port : await ports.find(HOST, `usual ${port}`) } as const;
}

/** Port 0 in the file means any; it must be settled here, because a sidecar that restarts must find its callers. */
async function settle(
  input: PlanInput,
  listen: Address | undefined,
  neededBy: string,
): Promise<Address | undefined> {
  if (listen?.kind !== 'tcp') return listen;
  return { ...listen, port: await port(input, listen.host, listen.port, neededBy) };
}

async function port(
  input: PlanInput,
  host: string,
  wanted: number | undefined,
  neededBy: string,
): Promise<number> {
  if (wanted === undefined || wanted === 0) return input.ports.find(host, neededBy);
  await input.ports.claim(host, wanted, neededBy);
  return wanted;
}

async function sidecarSpec(
  input: PlanInput,
  folder: string,
  who: Pick<SidecarSpec, 'name' | 'service' | 'role' | 'admin'>,
  parts: Pick<SidecarConfig, 'inbound' | 'outbound' | 'model'>,
  labels: Partial<Pick<MeshServiceConfig, 'tags' | 'meta'>> = {},
): Promise<SidecarSpec> {
  const { trustDomain, datacenter, limits, drainTimeoutMs, log, accessLog, faultInjection } = input.mesh;
  const config: SidecarConfig = {
    service: who.service,
    instance: who.name,
    trustDomain,
    datacenter,
    ...(await trust(input, who, labels)),
    admin: { kind: 'tcp', ...who.admin },
    limits,
    drainTimeoutMs,
    log,
    ...present('accessLog', accessLog),
    ...present('faultInjection', faultInjection),
    ...parts,
  };
  return { ...who, folder, file: join(folder, 'sidecar.yaml'), config };
}

/** Whom the sidecar believes: the authority of this mesh, or Consul. */
async function trust(
  { consul, issue }: PlanInput,
  { service, name }: Pick<SidecarSpec, 'name' | 'service'>,
  { tags = [], meta = {} }: Partial<Pick<MeshServiceConfig, 'tags' | 'meta'>>,
): Promise<Pick<SidecarConfig, 'identity' | 'consul'>> {
  if (consul === undefined) return { identity: { kind: 'files', ...(await issue(service, name)) } };
  const { registration, cache, ...asked } = consul;
  return {
    identity: { kind: 'consul' },
    consul: {
      ...asked,
      ...(registration === undefined ? {} : { registration: { ...registration, tags, meta } }),
      ...(cache === undefined ? {} : { cache: { ...cache, dir: join(cache.dir, name) } }),
    },
  };
}
