/**
 * The whole of a mesh file, and the rules between its parts.
 */
import { z } from 'zod';
import type { VersionPolicy } from '../../core/models/version-policy.js';
import type { Address } from '../codecs/address.js';
import { saysWhereToListen } from '../command-placeholders.js';
import type { CodeOf } from '../names.js';
import { present } from '../present.js';
import { faultInjection, meshAccessLog } from './access-log.js';
import { meshAudit } from './audit.js';
import { meshConsul, ownTags, registeredMeta } from './consul/consul.js';
import { meshConsulRules } from './consul/rules.js';
import { address, entries, type FoundBlock, mapping, number, text, texts } from './found.js';
import { limits } from './limits.js';
import { callListeners, listeners, refuseSharedPlaces } from './listener-conflicts.js';
import { loadReport } from './load-reports.js';
import { requireKnownNames } from './mesh-names.js';
import {
  INSTANCES_MEANING,
  INSTANCES_REASON,
  instanceCount,
  meshCommand,
  meshModelProcess,
  RECYCLE_MEANING,
  REPOSITORY_MEANING,
  ROLLOUT_MEANING,
  recycle,
  refuseOtherControl,
  repository,
  rollout,
  VERSIONS_MEANING,
  VERSIONS_REASON,
  versionPolicy,
} from './model-process.js';
import { blockAs, inCode, inside, option, type Report, rules } from './option.js';
import { queue } from './queue.js';
import { rateLimits, refuseIdleLimits } from './rate-limits.js';
import { inboundRoutes, refuseUnreachable } from './route/route-list.js';
import {
  admin,
  adminTokenFile,
  datacenter,
  defaultIntention,
  drainTimeout,
  intentions,
  log,
  meshObserve,
  meshStateDir,
  reflection,
  trustDomain,
} from './shared.js';
import { meshTraces } from './telemetry/traces.js';
import { serviceUpstreamsRules } from './upstream/service-upstreams.js';
import { meshUpstream } from './upstream/upstream.js';
import { sharedListener, upstreamMap, upstreamsOf, upstreamsRules } from './upstream/upstreams.js';
import { choice, duration, filePath, name, wholeNumber } from './values.js';

/** What runs: our own server, for each model or for all of them, or any gRPC server, whose words may hold placeholders. */
export type ModelServerConfig =
  | {
      readonly kind: 'models';
      readonly dir: string;
      readonly isolation: 'process' | 'shared';
      readonly instances: number;
      readonly versions?: VersionPolicy;
      readonly repository?: CodeOf<ReturnType<typeof repository>>;
      readonly rollout?: CodeOf<ReturnType<typeof rollout>>;
      readonly recycle?: CodeOf<ReturnType<typeof recycle>>;
    }
  | { readonly kind: 'command'; readonly command: readonly string[] };

