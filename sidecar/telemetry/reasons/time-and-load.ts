import type { ExplanationsOf } from './explanation.js';

type Name =
  | 'deadline-exceeded'
  | 'attempt-timeout'
  | 'first-message-timeout'
  | 'message-timeout'
  | 'idle-timeout'
  | 'queue-expired'
  | 'overloaded'
  | 'rate-limited'
  | 'stream-rate-limited'
  | 'memory-pressure'
  | 'memory-budget'
  | 'silent-stream'
  | 'too-many-streams'
  | 'breaker-open'
  | 'too-large'
  | 'metadata-too-large';

/**
 * Calls that took too long, and calls that were more than there is room for.
 *
 * Of the first kind the status is DEADLINE_EXCEEDED, of the second RESOURCE_EXHAUSTED, which no stock client tries again by
 * itself. What was refused before the model saw it is marked as not processed, so that the sidecar of the caller may go to
 * another endpoint within its retry budget. The causes are in the order of likelihood;
 * the first thing to look at is the one that tells most of them apart.
 */
export const TIME_AND_LOAD: ExplanationsOf<Name> = {
  /** relay/local-reply.ts on both sides; outbound/replies.ts after attempts. */
  'deadline-exceeded': {
    meaning:
      'The deadline of the call passed before there was an answer. The attempt that was running was cancelled.',
    causes: [
      'The model runs longer than the deadline allows.',
      'The call waited in the queue before the model.',
      'Failed attempts and the pauses between them took the time.',
      'The client sends no deadline, and the default of a unary route (15 s) is too short.',
    ],
    look: [
      'The access log: `attempts` has each attempt with its start (`atMs`) and its length (`ms`).',
      '`outrider status`: `waiting` of the queue, and `latency` of each endpoint.',
      '`outrider_call_seconds` of both sides; what lies between them is the network.',
    ],
    remedy: [
      'Give the client a longer deadline, or the route a longer `timeout`.',
      'With a long queue: more replicas, or a smaller `max_waiting`, so that calls are refused early.',
      'With one slow endpoint among good ones: `attempt_timeout` with `retry`, or `hedge`.',
    ],
    options: [
      'routes[].timeout',
      'routes[].max_timeout',
      'routes[].attempt_timeout',
      'inbound.queue.max_waiting',
    ],
  },
  /** outbound/attempt-timeout.ts; on the inbound side there is none. */
  'attempt-timeout': {
    meaning:
      'One attempt took longer than `attempt_timeout`, and no other attempt followed. It counts as a fault of its endpoint.',
    causes: [
      'The endpoint is slow or hangs.',
      'The limit is shorter than a normal run of the model and its wait in the queue.',
      'The route allows no retry, or the retry budget is used up.',
    ],
    look: [
      '`outrider status`: `latency` and `to peers` of the endpoint.',
      '`outrider_retry_budget_refused_total`.',
    ],
    remedy: [
      'Set `attempt_timeout` above the longest normal run; `outrider_call_seconds` of the inbound side has it.',
      'Let idempotent routes retry: `retry` with `attempts` of 2 or more.',
    ],
    options: ['routes[].attempt_timeout', 'routes[].retry', 'upstreams.NAME.budget'],
  },
  /** outbound/replies.ts, for streams alone. */
  'first-message-timeout': {
    meaning: 'A stream had no message within `first_message_timeout`, and no other attempt followed.',
    causes: [
      'The model takes longer until its first message, for example with a long prompt.',
      'The stream waited in the queue, because more streams came than `queue.concurrency` allows.',
      'The endpoint hangs.',
    ],
    look: [
      '`outrider_endpoint_first_message_seconds` of each endpoint.',
      '`outrider_queue_waiting` of the service.',
    ],
    remedy: [
      'Raise the limit above the longest normal start.',
      'Set `queue.concurrency` to the streams that a replica runs at once, and `max_waiting` to 0.',
      'Allow a retry on the route.',
    ],
    options: [
      'routes[].first_message_timeout',
      'routes[].retry',
      'inbound.queue.concurrency',
      'inbound.queue.max_waiting',
    ],
  },
  /** outbound/replies.ts, for streams alone. */
  'message-timeout': {
    meaning:
      'A stream had no further message within `message_timeout`, and no other endpoint could continue.',
    causes: [
      'The endpoint hangs in the middle of its answer.',
      'The service pauses longer between messages than the limit allows.',
      'Of a language-model engine: five engines in turn fell silent under this request, and it is not moved more often.',
    ],
    look: ['`outrider status`: faults of the endpoint.', 'The log of the model: what it did last.'],
    remedy: [
      'Raise the limit above the longest pause of a healthy stream.',
      'Let the stream continue elsewhere: `resumable`, or `engine` at the upstream.',
    ],
    options: ['routes[].message_timeout', 'routes[].resumable', 'upstreams.NAME.engine'],
  },
  /** Both sides have the limit; the shorter one speaks. */
  'idle-timeout': {
    meaning: 'Nothing moved on a stream, in either direction, for `idle_timeout`.',
    causes: [
      'The stream is over, and neither side has closed it.',
      'The service pauses longer between messages than the limit allows.',
      'A client does not read what it is sent.',
    ],
    look: ['The access log: `ms` of the call against the limit.'],
    remedy: ['Raise `idle_timeout` of the route, or let the service send a message now and then.'],
    options: ['routes[].idle_timeout'],
  },
  /** inbound/admission.ts, a moment before the deadline, so that the caller hears it. */
  'queue-expired': {
    meaning:
      'The deadline passed, or was about to pass, while the call waited for a place at the model. The model has not seen it.',
    causes: ['More calls arrive than the model can run.', 'The deadline is shorter than the usual wait.'],
    look: [
      '`outrider status`: `running` and `waiting`.',
      '`outrider_queue_expired_total`, `outrider_queue_waiting`.',
    ],
    remedy: [
      'Add replicas, or raise `concurrency` if the model can run more at once.',
      'Lower `max_waiting`: such calls are then refused at once, and the caller can try another replica.',
    ],
    options: ['inbound.queue.concurrency', 'inbound.queue.max_waiting', 'inbound.queue.priority'],
  },
  /** inbound/admission.ts; the text says which bound it was. */
  overloaded: {
    meaning:
      'The queue before the model is full, or a more important call took the place. The model has not seen the call.',
    causes: [
      'More calls arrive than the model can run.',
      'A replica is down, and the others get its calls.',
      'The adaptive limit is low because runs have become slow.',
    ],
    look: [
      '`outrider status`: `running` and `waiting` of each replica, and which endpoints are out.',
      '`outrider_queue_waiting`, `outrider_queue_concurrency`, `outrider_queue_evicted_total`.',
    ],
    remedy: [
      'Add replicas.',
      'Raise `max_waiting` if callers can wait, `concurrency` if the model can run more at once.',
      'Give important callers a class of `priority`.',
    ],
    options: [
      'inbound.queue.concurrency',
      'inbound.queue.max_waiting',
      'inbound.queue.adaptive',
      'inbound.queue.priority',
    ],
  },
  /** inbound/admission.ts, before the queue is asked. */
  'rate-limited': {
    meaning:
      'The caller makes more calls per second than `rate_limits` allows, in all or for the model that the message names. Or it asks a language-model engine for more tokens per minute than `tokens_per_minute` allows, as the message says. Each replica counts for itself. The sidecar of the caller tries one other replica, outside the retry budget.',
    causes: [
      'The caller repeats calls in a loop.',
      'The traffic has outgrown the limit.',
      'Requests whose model cannot be read count for the first limit of any model: the message says why.',
      'Requests ask for far more tokens (`max_tokens`, `n`) than they get: all of them are reserved until the answer ends.',
    ],
    look: ['`outrider_rate_limited_total`.', 'The access log of the callee: `caller`.'],
    remedy: [
      'Slow the caller down; `grpc-retry-pushback-ms` says for how long. −1: this request asks for more tokens than a minute has.',
      'Raise `per_second`, `burst` or `tokens_per_minute`.',
      'Let requests say a `max_tokens` that is near to what they get.',
    ],
    options: ['inbound.rate_limits'],
  },
  /** inbound/admission.ts, in the middle of a stream. */
  'stream-rate-limited': {
    meaning:
      'A message of a stream names another model than the one before it, more often than `rate_limits` allows. Messages before it have been processed, so the stream is not repeated.',
    causes: ['A client changes the model from message to message of one stream.'],
    look: ['`outrider_rate_limited_total`.', 'The access log of the callee: `caller`.'],
    remedy: ['Open a stream for each model.', 'Raise `per_second` or `burst`.'],
    options: ['inbound.rate_limits'],
  },
  /** inbound/admission.ts, from what the kernel says of the machine or the cgroup. */
  'memory-pressure': {
    meaning:
      'The machine or the container beside the model is short of memory; new calls are refused before the kernel ends a process.',
    causes: ['The model needs more memory than it was given.', 'Another program on the machine takes it.'],
    look: [
      '`outrider_memory_used_ratio`, `outrider_memory_pressure_total`.',
      '`outrider_model_memory_bytes`.',
    ],
    remedy: [
      'Give the container more memory, or the model fewer instances.',
      'Limit how many calls run at once.',
    ],
    options: ['inbound.queue.concurrency', 'model.instances'],
  },
  /** transport/memory-budget.ts chooses the connection, relay/relayed-call.ts answers. */
  'memory-budget': {
    meaning:
      'Memory for calls (`memory_budget`) is short, and this call was ended to free some. Its caller had stopped in the middle of a request, or its connection held most of the memory. If the request was complete and the model had not seen it, the sidecar of the caller sends it to another replica.',
    causes: [
      'A client sends much and reads slowly.',
      'A client begins requests and does not finish them.',
      'Many large calls wait at once.',
      'The budget is small for the size of the calls.',
    ],
    look: ['`outrider_buffered_bytes`, `outrider_shed_calls_total`.'],
    remedy: ['Let the client read its answers, or make fewer calls at once.', 'Raise `memory_budget`.'],
    options: ['limits.memory_budget', 'limits.replay_bytes_per_call'],
  },
  /** inbound/model-instance.ts, only while others wait for a stream. */
  'silent-stream': {
    meaning:
      'The model allows few streams and others wait for one. Nothing moved on this one, and its connection has more than its share.',
    causes: ['A client opens streams and leaves them.', 'The model server allows very few streams at once.'],
    look: ['`outrider_calls_in_flight` of the inbound side.', '`outrider_limit_hits_total`.'],
    remedy: ['Close streams that are not used.', 'Raise the number of streams that the model server allows.'],
    options: ['limits.max_concurrent_streams', 'inbound.queue'],
  },
  /** inbound/health-watches.ts and inbound/backend/server-calls.ts. */
  'too-many-streams': {
    meaning:
      'The caller, or all callers together, have as many health watches, reflection streams or health checks open as the sidecar allows.',
    causes: [
      'A client opens health watches or reflection streams and leaves them.',
      'Health checks for a service that only the model knows, while the model does not answer.',
    ],
    look: ['The message: which limit.', '`outrider_calls_in_flight` of the inbound side.'],
    remedy: [
      'Close streams that are not used.',
      'Ask for the health of the model, or of the server as a whole.',
    ],
    options: ['limits.max_concurrent_streams'],
  },
  /** outbound/circuit-breaker.ts and outbound/router.ts. */
  'breaker-open': {
    meaning: 'The upstream has as many calls in flight or waiting as `breaker` allows.',
    causes: [
      'The upstream is slow, and calls pile up.',
      'The caller makes more calls at once than planned.',
      'The limit, or the one in Consul (`Limits` of service-defaults), is low.',
    ],
    look: ['`outrider_breaker_open_total`: `limit` says which.', '`outrider_breaker_in_flight`.'],
    remedy: [
      'Find out why the upstream is slow: `outrider status`.',
      'Raise the limit that the message names.',
    ],
    options: ['upstreams.NAME.breaker'],
  },
  /** The limits of the relay and of the reader of model names. */
  'too-large': {
    meaning: 'A message that the sidecar has to keep is larger than a limit.',
    causes: ['A request names its model late, and the sidecar has to read the name.'],
    look: ['The message names what was too large and the limit.'],
    remedy: ['Raise the limit that the message names.'],
    options: ['limits.replay_bytes_per_call'],
  },
  /** transport/header-limit.ts, relay/attempt.ts and relay/response.ts. */
  'metadata-too-large': {
    meaning:
      'The headers of a request are over the limit of a sidecar or of the model server, or the headers of a response are over the limit that the caller announced. Long error messages are cut and do not cause it.',
    causes: [
      'Large metadata, such as a token.',
      'A model server accepts only 8 KiB (gRPC for Java, such as TorchServe). Some servers end the connection for more.',
      'A model sends much initial metadata to a client that accepts only 8 KiB (gRPC for Java) or 16 KiB (gRPC for Python).',
    ],
    look: [
      'The message names what was too large and the limit.',
      '`outrider_limit_hits_total{limit="header-list"}`.',
    ],
    remedy: [
      'Send less in metadata.',
      'For requests: raise the limit that the message names, at the sidecar or at the model server.',
      'For responses: raise the limit of the client (`grpc.absolute_max_metadata_size`, `maxInboundMetadataSize`).',
    ],
    options: ['limits.max_header_bytes', 'limits.max_header_fields'],
  },
};
