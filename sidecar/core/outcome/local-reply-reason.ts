/**
 * Every answer the sidecar gives by itself: its stable name (the `outrider-reason` trailer, and a metric label),
 * its gRPC status and its text. The one place for them; the texts name limits and neighbours, never internals.
 * Own codes keep to gRFC A54: nothing that a caller would take for the application's word.
 */
import { Status } from './status.js';

const { CANCELLED, DEADLINE_EXCEEDED, INTERNAL, INVALID_ARGUMENT, NOT_FOUND, PERMISSION_DENIED } = Status;
const { RESOURCE_EXHAUSTED, UNAUTHENTICATED, UNAVAILABLE, UNIMPLEMENTED } = Status;

/** Why a sidecar answers a call itself: `outrider-reason`, with the status and the text that go with it. */
export interface LocalReplyReason {
  readonly name: string;
  readonly status: Status;
  /** Text with `{placeholders}`, filled in by `reasonMessage`. */
  readonly template: string;
  /**
   * What it says of a call whose attempts have reached nobody: that the application has not seen it. The answer is marked
   * `outrider-unprocessed` then, and only then (relay/response.ts `sendLocalReply`).
   */
  readonly isUnprocessed: boolean;
}

/** A reason whose name is known to the compiler, so that a table of all names cannot lack one. */
interface Named<Name extends string> extends LocalReplyReason {
  readonly name: Name;
}

function reason<const N extends string>(name: N, status: Status, template: string): Named<N> {
  return { name, status, template, isUnprocessed: false };
}

function unprocessed<const N extends string>(name: N, status: Status, template: string): Named<N> {
  return { name, status, template, isUnprocessed: true };
}

export const LocalReplyReasons = {
  deadlineExceeded: reason('deadline-exceeded', DEADLINE_EXCEEDED, 'deadline of {limitMs} ms exceeded'),
  attemptTimeout: reason('attempt-timeout', DEADLINE_EXCEEDED, 'attempt at {endpoint} exceeded {limitMs} ms'),
  firstMessageTimeout: reason(
    'first-message-timeout',
    DEADLINE_EXCEEDED,
    'no message from {endpoint} within {limitMs} ms',
  ),
  messageTimeout: reason(
    'message-timeout',
    DEADLINE_EXCEEDED,
    'no further message from {endpoint} within {limitMs} ms',
  ),
  idleTimeout: reason('idle-timeout', DEADLINE_EXCEEDED, 'stream was idle for {limitMs} ms'),
  overloaded: unprocessed('overloaded', RESOURCE_EXHAUSTED, '{service} is overloaded: {detail}'),
  rateLimited: unprocessed(
    'rate-limited',
    RESOURCE_EXHAUSTED,
    '{source} calls {service} more often than it may',
  ),
  modelRateLimited: unprocessed(
    'rate-limited',
    RESOURCE_EXHAUSTED,
    '{source} calls {what} of {service} more often than it may',
  ),
  tokenRateLimited: unprocessed(
    'rate-limited',
    RESOURCE_EXHAUSTED,
    '{source} asks {service} for more tokens than it may: {detail}',
  ),
  /** The same in the middle of a stream, whose messages before that have been processed. */
  streamRateLimited: reason(
    'stream-rate-limited',
    RESOURCE_EXHAUSTED,
    '{source} calls {service} more often than it may',
  ),
  streamModelRateLimited: reason(
    'stream-rate-limited',
    RESOURCE_EXHAUSTED,
    '{source} calls {what} of {service} more often than it may',
  ),
  memoryPressure: unprocessed('memory-pressure', RESOURCE_EXHAUSTED, '{service} is short of memory'),
  memoryBudget: unprocessed(
    'memory-budget',
    RESOURCE_EXHAUSTED,
    'memory for calls is short, and this call has stopped or its connection holds most of it',
  ),
  silentStream: reason(
    'silent-stream',
    RESOURCE_EXHAUSTED,
    'nothing moved on this stream, others wait for one to the model of {service}, and this connection has more than its share',
  ),
  tooManyStreams: reason(
    'too-many-streams',
    RESOURCE_EXHAUSTED,
    '{service} takes no more calls about the server from {source}: {detail}',
  ),
  queueExpired: unprocessed(
    'queue-expired',
    DEADLINE_EXCEEDED,
    'deadline passed while waiting for {service}',
  ),
  noEndpoint: unprocessed('no-endpoint', UNAVAILABLE, 'no endpoint of {upstream} can take the call'),
  discoveryPending: unprocessed(
    'discovery-pending',
    UNAVAILABLE,
    'endpoints of {upstream} are not known yet: {detail}',
  ),
  breakerOpen: unprocessed('breaker-open', RESOURCE_EXHAUSTED, '{upstream} has {limit} {what} already'),
  connectFailed: unprocessed('connect-failed', UNAVAILABLE, 'cannot connect to {endpoint}: {detail}'),
  connectionLost: reason('connection-lost', UNAVAILABLE, 'connection to {endpoint} was lost: {detail}'),
  upstreamReset: reason('upstream-reset', UNAVAILABLE, '{endpoint} reset the stream: {detail}'),
  notResumed: reason(
    'not-resumed',
    UNAVAILABLE,
    'the stream broke {where}, and could not be resumed: {detail}',
  ),
  answerAborted: reason(
    'answer-aborted',
    CANCELLED,
    'the client aborted the request, and no other engine continues it',
  ),
  notAllowed: reason('not-allowed', PERMISSION_DENIED, '{source} may not call {destination}'),
  modelNotAllowed: reason(
    'not-allowed',
    PERMISSION_DENIED,
    '{source} may call only some models of {destination}, and {detail}',
  ),
  controlNotAllowed: reason(
    'not-allowed',
    PERMISSION_DENIED,
    '{source} may not change the models of {destination}: an intention has to name {path} (control_methods, or a permission of Consul)',
  ),
  // UNAVAILABLE, not PERMISSION_DENIED: no decision has been made, and another replica may have the intentions.
  notLoaded: unprocessed(
    'intentions-not-loaded',
    UNAVAILABLE,
    'the intentions for {service} are not known yet',
  ),
  noIdentity: reason('no-identity', UNAUTHENTICATED, 'caller has no mesh identity'),
  unknownRoute: reason('unknown-route', UNIMPLEMENTED, 'no route for {path}'),
  modelUnavailable: unprocessed(
    'model-unavailable',
    UNAVAILABLE,
    'model service {service} is not ready: {detail}',
  ),
  /** Other models of the same service are served meanwhile. */
  modelNotReady: unprocessed(
    'model-not-ready',
    UNAVAILABLE,
    "model '{model}' of {service} is not ready: {detail}",
  ),
  // Not marked as unprocessed, and not the answer of a broken connection: the call may be what ended the process.
  modelCrashed: reason(
    'model-crashed',
    UNAVAILABLE,
    'the process of model service {service} ended while the call ran in it: {detail}',
  ),
  // PERMISSION_DENIED: no stock client tries it again, and nothing that gRFC A54 leaves to us says it better.
  poison: reason(
    'poison',
    PERMISSION_DENIED,
    'this request was in {crashes} processes of {upstream} as they crashed or hung, and is refused for {minutes} min after the last one',
  ),
  drainTimeout: reason(
    'drain-timeout',
    UNAVAILABLE,
    '{service} is shutting down, and calls that were under way have had {limitMs} ms',
  ),
  draining: unprocessed('draining', UNAVAILABLE, '{service} is shutting down'),
  tooLarge: reason('too-large', RESOURCE_EXHAUSTED, '{detail} is over the limit of {limit} bytes'),
  /** Header lists: of a request, over our own limit; of a response, over our own or the caller's. */
  metadataTooLarge: reason('metadata-too-large', RESOURCE_EXHAUSTED, '{detail}'),
  // Its status is that of the injected fault: `injected` below.
  faultInjected: reason('fault-injected', UNAVAILABLE, 'a fault was injected for a drill'),
  protocolError: reason('protocol-error', INTERNAL, '{peer} broke the protocol: {detail}'),
  internal: reason('internal', INTERNAL, 'internal error of the sidecar'),
} as const satisfies Record<string, LocalReplyReason>;

