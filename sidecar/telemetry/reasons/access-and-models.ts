import type { ExplanationsOf } from './explanation.js';

type Name =
  | 'not-allowed'
  | 'intentions-not-loaded'
  | 'no-identity'
  | 'unknown-route'
  | 'model-unavailable'
  | 'model-not-ready'
  | 'model-crashed'
  | 'poison'
  | 'unknown-model'
  | 'repository'
  | 'other-model'
  | 'no-model-name'
  | 'fault-injected'
  | 'internal';

/**
 * Calls that may not be, calls for models that are not there, and what is left.
 *
 * Those about access come from the sidecar of the callee, by the certificate of the caller. Those about models come from it
 * too, and name the model where a service has several; the words of the inference protocol are kept, so that a client that
 * knows Triton understands them.
 */
export const ACCESS_AND_MODELS: ExplanationsOf<Name> = {
  /** inbound/authorization.ts; the caller is known by its certificate alone. */
  'not-allowed': {
    meaning: 'No intention allows this caller to call this service or model, or one denies it.',
    causes: [
      'The intention is missing; the default is to deny.',
      'The caller has another name than the intention.',
      'An intention in Consul with `*` denies it.',
      'The intention has `models`, and the request names another one, or none that can be read.',
      'The method loads or unloads models, and the intention does not name it.',
    ],
    look: [
      '`outrider check`: which callers may not call what they call.',
      'The message: the caller by its certificate, and the service.',
    ],
    remedy: [
      'Add `{ from: CALLER, to: SERVICE, action: allow }` to `intentions`, or a service-intentions entry in Consul.',
      'For a method that loads or unloads models, add `control_methods` to the intention, or in Consul a permission with the path of the method.',
    ],
    options: [
      'inbound.intentions',
      'inbound.intentions[].models',
      'inbound.intentions[].control_methods',
      'inbound.default_intention',
      'consul.intentions',
    ],
  },
  /** inbound/authorization.ts, before the first answer of Consul. */
  'intentions-not-loaded': {
    meaning:
      'The sidecar has not yet read the intentions of its service from Consul. Until then it lets no call in.',
    causes: [
      'The agent does not answer.',
      'The token may not read intentions.',
      'The sidecar has just started.',
    ],
    look: ['`outrider status`: the table of Consul.', '`outrider_consul_query_failing`.'],
    remedy: [
      'Fix the agent.',
      'Give the token `service:read` with `intentions = "read"`.',
      'Set `cache`: it keeps what the run before knew.',
    ],
    options: ['consul.intentions', 'consul.token_file', 'consul.cache'],
  },
  /** inbound/inbound-state.ts, for connections without a certificate. */
  'no-identity': {
    meaning: 'The caller has no certificate of the mesh, and the service requires one (`mtls: strict`).',
    causes: [
      'A client calls the inbound port instead of its own sidecar.',
      'Another program makes a health check.',
    ],
    look: ['The access log of the callee: no `caller`.'],
    remedy: ['Let the client call the `listen` address of the upstream at its own sidecar.'],
    options: ['inbound.mtls', 'upstreams.NAME.listen'],
  },
  /** outbound/router.ts, inbound.ts, and relay/unrouted-stream.ts for the shared listener. */
  'unknown-route': {
    meaning:
      'No route of the file or of Consul matches the method, or the shared listener has no upstream of this name.',
    causes: [
      '`routes` names methods and has none for this one.',
      'A typing error in the name of the method or of the upstream.',
      'A service-router in Consul that matches nothing.',
    ],
    look: ['The message: the path.', '`curl ADMIN/config`: the routes in force.'],
    remedy: ['Add a route for the method, or `*` as the last one.'],
    options: ['routes[].methods', 'outbound.shared'],
  },
  /** inbound/model-backend.ts: callers take it for a refusal, not for a fault. */
  'model-unavailable': {
    meaning:
      'The model beside this sidecar is not ready: it starts, it died, it hangs, or its golden input gets a wrong answer.',
    causes: [
      'The model is still loading.',
      'The process ended; the message says how.',
      'The golden probe fails.',
      'Nothing listens at `local`.',
    ],
    look: [
      '`outrider check`: files and goldens of the model.',
      '`outrider status`: state, `restarts` and `why` of the model.',
      'The log of the model process.',
    ],
    remedy: [
      'Wait for the start, or fix what ends the process.',
      'If the model has changed on purpose, renew its golden output with `outrider golden`.',
    ],
    options: ['model.command', 'model.start_timeout', 'inbound.golden', 'inbound.local'],
  },
  /** inbound/model-backend.ts, where other models of the service are served. */
  'model-not-ready': {
    meaning: 'This model of a service with several is not ready; others are served meanwhile.',
    causes: ['The model is loading, or was unloaded.', 'Its process died or could not load it.'],
    look: ['`outrider status`: the table of models.'],
    remedy: [
      'As for `model-unavailable`, for this one model.',
      'Callers use an endpoint that has the model, if there is one.',
    ],
    options: ['model.isolation', 'model.repository', 'upstreams.NAME.endpoints[].models'],
  },
  /** inbound/process-end-wait.ts, after the end of the process was seen. */
  'model-crashed': {
    meaning:
      'The process of the model ended while the call ran in it. The call may be the cause, so it is not retried.',
    causes: [
      'The request makes the model crash.',
      'Two processes in a row ended with the call in them.',
      'The kernel ended the process for its memory.',
      'An operator ended it.',
    ],
    look: [
      'The message: the exit code or the signal.',
      'The log of the model process.',
      '`outrider status`: `restarts`.',
    ],
    remedy: [
      'With SIGKILL: more memory, or fewer calls at once.',
      'With another signal or code: find the request by its trace id in the access log.',
    ],
    options: ['model.restart', 'inbound.queue.concurrency'],
  },
  /** outbound/poison-requests.ts; the numbers are in core/retry/poison-table.ts. */
  poison: {
    meaning:
      'The same request was in several model processes when they crashed, or in several language-model engines when they stalled. It is refused for some minutes, so that it cannot end all replicas.',
    causes: ['An input that crashes the model, or hangs it.'],
    look: ['`curl ADMIN/endpoints`: `poison`.', 'The access log: `model-crashed` before.'],
    remedy: [
      'Do not send the request again as it is. Fix the model.',
      'Once the model is fixed, wait until the record is forgotten, or restart the sidecar of the caller.',
    ],
    options: ['model.restart'],
  },
  /** inbound/model-router.ts, with the words of the inference protocol. */
  'unknown-model': {
    meaning: 'The service serves no model, or no version, of this name.',
    causes: [
      'A typing error.',
      'The model was unloaded, or is served by another service.',
      'The version policy does not serve this version.',
    ],
    look: ['`outrider status`: models and versions.', 'RepositoryIndex of the inference protocol.'],
    remedy: ['Name a model that is served.', 'Load it, or change `versions`.'],
    options: ['model.versions', 'model.repository'],
  },
  /** app/models/repository-methods.ts and inbound/front-methods.ts. */
  repository: {
    meaning:
      'A call of the model repository or of the front of several models was refused; the text says why.',
    causes: [
      'The request cannot be read.',
      '`control` does not let callers load and unload.',
      'The model is not in the repository.',
    ],
    look: ['The message.'],
    remedy: ['Correct the call; `control: explicit` lets callers load and unload.'],
    options: ['model.repository.control'],
  },
  /** inbound/model-routed-call.ts. */
  'other-model': {
    meaning:
      'A stream began with one model, and a later message names another, which has a process of its own or may not be called.',
    causes: [
      'A client that sends requests for several models over one stream.',
      'The caller may call some models only: then every message has to name the model of the first one.',
    ],
    look: ['The message: both names.'],
    remedy: ['Open a stream for each model.', '`isolation: shared` serves all models from one process.'],
    options: ['model.isolation', 'inbound.intentions[].models'],
  },
  /** inbound/model-router.ts. */
  'no-model-name': {
    meaning:
      'The service has a process for each model, and the name of the model cannot be read from this call.',
    causes: ['The method is not of the Open Inference Protocol.', 'The request is compressed or broken.'],
    look: ['The message.'],
    remedy: ['Use the Open Inference Protocol, or `isolation: shared`.'],
    options: ['model.isolation'],
  },
  /** relay/fault-injection.ts; its status is the one that was asked for. */
  'fault-injected': {
    meaning: 'An operator injected a fault, and it answered the call.',
    causes: ['A drill is running.'],
    look: ['`curl ADMIN/faults`: what is injected, and for how long.', '`outrider_faults_injected_total`.'],
    remedy: ['Wait: it ends by itself. `curl -X DELETE ADMIN/faults` ends it at once.'],
    options: ['fault_injection'],
  },
  /** What should not be: each is counted, and logged with its stack. */
  internal: {
    meaning: 'The sidecar failed. This is a bug.',
    causes: ['A bug in Outrider.'],
    look: ['The log of the sidecar at level `error`.', '`outrider_defects_total`.'],
    remedy: ['Report it, with the line of the log.'],
    options: ['log.level'],
  },
};
