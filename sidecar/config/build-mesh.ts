/**
 * From a spelled mesh file to the MeshConfig that `outrider up` reads.
 */
import { addressFrom, pathFrom, present } from './build-basics.js';
import { buildConsul, plainDiscovery } from './build-consul.js';
import { buildObservation, buildQueue, buildRateLimits } from './build-decisions.js';
import {
  buildInboundRoutes,
  buildIntentions,
  buildLimits,
  buildModelProcess,
  buildShared,
  buildUpstream,
} from './build-parts.js';
import { DEFAULT_DATACENTER, DEFAULT_TRUST_DOMAIN } from './defaults.js';
import type { MeshFile } from './implied-caller.js';
import type { CallerConfig, MeshConfig, MeshServiceConfig, ModelServerConfig } from './mesh-model.js';

const LEAF_LIFETIME_MS = 3_600_000;

export function buildMesh(said: MeshFile, baseDir: string): MeshConfig {
  return {
    trustDomain: said.trust_domain ?? DEFAULT_TRUST_DOMAIN,
    datacenter: said.datacenter ?? DEFAULT_DATACENTER,
    services: Object.entries(said.services).map(([name, service]) => buildService(name, service, baseDir)),
    caller: buildCaller(said, baseDir),
    ...present('consul', said.consul && buildConsul(said.consul, baseDir)),
    intentions: buildIntentions(said.intentions),
    defaultIntention: said.default_intention,
    ...(said.areIntentionsImplied ? { areIntentionsImplied: true } : {}),
    leafLifetimeMs: said.leaf_lifetime ?? LEAF_LIFETIME_MS,
    limits: buildLimits(said.limits),
    drainTimeoutMs: said.drain_timeout,
    log: { level: said.log.level },
    ...buildObservation(said, baseDir),
    ...present('runDir', said.run_dir === undefined ? undefined : pathFrom(baseDir, said.run_dir)),
  };
}

type SaidService = MeshFile['services'][string];

function buildService(name: string, said: SaidService, baseDir: string): MeshServiceConfig {
  return {
    name,
    server: buildServer(said, baseDir),
    replicas: said.replicas,
    queue: buildQueue(said.queue),
    ...present('rateLimits', buildRateLimits(said.rate_limits)),
    routes: buildInboundRoutes(said.routes),
    process: buildModelProcess(said.model),
    ...present('portBase', said.port_base),
    tags: said.tags,
    meta: { ...said.meta },
  };
}

/** The schema made sure that there is exactly one of the two. */
function buildServer(said: SaidService, baseDir: string): ModelServerConfig {
  const [program = '', ...rest] = said.command ?? [];
  if (said.models !== undefined)
    return { kind: 'models', dir: pathFrom(baseDir, said.models), isolation: said.isolation ?? 'process' };
  return { kind: 'command', command: [programFrom(baseDir, program), ...rest] };
}

/** A bare name is looked up in PATH; `./server` is meant beside the file. */
function programFrom(baseDir: string, program: string): string {
  return /^\.\.?\//.test(program) ? pathFrom(baseDir, program) : program;
}

function buildCaller(
  { caller: said, consul, isCallerImplied: isImplied }: MeshFile,
  baseDir: string,
): CallerConfig {
  const onConsul = consul !== undefined;
  return {
    name: said.name,
    ...(isImplied ? { isImplied } : {}),
    upstreams: Object.entries(said.upstreams).map(([name, upstream]) => {
      const built = buildUpstream(name, upstream, baseDir);
      return onConsul ? { consul: plainDiscovery(name), ...built } : built;
    }),
    ...present('shared', buildShared(said.shared, baseDir)),
    ...present('admin', said.admin && addressFrom(baseDir, said.admin)),
  };
}
