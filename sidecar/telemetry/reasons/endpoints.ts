import type { ExplanationsOf } from './explanation.js';

type Name =
  | 'no-endpoint'
  | 'discovery-pending'
  | 'connect-failed'
  | 'connection-lost'
  | 'upstream-reset'
  | 'not-resumed'
  | 'answer-aborted'
  | 'protocol-error'
  | 'draining'
  | 'drain-timeout';

/**
 * The way to an endpoint, and endpoints that go away.
 *
 * Nearly all are UNAVAILABLE, which clients may try again. The message has the endpoint and the error of the system or the
 * code of HTTP/2; it is in the access log of the caller, where `attempts` shows that the call was tried elsewhere before.
 */
export const ENDPOINTS: ExplanationsOf<Name> = {
  /** outbound/router.ts, after every priority level was asked. */
  'no-endpoint': {
    meaning: 'The upstream has no endpoint that can take the call: none is known, or all are out of service.',
    causes: [
      'No replica runs, or none is registered in Consul under this name.',
      'Each replica is critical in Consul, unhealthy, or starting.',
      'An intention is missing, and each connection was refused.',
      'A filter (tags, meta, subset of a service-resolver) matches no instance.',
      'The DNS name of the upstream has no address, or its Service of Kubernetes no endpoint: no pod is ready.',
    ],
    look: [
      '`outrider check`: the endpoints, Consul, and what its token may do.',
      '`outrider status`: `state` and `why` of each endpoint.',
      '`outrider_consul_instances`.',
    ],
    remedy: [
      'Start a replica, or fix what `why` says.',
      'If models start late, set `cold_start`: calls wait.',
      'Set a `fallback` that answers meanwhile.',
    ],
    options: [
      'upstreams.NAME.consul',
      'upstreams.NAME.dns',
      'upstreams.NAME.kubernetes',
      'upstreams.NAME.endpoints',
      'upstreams.NAME.cold_start',
      'routes[].fallback',
    ],
  },
  /** outbound/circuit-breaker.ts, before the first snapshot. */
  'discovery-pending': {
    meaning:
      'The sidecar does not know the endpoints of the upstream yet, and the call could not wait longer.',
    causes: [
      'The Consul agent, the DNS server or the Kubernetes API does not answer, or answers slowly.',
      'The token may not read the service, or the service account its endpointslices.',
      'The sidecar has just started.',
    ],
    look: [
      '`outrider check`: the endpoints, Consul, and what its token may do.',
      '`outrider status`: the tables of Consul, DNS and Kubernetes.',
      '`outrider_consul_up`, `outrider_consul_query_failing`, `outrider_dns_failing`, `outrider_kubernetes_failing`.',
    ],
    remedy: [
      'Fix the agent, or its address in `consul.address`.',
      'Give the token `service:read` and `node:read`; give the service account the Role of DEPLOY.',
      'Set `cache`: it keeps the endpoints over a restart.',
    ],
    options: ['consul.address', 'consul.token_file', 'consul.cache', 'upstreams.NAME.breaker.max_pending'],
  },
  /** relay/local-reply.ts, from the end of the last attempt, as the next ones are. */
  'connect-failed': {
    meaning: 'No connection to the endpoint could be made; the call was not sent.',
    causes: [
      'Nothing listens there.',
      'A firewall is between the two.',
      'TLS failed: an expired certificate, other roots, another trust domain.',
    ],
    look: [
      '`outrider check`: which endpoints can be reached, and certificates.',
      'The message: the error of the system, or why the certificate was refused.',
      '`outrider_handshake_failures_total` of the callee.',
    ],
    remedy: [
      'Start what should listen, or correct the registered address.',
      'For a refused certificate: `outrider explain` with the word of the log, such as `clock-expired`.',
    ],
    options: [
      'upstreams.NAME.pool.connect_timeout',
      'identity',
      'inbound.listen',
      'consul.registration.address',
    ],
  },
  /** The call may have been processed, which is why it is not marked otherwise. */
  'connection-lost': {
    meaning:
      'The connection to the endpoint broke while the call was under way. The endpoint may have worked on it.',
    causes: [
      'The process of the endpoint ended.',
      'The network lost the connection.',
      'The endpoint closed a connection that broke its rules.',
    ],
    look: [
      'The log of the endpoint at that time.',
      '`outrider status`: `restarts` of the model and of the sidecar.',
    ],
    remedy: ['Let idempotent routes retry: `retry` with `on: [unavailable]`.', 'Fix what ends the process.'],
    options: ['routes[].retry', 'routes[].idempotent', 'upstreams.NAME.pool'],
  },
  /** Its status follows the code of HTTP/2 (core/outcome/status.ts). */
  'upstream-reset': {
    meaning: 'The endpoint ended the stream with RST_STREAM instead of a status.',
    causes: [
      'The service failed on this call.',
      'The service refuses streams, for example because it is stopping.',
      'A proxy in between has its own time limit.',
      'A time limit passed at the endpoint while the caller did not read the response.',
    ],
    look: ['The message: the code of HTTP/2.', 'The log of the service.'],
    remedy: ['Fix the service: a gRPC server answers with a status.', 'Let idempotent routes retry.'],
    options: ['routes[].retry', 'routes[].idempotent'],
  },
  /** outbound/replies.ts, after the caller has had messages. */
  'not-resumed': {
    meaning:
      'A stream broke after its first message, and no endpoint could continue after the messages that the caller has.',
    causes: [
      'The route is not `resumable`, or not idempotent.',
      'The service cannot continue a stream and is not `deterministic`.',
      'The route says `deterministic`, but another endpoint sent other messages. Engines that batch tokens split the same text differently.',
      'The other endpoint answers with another `grpc-encoding` or `content-type`.',
      'The request was larger than `replay`, or a message larger than 16 KiB.',
      'Of a language-model engine: the request is not one whose continuation is exact, or no other engine runs the same model. With `resume: approximate`: it has a grammar or another constraint, `n` above 1, or cannot be read.',
    ],
    look: ['The message: why.', '`outrider_streams_resumed_total`.'],
    remedy: [
      'Let the client start the stream again.',
      'Set `resumable: true` if the service can continue a stream, `deterministic: true` if its messages repeat byte for byte.',
      'Set `resume: approximate` if an answer of an engine may continue in other tokens.',
    ],
    options: [
      ...['routes[].resumable', 'routes[].deterministic', 'routes[].resume', 'routes[].replay'],
      'inbound.engine_model',
    ],
  },
  /** outbound/engine-calls.ts, and outbound/call-end.ts where its engine broke after that. */
  'answer-aborted': {
    meaning:
      'The client of a language-model engine called Abort for this request while no engine had it, or its engine broke after that. Or the Abort went to another engine, as it named several requests or one id that several have.',
    causes: ['The client no longer wants the answer.'],
    look: ['The access log: `attempts` of the call.'],
    remedy: ['None: this is what Abort asks for.'],
    options: ['upstreams.NAME.engine'],
  },
  /** Its status follows what the peer did. */
  'protocol-error': {
    meaning:
      'The peer sent what HTTP/2 or gRPC does not allow: no `grpc-status`, an HTTP error, frames out of order.',
    causes: [
      'The endpoint is not a gRPC server, for example a web server on the same port.',
      'A proxy in between answers with an HTTP error.',
      'A bug in the peer.',
      'The caller sends metadata whose name ends in `-bin` in another form than base64.',
    ],
    look: ['The message: which rule was broken.', '`outrider_protocol_errors_total`.'],
    remedy: [
      'Check the address: a gRPC service must listen there, without TLS if it is `local`.',
      'With a proxy in between: its log.',
    ],
    options: ['inbound.local', 'upstreams.NAME.endpoints[].address'],
  },
  /** inbound/load-streams.ts and the listeners of a sidecar that drains. */
  draining: {
    meaning: 'The sidecar is draining and takes no new calls. The model has not seen the call.',
    causes: ['A deployment or a restart is under way.', 'POST /drain was sent to the admin port.'],
    look: ['`outrider status`: `why` of the sidecar.'],
    remedy: [
      'With several replicas, none is needed: callers use the others.',
      'POST /takeover brings a drained sidecar back.',
    ],
    options: ['drain_timeout'],
  },
  /** app/call-drain.ts, at the end of the drain. */
  'drain-timeout': {
    meaning: 'The sidecar drained, and the call was still running after `drain_timeout`.',
    causes: ['A long stream.', 'A run that is longer than `drain_timeout`.'],
    look: ['The access log: `ms` of the call.'],
    remedy: [
      'Raise `drain_timeout`.',
      'Give streams a limit of their own (`drain_timeout` of the route) and let clients start again.',
    ],
    options: ['drain_timeout', 'routes[].drain_timeout'],
  },
};
