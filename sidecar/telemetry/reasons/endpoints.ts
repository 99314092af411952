import type { ExplanationsOf } from './explanation.js';

type Name =
  | 'no-endpoint'
  | 'discovery-pending'
  | 'connect-failed'
  | 'connection-lost'
  | 'upstream-reset'
  | 'not-resumed'
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
    meaning: 'The upstream has no endpoint that could take the call: none is known, or each is out.',
    causes: [
      'No replica runs, or none is registered in Consul under this name.',
      'Each replica is critical in Consul, unhealthy, or starts.',
      'An intention is missing, and each connection was refused.',
      'A filter (tags, meta, subset of a service-resolver) fits no instance.',
      'The DNS name of the upstream has no address: no pod of its service is ready.',
    ],
    look: [
      '`outrider check`: the endpoints, Consul, and what its token may do.',
      '`outrider status`: `state` and `why` of each endpoint.',
      '`outrider_consul_instances`.',
    ],
    remedy: [
      'Start a replica, or mend what `why` says.',
      'Where models start late: `cold_start` lets calls wait.',
      'A `fallback` answers meanwhile.',
    ],
    options: [
      'upstreams.NAME.consul',
      'upstreams.NAME.dns',
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
      'The Consul agent or the DNS server does not answer, or answers slowly.',
      'The token may not read the service.',
      'The sidecar has just started.',
    ],
    look: [
      '`outrider check`: the endpoints, Consul, and what its token may do.',
      '`outrider status`: the tables of Consul and DNS.',
      '`outrider_consul_up`, `outrider_consul_query_failing`, `outrider_dns_failing`.',
    ],
    remedy: [
      'Mend the agent, or its address in `consul.address`.',
      'Give the token `service:read` and `node:read`.',
      'A `cache` serves the endpoints of the run before.',
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
      'Start what should listen, or mend the address that is registered.',
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
    remedy: [
      'Let idempotent routes try again: `retry` with `on: [unavailable]`.',
      'Mend what ends the process.',
    ],
    options: ['routes[].retry', 'routes[].idempotent', 'upstreams.NAME.pool'],
  },
  /** Its status follows the code of HTTP/2 (core/outcome/status.ts). */
  'upstream-reset': {
    meaning: 'The endpoint ended the stream with RST_STREAM instead of a status.',
    causes: [
      'The service fell over this one call.',
      'The service refuses streams, for example because it ends.',
      'A proxy in between has a time limit of its own.',
      'A time limit passed at the endpoint while the caller did not read the response.',
    ],
    look: ['The message: the code of HTTP/2.', 'The log of the service.'],
    remedy: ['Mend the service: a gRPC server answers with a status.', 'Let idempotent routes try again.'],
    options: ['routes[].retry', 'routes[].idempotent'],
  },
  /** outbound/replies.ts, after the caller has had messages. */
  'not-resumed': {
    meaning:
      'A stream broke after it had begun to answer, and no endpoint could go on after the messages that the caller has.',
    causes: [
      'The route is not `resumable`, or not idempotent.',
      'The service does not know how to go on and is not `deterministic`.',
      'The service is said to be `deterministic`, but another endpoint repeated other messages. Engines that batch tokens send the same text in messages of other boundaries.',
      'The other endpoint answers with another `grpc-encoding` or `content-type`.',
      'The request was larger than `replay`, or a message larger than 16 KiB.',
    ],
    look: ['The message: why.', '`outrider_streams_resumed_total`.'],
    remedy: [
      'Let the client begin again.',
      'Set `resumable: true` where the service can go on, `deterministic: true` where its messages repeat, byte for byte.',
    ],
    options: ['routes[].resumable', 'routes[].deterministic', 'routes[].replay'],
  },
  /** Its status follows what the peer did. */
  'protocol-error': {
    meaning:
      'The peer sent what HTTP/2 or gRPC does not allow: no `grpc-status`, an HTTP error, frames out of order.',
    causes: [
      'What answers is no gRPC server, for example a web server on the same port.',
      'A proxy in between answers with an HTTP error.',
      'An error of the peer.',
    ],
    look: ['The message: what was broken.', '`outrider_protocol_errors_total`.'],
    remedy: [
      'Check the address: a gRPC service has to listen there, without TLS where it is `local`.',
      'With a proxy in between: its log.',
    ],
    options: ['inbound.local', 'upstreams.NAME.endpoints[].address'],
  },
  /** inbound/load-streams.ts and the listeners of a sidecar that drains. */
  draining: {
    meaning: 'The sidecar takes no new calls, because it drains. The model has not seen the call.',
    causes: ['A deployment or a restart is under way.', 'POST /drain was sent to the admin port.'],
    look: ['`outrider status`: `why` of the sidecar.'],
    remedy: [
      'None is needed with several replicas: callers go elsewhere.',
      'POST /takeover brings a drained sidecar back.',
    ],
    options: ['drain_timeout'],
  },
  /** app/call-drain.ts, at the end of the drain. */
  'drain-timeout': {
    meaning: 'The sidecar drained, and the call was not over when `drain_timeout` had passed.',
    causes: ['A long stream.', 'A run that is longer than `drain_timeout`.'],
    look: ['The access log: `ms` of the call.'],
    remedy: [
      'Raise `drain_timeout`.',
      'Give streams a limit of their own (`drain_timeout` of the route) and let clients begin again.',
    ],
    options: ['drain_timeout', 'routes[].drain_timeout'],
  },
};
