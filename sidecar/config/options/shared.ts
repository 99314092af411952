/**
 * Blocks that stand in both kinds of file: names of the mesh, intentions, the log.
 */
import { MODEL_CONTROL_METHODS } from '../../core/routing/method.js';
import { DEFAULT_DATACENTER, DEFAULT_TRUST_DOMAIN } from '../defaults.js';
import type { FoundBlock } from './found.js';
import { block, blockAs, option, type Report, rules } from './option.js';
import {
  choice,
  duration,
  filePath,
  listenAddress,
  listOf,
  modelName,
  name,
  serviceOrAny,
  trustDomainName,
  yesOrNo,
} from './values.js';

export const trustDomain = option(trustDomainName().optional(), {
  meaning: 'The authority part of every SPIFFE id; peers of another trust domain are refused.',
  otherwise: `\`${DEFAULT_TRUST_DOMAIN}\`; with certificates from Consul, what its cluster says`,
  why: 'A name that cannot be mistaken for a public one.',
});

export const datacenter = option(name('a datacenter').optional(), {
  meaning: 'The datacenter part of every SPIFFE id.',
  otherwise: `\`${DEFAULT_DATACENTER}\`; with certificates from Consul, what its agent says`,
  why: "Consul's own default.",
});

/** `inbound.reflection` of a sidecar, `reflection` of a service. */
export const reflection = option(yesOrNo().optional(), {
  meaning:
    'Whether the sidecar asks its local service by gRPC server reflection (v1, v1alpha), each time it starts, which of its methods are streams. It tells the sidecars of callers, for routes with `kind: auto`.',
  otherwise: '`true`',
  why: 'A service without reflection answers UNIMPLEMENTED once, and is left alone.',
});

/** In a sidecar file. */
export const stateDir = option(filePath('a directory').optional(), {
  meaning:
    'Where the states of models are kept (`INSTANCE.models.json`, small, made private). After a restart a rejected version stays rejected and a rollout continues. Replicas of one service on one machine may share the directory and agree through it on rollouts.',
  otherwise: 'absent: they are forgotten with the process',
  why: 'Only the installation knows a place that lasts.',
});

/** In a mesh file. */
export const meshStateDir = option(filePath('a directory').optional(), {
  meaning:
    'Where the states of models are kept, in a directory for each service. After a restart a rejected version stays rejected and a rollout continues.',
  otherwise: 'absent: in `run_dir`, which outlives each sidecar and not `up`',
  why: 'Leaves nothing behind.',
});

export const drainTimeout = option(duration({ min: 0, max: 3_600_000 }).prefault('30s'), {
  meaning:
    'How long calls in flight may take to finish once a drain has begun. After that they end with UNAVAILABLE and `outrider-reason: drain-timeout`. A route may give its streams less.',
  why: 'Twice the default timeout of a unary call, and what orchestrators wait before they kill.',
});

export const log = option(
  block({
    level: option(choice(['debug', 'info', 'warn', 'error']).prefault('info'), {
      meaning: 'The lowest level of messages that is written.',
      why: 'Changes of state, never single calls.',
    }),
  }).prefault({}),
  { meaning: 'What the sidecar writes to standard error.', why: 'One line of JSON per event.' },
);

/** `admin`: the port for operators. */
export const admin = option(listenAddress().optional(), {
  meaning:
    'Where `/metrics`, `/live`, `/ready`, `/started`, `/endpoints`, `/config`, `/drain` and the status page are served. Whoever reaches it may read, and with `admin_token_file` only those with the token may change something.',
  otherwise: 'absent: not served',
  why: 'Keep it on loopback: without a token, a client that reaches it can drain the sidecar.',
});

export const adminTokenFile = option(filePath('a file with a token').optional(), {
  meaning:
    'File with a token, 16 to 512 characters on one line. Requests that change something (every one but GET and HEAD: `/drain`, `/takeover`, `/rollout`, `/faults`) then need the header `Authorization: Bearer TOKEN`. The file is read for each request, so a new token applies at once. If it cannot be read, they are refused.',
  otherwise: 'absent: no token is asked for',
  why: 'Every user of a machine reaches its loopback ports; a Unix socket in a private folder needs no token.',
});

const OBSERVE_MEANING =
  'Where `/metrics`, `/ready`, `/started` and `/live` are served, for GET and HEAD, and nothing else: for Prometheus and for probes, from other machines too. With a Consul registration the address is in the metadata `outrider-observe`.';

