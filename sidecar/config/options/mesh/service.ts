/**
 * A service of a mesh file.
 */
import type { VersionPolicy } from '../../../core/models/version-policy.js';
import { saysWhereToListen } from '../../command-placeholders.js';
import type { CodeOf } from '../../names.js';
import { present } from '../../present.js';
import { ownTags, registeredMeta } from '../consul/consul.js';
import { defaultMaxTokens, engineModel, inboundEngineRules, serviceEngine } from '../engine.js';
import { type FoundBlock, mapping, text, texts } from '../found.js';
import { loadReport } from '../load-reports.js';
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
} from '../model-process.js';
import { blockAs, inCode, inside, option, type Report, rules } from '../option.js';
import { queue } from '../queue.js';
import { rateLimits, refuseIdleLimits } from '../rate-limits.js';
import { inboundRoutes, routeListRules } from '../route/route-list.js';
import { reflection } from '../shared.js';
import { serviceUpstreamsRules } from '../upstream/service-upstreams.js';
import { meshUpstream } from '../upstream/upstream.js';
import { upstreamMap } from '../upstream/upstreams.js';
import { choice, filePath, wholeNumber } from '../values.js';

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

/** One service of a mesh file: what runs for it, how often, and how its calls are treated. */
export const service = inCode(
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
    engine: serviceEngine,
    engine_model: engineModel,
    default_max_tokens: defaultMaxTokens,
    isolation: option(choice(['process', 'shared']).optional(), {
      meaning:
        '`process`: each model of `models` has a process of its own, so a model that is slow, broken or dead does not hold up the others. `shared`: all are served by one process, which takes less memory.',
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
      meaning: 'Replicas of the service, each with a sidecar of its own.',
      why: 'One is the least that works; three survive a death and a freeze together.',
    }),
    queue,
    rate_limits: rateLimits,
    load_report: loadReport,
    reflection,
    routes: option(inboundRoutes(), {
      meaning:
        'Time limits by method, on the side of the model. Methods that no route names get the defaults.',
      why: 'The caller usually brings a deadline.',
    }),
    upstreams: option(upstreamMap(meshUpstream).optional(), {
      meaning:
        'The services that this one calls through its own sidecars, by name, with the identity of this service. The model process finds the target for its gRPC client in `OUTRIDER_UPSTREAM_NAME` (the name in upper case, with `_` for other characters than letters and digits). Without `listen` the target is a socket in the private directory of the sidecar.',
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
      inside('routes', routeListRules),
      inside('rate_limits', refuseIdleLimits),
      serviceUpstreamsRules,
      requireOneServer,
      inboundEngineRules,
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

function requireOneServer(found: FoundBlock, report: Report): void {
  const { models, command: words } = found;
  if (models === undefined && words === undefined)
    report([], 'found neither models nor command; expected one of them');
  if (models !== undefined && words !== undefined)
    report(['command'], 'found beside models; expected only one of them');
  if (words === undefined && found['engine'] !== undefined)
    report(['engine'], 'found without command; expected with command only, as our own server is no engine');
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
