/**
 * The whole of a sidecar file; sidecar-rules.ts has the rules between its parts.
 */
import type * as z from 'zod';
import type { Address } from '../codecs/address.js';
import { DEFAULT_DATACENTER, DEFAULT_TRUST_DOMAIN } from '../defaults.js';
import type { PlainOf } from '../names.js';
import { present } from '../present.js';
import { accessLog, faultInjection } from './access-log.js';
import { audit } from './audit.js';
import { sidecarConsul } from './consul/consul.js';
import { type DiscoveryConfig, plainDiscovery } from './consul/discovery.js';
import { defaultMaxTokens, engineModel, inboundEngine, inboundEngineRules } from './engine.js';
import { IDENTITY_FILES } from './identity-rules.js';
import { limits } from './limits.js';
import { loadReport } from './load-reports.js';
import { mappedIds } from './mapped-ids.js';
import { metrics } from './metrics.js';
import { sidecarModelProcess } from './model-process.js';
import { block, blockAs, inCode, inside, option, rules } from './option.js';
import { queue } from './queue.js';
import { rateLimits, refuseIdleLimits } from './rate-limits.js';
import { inboundRoutes, routeListRules } from './route/route-list.js';
import { scaler } from './scaler.js';
import {
  admin,
  adminTokenFile,
  datacenter,
  drainTimeout,
  log,
  observe,
  ownDefaultIntention,
  ownIntentions,
  reflection,
  stateDir,
  trustDomain,
} from './shared.js';
import { sidecarRules } from './sidecar-rules.js';
import { traces } from './traces.js';
import { sidecarUpstream } from './upstream/upstream.js';
import { sharedListener, upstreamsOf, upstreamsRules } from './upstream/upstreams.js';
import {
  choice,
  duration,
  filePath,
  listenAddress,
  name,
  peerAddress,
  shortText,
  socketAddress,
  userOrAny,
} from './values.js';

const WITH_SPIRE = 'absent: with `spire`, which gives it';

const identity = blockAs('a block with cert, key and roots, or with spire', {
  cert: option(filePath(IDENTITY_FILES.cert).optional(), {
    meaning: 'PEM file with the leaf and any intermediates; the leaf carries the SPIFFE id.',
    otherwise: WITH_SPIRE,
    why: 'Peers refuse a sidecar without a certificate.',
  }),
  key: option(filePath(IDENTITY_FILES.key).optional(), {
    meaning: 'PEM file with the private key; readable by its owner only.',
    otherwise: WITH_SPIRE,
    why: 'The certificate cannot be used without it.',
  }),
  roots: option(filePath(IDENTITY_FILES.roots).optional(), {
    meaning: 'PEM file with the roots that peers are verified against.',
    otherwise: WITH_SPIRE,
    why: 'Without them no peer could be verified.',
  }),
  spire: option(socketAddress('the socket of a SPIRE agent').optional(), {
    meaning:
      'Socket of the SPIFFE Workload API of a SPIRE agent, in place of the files. The agent gives certificate, key and roots, and new ones before they end. Nothing is written to disk. While the agent is away or refuses, the certificate is used until it ends.',
    otherwise: 'absent: the files',
    why: 'The agent knows this process by its attestation, so that no secret has to be brought to it.',
  }),
  spire_owner: option(userOrAny().optional(), {
    meaning:
      'Id of another user who may own the socket in `spire` and its directory, by the same rule as `inbound.local_owner`.',
    otherwise: 'absent: this user and root',
    why: 'Whoever can put a socket there says who is trusted.',
  }),
  hint: option(shortText('the hint of a registration entry').optional(), {
    meaning: 'Which SVID to use where the agent gives several: the first with this hint.',
    otherwise: 'absent: the first one that is this service',
    why: 'Most processes have one SVID.',
  }),
  ids: mappedIds,
});

const golden = block({
  models: option(filePath('a directory of models'), {
    meaning: 'Directory of models, each with its card at `NAME/VERSION/model.yaml`.',
    why: 'The cards hold the golden inputs.',
  }),
  interval: option(duration({ min: 100, max: 3_600_000 }).prefault('10s'), {
    meaning: 'How long without an inference before one is made.',
    why: 'A broken model is known before the next caller is; one small inference each 10 s costs nothing.',
  }),
});