const service = inCode(
  blockAs('a block with models or command, and replicas', {
    models: option(filePath('a directory of models').optional(), {
      meaning:
        'Directory of models, each as `NAME/VERSION/model.onnx`, that `outrider serve` serves. What is added later is served after the next start of its sidecars, or at once with `repository`.',
      otherwise: 'absent: `command` says what runs',
      why: 'A service is either ours or foreign.',
    }),
    command: option(meshCommand.optional(), {
      meaning:
        'A foreign gRPC model server instead of our own: the program and its arguments. `{port}`, `{address}` and `{replica}` are filled for each replica, here and in `model.env`.',
      otherwise: 'absent: `models` says what is served',
      why: 'A service is either ours or foreign.',
    }),
    isolation: option(choice(['process', 'shared']).optional(), {
      meaning:
        '`process`: each model of `models` has a process of its own, so that one that is slow, broken or dies holds up no other. `shared`: all are served by one process, which takes less memory.',
      otherwise: '`process` with `models`; a foreign server is one process',
      why: 'A model should suffer from its own faults only.',
    }),
    instances: option(instanceCount().optional(), {
      meaning: INSTANCES_MEANING,
      otherwise: '`1`',
      why: INSTANCES_REASON,
    }),
    versions: option(versionPolicy().optional(), {
      meaning: VERSIONS_MEANING,
      otherwise: '`latest 1`',
      why: VERSIONS_REASON,
    }),
    repository: option(repository().optional(), {
      meaning: REPOSITORY_MEANING,
      otherwise: 'absent: `control: none`',
      why: 'A model should not change unless that is wanted.',
    }),
    rollout: option(rollout().optional(), {
      meaning: ROLLOUT_MEANING,
      otherwise: 'absent: versions change as `repository` says',
      why: 'It takes the memory of a model twice.',
    }),
    recycle: option(recycle().optional(), {
      meaning: RECYCLE_MEANING,
      otherwise: 'absent: a process runs until it ends',
      why: 'A process that serves should be left alone unless there is a reason.',
    }),
    replicas: option(wholeNumber({ min: 1, max: 64 }).prefault(1), {
      meaning: 'Model processes of this kind, each behind a sidecar of its own.',
      why: 'One is the least that works; three survive a death and a freeze together.',
    }),
    queue,
    rate_limits: rateLimits,
    load_report: loadReport,
    reflection,
    routes: option(inboundRoutes(), {
      meaning: 'Time limits by method, on the side of the model. What no route names gets the defaults.',
      why: 'The caller usually brings a deadline.',
    }),
    upstreams: option(upstreamMap(meshUpstream).optional(), {
      meaning:
        'The services that this one calls through its own sidecars, by name, with the identity of this service. The model process is told where in `OUTRIDER_UPSTREAM_NAME`, with the name in upper case and `_` for what is no letter or digit: the target that a gRPC client dials. Without `listen` that is a socket in the private directory of the sidecar.',
      otherwise: 'absent: it calls no other',
      why: 'Most models call no other service.',
    }),
    model: option(meshModelProcess.prefault({}), {
      meaning: 'The life of each model process.',
      why: 'Suits models that load within a minute.',
    }),
    port_base: option(wholeNumber({ min: 1, max: 65_535 }).optional(), {
      meaning:
        'Peers call replica n (from 1) at `port_base + 2 × (n − 1)`, and its admin pages are served on the port after that.',
      otherwise: 'absent: free ports',
      why: 'The sidecars of the mesh are told the ports of the others.',
    }),
    tags: ownTags,
    meta: registeredMeta,
  }).check(
    rules(
      inside('routes', refuseUnreachable),
      inside('rate_limits', refuseIdleLimits),
      serviceUpstreamsRules,
      requireOneServer,
    ),
  ),
  (
    {
      models,
      command = [],
      isolation = 'process',
      instances = 1,
      versions,
      repository: changes,
      rollout: rolled,
      recycle: renewed,
      ...rest
    },
    serviceName,
  ) => {
    const server: ModelServerConfig =
      models === undefined
        ? { kind: 'command', command }
        : {
            ...{ kind: 'models', dir: models, isolation, instances },
            ...present('versions', versions),
            ...present('repository', changes),
            ...present('rollout', rolled),
            ...present('recycle', renewed),
          };
    return { ...rest, name: serviceName, server };
  },
);

/** `caller`: the application's side of a mesh. */
export const caller = blockAs('a block with name and upstreams', {
  name: option(name('the name of the caller'), {
    meaning: 'The mesh service that the application calls as.',
    why: 'Intentions need a name.',
  }),
  upstreams: upstreamsOf(meshUpstream),
  shared: sharedListener,
  admin,
}).check(
  rules((found, report) => {
    upstreamsRules(found, report);
    if (address(found['admin'])?.kind === 'unix')
      report(
        ['admin'],
        'found a socket; expected an address such as "127.0.0.1:8890", as a browser opens it',
      );
  }),
);

/** A mesh file: the schema that `outrider up FILE` reads by. */
export const meshFile = blockAs('a mesh file', {
  trust_domain: trustDomain,
  datacenter,
  services: option(
    z.record(name('the name of a service'), service, { error: 'a map of services by their names' }),
    {
      meaning: 'The model services that run on this machine, by name.',
      why: 'Without a service there is nothing to run.',
    },
  ),
  consul: option(meshConsul.optional(), {
    meaning:
      'Present: sidecars find each other, get their certificates and read the intentions through a Consul agent. `{}` is enough for an agent on this machine; `outrider up --consul dev` brings one along.',
    otherwise: 'absent: this file and a certificate authority of its own',
    why: 'One machine needs no registry.',
  }),
  caller: option(caller.optional(), {
    meaning: "The application's side: one sidecar with a listener for each service it calls.",
    otherwise:
      'absent: `client`, with a listener for each service of the file at 127.0.0.1:8800, 8801, … and admin pages at 8890, as far as those ports are free; `up` prints where',
    why: 'A mesh file needs no more than `services`.',
  }),
  admin_token_file: adminTokenFile,
  observe: meshObserve,
  intentions,
  default_intention: defaultIntention,
  leaf_lifetime: option(duration({ min: 10_000, max: 8_760 * 3_600_000 }).optional(), {
    meaning: 'How long each minted certificate is valid; it is replaced well before.',
    otherwise: '`1h`; with certificates from Consul, what its cluster says',
    why: 'Short enough that a stolen key is soon worth nothing.',
  }),
  limits: option(limits.prefault({}), {
    meaning: 'Bounds against hostile or broken peers, for every sidecar of the mesh.',
    why: 'On, with room for ordinary use.',
  }),
  drain_timeout: drainTimeout,
  state_dir: meshStateDir,
  log,
  access_log: meshAccessLog,
  traces: meshTraces,
  audit: meshAudit,
  fault_injection: faultInjection,
  run_dir: option(filePath('a directory').optional(), {
    meaning: 'Where sockets, certificates and sidecar files go; made private (0700).',
    otherwise: 'a fresh directory, removed at the end',
    why: 'Leaves nothing behind.',
  }),
}).check(rules(meshRules));