/** `observe` of a sidecar file. */
export const observe = option(listenAddress().optional(), {
  meaning: OBSERVE_MEANING,
  otherwise: 'absent: served at `admin` only',
  why: 'A sidecar opens nothing to the network that the file does not name. `0.0.0.0:9464` is usual.',
});

/** `observe` of a mesh file. */
export const meshObserve = option(listenAddress().optional(), {
  meaning: `${OBSERVE_MEANING} The first sidecar takes this port, and each other one the next. With port 0 each takes any free one.`,
  otherwise: 'absent: served at admin addresses only',
  why: 'A sidecar opens nothing to the network that the file does not name. `127.0.0.1:9464` is usual.',
});

const intention = blockAs('a block such as { from: web, to: digits, action: allow }', {
  from: option(serviceOrAny('the name of a service'), {
    meaning: 'The service that calls.',
    why: 'Without it the intention would match more than is meant.',
  }),
  to: option(serviceOrAny('the name of a service'), {
    meaning: 'The service that is called.',
    why: 'Without it the intention would match more than is meant.',
  }),
  action: option(choice(['allow', 'deny']), {
    meaning: 'What happens to the calls.',
    why: 'A default could allow what is meant to be denied.',
  }),
  models: option(listOf(modelName(), 'models', 64).min(1, { error: 'at least one model' }).optional(), {
    meaning:
      'With `allow`: only calls that name one of these models in their request. Health, reflection and what the server says about itself stay open. Every other call gets PERMISSION_DENIED: other models and methods, MultiInference of TensorFlow Serving, and messages whose model cannot be read (several names, or compressed and more than 64 KiB). Several such intentions for the same two services add up. Not with intentions from Consul.',
    otherwise: 'absent: all models',
    why: 'Most callers may use all that a service has.',
  }),
  control_methods: option(
    listOf(choice([...MODEL_CONTROL_METHODS] as [string, ...string[]]), 'methods', 16)
      .min(1, { error: 'at least one method' })
      .optional(),
    {
      meaning:
        'With `allow`: methods that load and unload models, which the caller may call too. Without it they get PERMISSION_DENIED, even if the caller may call everything else, and with `default_intention: allow`. In Consul, a permission with the path of the method allows it.',
      otherwise: 'absent: none',
      why: 'Leave to use a model is not leave to take it away from others.',
    },
  ),
}).check(rules(refuseDeniedModels));

/** Denying some models would leave open what the rest may be. */
function refuseDeniedModels({ action, models, control_methods }: FoundBlock, report: Report): void {
  if (models !== undefined && action === 'deny')
    report(['models'], 'found with action: deny; expected an intention that allows the other models');
  if (control_methods === undefined) return;
  if (action === 'deny')
    report(['control_methods'], 'found with action: deny; expected it with allow, as they are denied anyway');
  else if (models !== undefined)
    report(
      ['control_methods'],
      'found beside models; expected one of them, as these methods are about all models',
    );
}

const intentionList = listOf(intention, 'intentions');
const INTENTIONS_MEANING =
  "Which service may call which, checked for every call. The most specific one decides: a name before `*`, the called service's name first; deny wins a tie.";

/** In a mesh file. */
export const intentions = option(intentionList.optional(), {
  meaning: INTENTIONS_MEANING,
  otherwise:
    'absent, and `default_intention` too: the caller and each service may call their upstreams; else `[]`',
  why: 'Only the calls that the file itself sets up are allowed.',
});

/** In a sidecar file, where Consul may say it instead. */
export const ownIntentions = option(intentionList.optional(), {
  meaning: INTENTIONS_MEANING,
  otherwise: '`[]`; with `consul.intentions`, what Consul says',
  why: 'No caller is let in by accident.',
});

const ACTIONS = ['allow', 'deny'] as const;
const DEFAULT_INTENTION_MEANING = 'What happens to a caller that no intention names.';

/** In a mesh file. */
export const defaultIntention = option(choice(ACTIONS).optional(), {
  meaning: DEFAULT_INTENTION_MEANING,
  otherwise: '`deny`',
  why: 'Fails closed.',
});

/** In a sidecar file, where Consul may say it instead. */
export const ownDefaultIntention = option(choice(ACTIONS).optional(), {
  meaning: DEFAULT_INTENTION_MEANING,
  otherwise: "`deny`; with `consul.intentions`, the policy of Consul's ACL system",
  why: 'Fails closed.',
});