const inbound = blockAs('a block that says how peers reach the local model', {
  listen: option(listenAddress(), { meaning: 'Where peers call.', why: 'Without it peers could not call.' }),
  mtls: option(choice(['strict', 'permissive', 'off']).prefault('strict'), {
    meaning:
      '`strict`: mutual TLS or nothing. `permissive`: plaintext callers come in too, without identity, while you introduce the mesh. `off`: plaintext only.',
    why: 'Fails closed.',
  }),
  local: option(peerAddress(), {
    meaning: 'Where the local model service listens, in plaintext.',
    why: 'Best a Unix socket in a private directory, so that no process on the machine can bypass the intentions.',
  }),
  local_owner: option(userOrAny().optional(), {
    meaning:
      'Id of another user who may own the socket in `local`. The sidecar connects to a Unix socket only if the socket and its directory belong to its own user, to root or to this user, and nobody else may write into the directory (unless it is sticky, as /tmp). `any`: no check, for a directory that a container shares.',
    otherwise: 'absent: this user and root',
    why: 'Whoever can put a socket there gets every request, and answers it.',
  }),
  intentions: ownIntentions,
  default_intention: ownDefaultIntention,
  golden: option(golden.optional(), {
    meaning: 'Present: while a model gets no calls, its golden input is sent and the answer compared.',
    otherwise: 'absent: whether the model answers is known from calls and from its health service',
    why: 'Needs a model card with a block `golden` for each model.',
  }),
  engine: inboundEngine,
  engine_model: engineModel,
  default_max_tokens: defaultMaxTokens,
  queue,
  rate_limits: rateLimits,
  load_report: loadReport,
  reflection,
  routes: option(inboundRoutes(), {
    meaning: 'Time limits by method. Methods that no route names get the defaults.',
    why: 'The caller usually brings a deadline.',
  }),
}).check(
  rules(inside('routes', routeListRules), inside('rate_limits', refuseIdleLimits), inboundEngineRules),
);

const outbound = blockAs('a block with upstreams and, perhaps, shared', {
  upstreams: upstreamsOf(sidecarUpstream),
  shared: sharedListener,
}).check(rules(upstreamsRules));

const sidecarBlock = blockAs('a sidecar file', {
  service: option(name('the name of a service'), {
    meaning: 'The mesh service this sidecar speaks for: the last part of its SPIFFE id.',
    why: 'Certificates and intentions refer to it.',
  }),
  instance: option(shortText('a short name').optional(), {
    meaning: 'The name of this instance in logs and reports, unique within its service.',
    otherwise: 'the service, and `-1`',
    why: 'Fits a service with one instance.',
  }),
  trust_domain: trustDomain,
  datacenter,
  identity: option(identity.optional(), {
    meaning:
      'The certificate files of this service, or the SPIRE agent that issues its certificate. Changed ones are used for new connections.',
    otherwise:
      "with a block `consul`: certificates of Connect's authority; else no identity, so every leg has to be plaintext",
    why: 'Certificates come from somewhere: Consul, `outrider up`, cert-manager, SPIRE.',
  }),
  consul: option(sidecarConsul.optional(), {
    meaning:
      'Present: this instance is registered with a Consul agent. Peers, identity and intentions come from the agent unless the file says them. `{}` is enough for an agent on this machine.',
    otherwise: 'absent: the file says everything',
    why: 'A mesh works without Consul.',
  }),
  admin,
  admin_token_file: adminTokenFile,
  observe,
  drain_timeout: drainTimeout,
  state_dir: stateDir,
  log,
  access_log: accessLog,
  traces,
  metrics,
  audit,
  fault_injection: faultInjection,
  limits: option(limits.prefault({}), {
    meaning: 'Bounds against hostile or broken peers; each has a counter.',
    why: 'On, with room for ordinary use.',
  }),
  inbound: option(inbound.optional(), {
    meaning: 'Present: peers may call the local model service through this sidecar.',
    otherwise: 'absent: nothing is served',
    why: "A client's sidecar has none.",
  }),
  scaler,
  outbound: option(outbound.optional(), {
    meaning: 'Present: the local application may call other services through this sidecar.',
    otherwise: 'absent: nothing is called',
    why: "A leaf model's sidecar has none.",
  }),
  model: option(sidecarModelProcess.optional(), {
    meaning: 'Present: the sidecar starts the model process, watches it and restarts it.',
    otherwise: 'absent: the sidecar does not start the model',
    why: 'A model under systemd or in a container of its own is restarted already.',
  }),
}).check(rules(sidecarRules));