function requireOneServer(found: FoundBlock, report: Report): void {
  const { models, command: words } = found;
  if (models === undefined && words === undefined)
    report([], 'found neither models nor command; expected one of them');
  if (models !== undefined && words !== undefined)
    report(['command'], 'found beside models; expected only one of them');
  if (models === undefined && found['isolation'] !== undefined)
    report(['isolation'], 'found without models; expected with models only');
  for (const key of ['instances', 'versions', 'repository', 'rollout', 'recycle'])
    requireProcesses(found, key, report);
  refuseOtherControl(found, report);
  if (!Array.isArray(words)) return;
  const env = Object.values(mapping(mapping(found['model'])['env'])).flatMap((inner) => text(inner) ?? []);
  if ([...texts(words), ...env].some(saysWhereToListen)) return;
  report(
    ['command'],
    'found neither {port} nor {address}; expected one of them, here or in model.env, or the server could not know where to listen',
  );
}

/** What is said of the processes of single models needs such processes. */
function requireProcesses(found: FoundBlock, key: string, report: Report): void {
  if (found[key] === undefined) return;
  if (found['models'] === undefined) report([key], 'found without models; expected with models only');
  else if (found['isolation'] === 'shared')
    report(
      [key],
      'found with isolation: shared; expected isolation: process, with which each model has processes',
    );
}

function meshRules(found: FoundBlock, report: Report): void {
  const file = found;
  const services = entries(file['services']);
  const callerBlock = mapping(file['caller']);
  if (file['services'] !== undefined && services.length === 0)
    report(['services'], 'found none; expected at least one service');
  const names = services.map(([serviceName]) => serviceName);
  const callerName = text(callerBlock['name']);
  if (callerName !== undefined && names.includes(callerName))
    report(['caller', 'name'], `found "${callerName}", which is also a service; expected a name of its own`);
  requireKnownNames(file, services, report);
  const own = [
    ...listeners([['caller', 'admin'], callerBlock['admin']]),
    ...callListeners(['caller'], callerBlock),
    ...services.flatMap(([serviceName, block]) => callListeners(['services', serviceName], block)),
    ...services.flatMap(([serviceName, block]) => replicaListeners(serviceName, block, report)),
    ...observeListeners(address(file['observe']), services, report),
  ];
  refuseSharedPlaces(own, report);
  meshConsulRules(file, own, report);
}

function replicaListeners(serviceName: string, block: FoundBlock, report: Report) {
  const base = number(block['port_base']);
  const replicas = number(block['replicas']);
  if (base === undefined || replicas === undefined) return [];
  const last = base + 2 * replicas - 1;
  if (last > 65_535) {
    report(
      ['services', serviceName, 'port_base'],
      `found ${base}, with which the last replica would need port ${last}; expected at most ${65_535 - 2 * replicas + 1}`,
    );
    return [];
  }
  const ports = Array.from({ length: 2 * replicas }, (_, i) => base + i);
  return ports.flatMap((port) =>
    listeners([['services', serviceName, 'port_base'], { kind: 'tcp', host: '127.0.0.1', port }]),
  );
}

/** One for each sidecar of the mesh: those of the replicas, and the caller's. */
function observeListeners(
  base: Address | undefined,
  services: readonly (readonly [string, FoundBlock])[],
  report: Report,
) {
  if (base === undefined) return [];
  if (base.kind === 'unix') {
    report(
      ['observe'],
      'found a socket; expected an address such as "127.0.0.1:9464", with a port for each sidecar',
    );
    return [];
  }
  const count = services.reduce((sum, [, block]) => sum + (number(block['replicas']) ?? 1), 1);
  if (base.port === 0) return [];
  if (base.port + count - 1 > 65_535) {
    report(
      ['observe'],
      `found port ${base.port}, with which the last sidecar would need port ${base.port + count - 1}; expected at most ${65_536 - count}`,
    );
    return [];
  }
  const all = Array.from({ length: count }, (_, i) => ({ ...base, port: base.port + i }));
  return all.flatMap((at) => listeners([['observe'], at]));
}