/**
 * Answers of a sidecar that is the front of several models, in the place of the model server that the call did not come
 * to: codes and words are those of the inference protocol and of gRPC's health service.
 */
export const ModelReplyReasons = {
  unknownModel: reason('unknown-model', NOT_FOUND, "Request for unknown model: '{model}' is not found"),
  unknownVersion: reason(
    'unknown-model',
    NOT_FOUND,
    "Request for unknown model: '{model}' version {version} is not found; served: {served}",
  ),
  /** Of a method that the sidecar answers for all models; the words are its own, the codes are Triton's. */
  badRequest: reason('repository', INVALID_ARGUMENT, '{detail}'),
  notServedHere: reason('repository', UNIMPLEMENTED, '{detail}'),
  notFoundHere: reason('repository', NOT_FOUND, '{detail}'),
  requestTooLarge: reason('repository', RESOURCE_EXHAUSTED, '{detail}'),
  unknownService: reason('unknown-model', NOT_FOUND, "unknown service '{model}'"),
  otherModel: reason(
    'other-model',
    UNIMPLEMENTED,
    "the stream began with the model '{model}', and a later message names '{other}', which this stream may not be for; expected a stream for each model",
  ),
  noMessage: reason('no-model-name', INVALID_ARGUMENT, 'the name of the model cannot be read: {detail}'),
  unreadable: reason('no-model-name', UNIMPLEMENTED, 'the name of the model cannot be read: {detail}'),
  noModelMethod: reason(
    'no-model-name',
    UNIMPLEMENTED,
    '{path} names no model, and each model of {service} has a process of its own',
  ),
} as const satisfies Record<string, LocalReplyReason>;

/** Every value that `outrider-reason` can have. A new one needs its entry in telemetry/reasons/explanations.ts. */
export type LocalReplyName =
  | (typeof LocalReplyReasons)[keyof typeof LocalReplyReasons]['name']
  | (typeof ModelReplyReasons)[keyof typeof ModelReplyReasons]['name'];

const injectedReasons = new Map<Status, LocalReplyReason>();

/** `faultInjected` with another status; the same object for the same one. */
export function injected(status: Status): LocalReplyReason {
  let made = injectedReasons.get(status);
  if (made === undefined) {
    made = { ...LocalReplyReasons.faultInjected, status };
    injectedReasons.set(status, made);
  }
  return made;
}

/** The reason's text with `values` filled in; placeholders without a value are left out as `?`. */
export function reasonMessage(
  { template }: LocalReplyReason,
  values: Readonly<Record<string, string | number>> = {},
): string {
  return template.replaceAll(/\{(\w+)\}/g, (_, name: string) => String(values[name] ?? '?'));
}