/** What follows from elsewhere in the file: names, identity, and what upstreams are found by. */
function complete(said: PlainOf<typeof sidecarBlock>) {
  const { inbound: own, outbound: called, ...rest } = said;
  return {
    ...rest,
    instance: said.instance ?? `${said.service}-1`,
    trustDomain: said.trustDomain ?? DEFAULT_TRUST_DOMAIN,
    datacenter: said.datacenter ?? DEFAULT_DATACENTER,
    identity: identityOf(said),
    ...present(
      'inbound',
      own && { ...own, intentions: own.intentions ?? [], defaultIntention: own.defaultIntention ?? 'deny' },
    ),
    ...present(
      'outbound',
      called && {
        ...called,
        upstreams: said.consul === undefined ? called.upstreams : called.upstreams.map(discovered),
      },
    ),
  };
}

/** With Consul, an upstream without endpoints is looked for by its name. */
function discovered<
  U extends {
    name: string;
    endpoints: readonly unknown[];
    dns?: unknown;
    kubernetes?: unknown;
    consul?: DiscoveryConfig;
  },
>(upstream: U): U {
  return upstream.endpoints.length > 0 || (upstream.dns ?? upstream.kubernetes) !== undefined
    ? upstream
    : { consul: plainDiscovery(upstream.name), ...upstream };
}

type SaidIdentity = NonNullable<PlainOf<typeof sidecarBlock>['identity']>;

/**
 * `files`: PEM files, watched, reloaded when they change. `spire`: an SVID from the Workload API of a SPIRE agent. `consul`: leaf and roots of Connect's CA, which say the trust
 * domain too. `none`: no mesh identity; mesh legs must be plaintext.
 */
export type IdentityConfig =
  | ({ readonly kind: 'files' } & Pick<SaidIdentity, 'ids'> & Record<keyof typeof IDENTITY_FILES, string>)
  | ({ readonly kind: 'spire'; readonly spire: Address } & Pick<SaidIdentity, 'ids' | 'spireOwner' | 'hint'>)
  | { readonly kind: 'consul' }
  | { readonly kind: 'none' };

function identityOf(said: PlainOf<typeof sidecarBlock>): IdentityConfig {
  if (said.identity !== undefined) {
    const { cert = '', key = '', roots = '', spire, ...others } = said.identity;
    const { ids } = others;
    return spire === undefined
      ? { kind: 'files', cert, key, roots, ...present('ids', ids) }
      : { kind: 'spire', spire, ...others };
  }
  return { kind: said.consul === undefined ? 'none' : 'consul' };
}

/** Leaves out what a file may not say: the trust domain of a cluster, and intentions where Consul says them. */
function withoutImplied(config: ReturnType<typeof complete>): PlainOf<typeof sidecarBlock> {
  const { identity, trustDomain, datacenter, inbound, ...rest } = config;
  const { intentions, defaultIntention, ...open } = inbound ?? {};
  return {
    ...rest,
    ...(identity.kind === 'files' || identity.kind === 'spire' ? { identity } : {}),
    ...(identity.kind === 'consul' ? {} : { trustDomain, datacenter }),
    ...present('inbound', config.consul?.intentions ? inbound && (open as typeof inbound) : inbound),
  };
}

/** A sidecar file: the schema that `outrider sidecar -c FILE` reads by. */
export const sidecarFile = inCode(sidecarBlock, complete, withoutImplied);

/** A sidecar file as its options say it: parsed, in the names of the file. */
export type SidecarFile = z.output<typeof sidecarFile>;
