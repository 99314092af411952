/**
 * Routes: what the sidecar may do with a method, on either side of the mesh.
 */
import { areReadOnly, KNOWN_STREAMS, MODEL_METHODS, matchesMethod } from '../../../core/routing/method.js';
import { writeDuration } from '../../codecs/duration.js';
import { quoted } from '../../codecs/parse-result.js';
import { RETRYABLE_STATUSES, retryableName, statusCode } from '../../codecs/status-code.js';
import type { CodeOf } from '../../names.js';
import { present } from '../../present.js';
import {
  defaultIdleTimeoutMs,
  defaultKind,
  defaultTimeoutMs,
  HOLD_BYTES,
  READ_ONLY_RETRY,
  type RouteKind,
  SAMPLE_BYTES,
  type UnaryTimes,
} from '../../route-defaults.js';
import { type FoundBlock, mapping, number, text, texts } from '../found.js';
import { methodList } from '../method-list.js';
import { block, blockAs, inCode, option, type Report, rules } from '../option.js';
import {
  choice,
  duration,
  durationOrNone,
  listOf,
  modelName,
  refuseMaxBelowBase,
  size,
  wholeNumber,
  yesOrNo,
} from '../values.js';
import { fallback } from './fallback.js';
import { hedge } from './hedge.js';
import { mirror } from './mirror.js';
import { outcomes, refuseRetriedSuccesses } from './outcomes.js';
import { mayRepeat, refuseBadDetours } from './rules.js';
import { split } from './split.js';

const KIB = 1_024;
const GIB = 1_073_741_824;
const HOUR_MS = 3_600_000;
const DAY_MS = 24 * HOUR_MS;

const methods = option(methodList(), {
  meaning:
    'The methods this route is about: `/package.Service/Method`, `/package.Service/*` or `*`. The first route that matches decides.',
  why: 'A route without methods would never match.',
});

const kind = option(choice(['unary', 'streaming', 'auto']).optional(), {
  meaning:
    'Whether one message answers one message. `auto`: methods that the service itself describes as unary (its sidecar asks it by gRPC server reflection) are unary, all others streams; of streams whose last 50 answers had one message each the whole time is compared, as of unary calls, and no more. Only unary methods get the default timeout and have their answer held (up to `hold`, on the inbound side 64 KiB) until its status is known. Streams are held until their first message, where the route has `retry` and is idempotent, or has `hedge`, `fallback` or `first_message_timeout`; not while the caller has more to send.',
  otherwise:
    "`unary` when every method is known to be: of the Open Inference Protocol, `grpc.health.v1.Health/Check`, TensorFlow Serving's PredictionService, TorchServe's `Ping` and `Predictions`; else `auto`",
  why: 'The wire does not say it, and calling a stream unary would break it; the service knows.',
});

const timeout = option(durationOrNone({ min: 1, max: DAY_MS }).optional(), {
  meaning:
    "Upper bound on a call, all its attempts included. The caller's own deadline may be shorter and is never extended.",
  otherwise: '`15s` for unary methods, `none` for streams; on the inbound side `none` with `kind: auto`',
  why: 'Long enough for a slow model on a busy machine; a stream may live as long as it is used.',
});

const idleTimeout = option(durationOrNone({ min: 1, max: DAY_MS }).optional(), {
  meaning: 'A stream without a frame in either direction for this long is ended.',
  otherwise: '`5m` for streams, `none` for unary methods',
  why: 'Longer than the pauses of a living stream; a unary call has its timeout.',
});

const drainTimeout = option(duration({ min: 1, max: HOUR_MS }).optional(), {
  meaning:
    'Longest time that a stream may go on once a drain has begun; it ends then with UNAVAILABLE and `outrider-reason: drain-timeout`, and the caller, or its sidecar where the stream is `resumable`, goes on elsewhere.',
  otherwise: "the sidecar's `drain_timeout`",
  why: 'A stream of an hour does not end by itself in the time that a restart may take.',
});

const maxTimeout = option(
  inCode(
    durationOrNone({ min: 1, max: DAY_MS }).optional(),
    (said) => said || undefined,
    (config) => config ?? 0,
  ),
  {
    meaning:
      'Longest deadline that a caller is granted; a later one is brought forward to it, on streams too. What `timeout` says still holds.',
    otherwise: '`none`',
    why: 'A caller usually knows how long it can wait; where callers are not trusted, set a bound.',
  },
);

/** `retry` of a route: Envoy's `retry_policy`, gRPC's `retryPolicy`. */
export const retry = block({
  attempts: option(wholeNumber({ min: 2, max: 5 }).prefault(2), {
    meaning: 'Attempts in all, the first one included.',
    why: 'A second endpoint answers almost everything a third would; gRPC itself stops at 5.',
  }),
  on: option(
    listOf(
      inCode(choice(RETRYABLE_STATUSES), (name): number => statusCode(name), retryableName),
      'status codes',
    ).prefault(['unavailable']),
    {
      meaning:
        'The status codes worth another attempt. With `[]` only calls that no endpoint has begun to process are tried again.',
      why: '`unavailable` is what gRPC says when the endpoint is the problem and not the call.',
    },
  ),
  backoff: option(
    block({
      base: option(duration({ min: 1, max: 60_000 }).prefault('25ms'), {
        meaning:
          'Upper bound of the random wait before the second attempt; it doubles with each further one.',
        why: 'Below what a person or a batch job notices, above the time a broken connection takes to be seen.',
      }),
      max: option(duration({ min: 1, max: 600_000 }).prefault('250ms'), {
        meaning: 'The wait never exceeds this.',
        why: 'Ten times the base, as in Envoy.',
      }),
    })
      .check(rules(refuseMaxBelowBase))
      .prefault({}),
    {
      meaning: 'The wait between attempts, drawn evenly from zero to a bound that doubles.',
      why: 'Full jitter keeps callers from coming back in step.',
    },
  ),
  final: option(yesOrNo().optional(), {
    meaning:
      'True: an application whose call has failed, and for which the attempts, the budget or the circuit breaker allow no other attempt, is told to make none either (`grpc-retry-pushback-ms: -1`, gRFC A6), so that a gRPC client with retries of its own does not multiply them. Not where no endpoint was reached, nor where the endpoint has said when to come back.',
    otherwise: '`false`',
    why: 'An application that retries more slowly may outlast a fault for which the attempts here were too quick.',
  }),
});

/** A route on the side of the model: times, and whether a call may go to another instance of its model. */
export const inboundRoute = inCode(
  block({
    methods,
    kind,
    idempotent: option(yesOrNo().optional(), {
      meaning:
        'True when doing it twice does no harm. Where the model has several instances, a unary call whose process was killed from outside or stood still is then sent once more, to another instance; a call that may have crashed its process is not.',
      otherwise: '`no`; `yes` when every method only reads',
      why: 'For other methods it depends on the model.',
    }),
    timeout,
    max_timeout: maxTimeout,
    idle_timeout: idleTimeout,
    drain_timeout: drainTimeout,
  }).check(rules(refuseHeldStreams, refuseShortGrants, refuseUnaryDrain)),
  (said): RouteConfig => ({
    ...said,
    ...timesOf(said),
    idempotent: said.idempotent ?? areReadOnly(said.methods),
    attemptTimeoutMs: 0,
    holdBytes: HOLD_BYTES,
    sampleBytes: SAMPLE_BYTES,
  }),
  saidTimes,
);

/** A route of an upstream. Unsaid times follow from its kind; methods that only read are idempotent and tried three times. */
export const outboundRoute = inCode(
  blockAs('a block with methods and what to do with them', {
    methods,
    models: option(listOf(modelName(), 'models', 64).min(1, { error: 'at least one model' }).optional(), {
      meaning:
        'The route is for calls that name one of these models in their request only; those that name another go on to the routes below. Read as in `split.match`.',
      otherwise: 'absent: whatever model a call names',
      why: 'Most rules are about a method.',
    }),
    kind,
    idempotent: option(yesOrNo().optional(), {
      meaning:
        'True when doing it twice does no harm. Nothing that an endpoint may have begun is tried again without it.',
      otherwise:
        '`no`; `yes` when every method only reads (ServerLive, ServerReady, ModelReady, ServerMetadata, ModelMetadata, ModelConfig, ModelStatistics, RepositoryIndex of the Open Inference Protocol, `grpc.health.v1.Health/Check`)',
      why: 'For other methods it depends on the model.',
    }),
    timeout,
    max_timeout: maxTimeout,
    idle_timeout: idleTimeout,
    drain_timeout: drainTimeout,
    attempt_timeout: option(durationOrNone({ min: 1, max: DAY_MS }).prefault('none'), {
      meaning:
        'Longest one attempt may take, in a unary call from when the endpoint has all of the request; then it counts as a fault of its endpoint and another attempt may follow. An answer that has begun is not timed: of a stream, the first message.',
      why: 'It has to be well above what the model usually needs.',
    }),
    first_message_timeout: option(duration({ min: 1, max: DAY_MS }).optional(), {
      meaning:
        'Longest that the first message of a stream may take, from when the endpoint has all of the request; then it counts as a fault of its endpoint, and another attempt may follow. It never runs while the caller has more to send, and ends nothing that has begun to answer. Streams only.',
      otherwise: 'absent: no limit but that of the call',
      why: 'Whether a stream that says nothing is at work or lost depends on the service.',
    }),
    hold: option(size({ min: KIB, max: GIB }).prefault('64KiB'), {
      meaning:
        'Longest unary answer that is held until its status is known. A longer one is passed on as it comes: should it end in an error after that, no retry, hedge or fallback follows, and `last-good` does not keep it.',
      why: 'An answer that is held reaches the caller later, by the time it takes to arrive whole.',
    }),
    replay: option(size({ min: 0, max: GIB }).optional(), {
      meaning:
        'Longest request that is kept until its answer begins, for a retry, a hedge, a fallback, a mirrored copy or the question to a peer about an invalid answer. A longer one gets a single attempt and none of these.',
      otherwise: '`limits.replay_bytes_per_call`',
      why: 'What one call may keep is a matter of the whole process.',
    }),
    sample: option(size({ min: 0, max: GIB }).prefault('4MiB'), {
      meaning:
        'Longest answer beyond `hold` of which a reference is kept while it is passed on, for `invalid_output` (a few calls a second) and `mirror`. With `0B` none is.',
      why: 'The largest message that gRPC lets through by default.',
    }),
    resumable: option(yesOrNo().optional(), {
      meaning:
        'A stream whose endpoint dies after its first message is continued at another, as its retries and the retry budget allow: the request is sent again with the metadata `outrider-resume-after: K`, and the caller gets what follows message K. The service goes on there and says so (`outrider-resumed-from: K` in its response headers, as the model server does where model.yaml says `resumable`), or is `deterministic`. For requests that are complete and within `replay`, and messages of up to 16 KiB; other streams end with a status and `outrider-reason`. Needs `idempotent: true` and `retry`.',
      otherwise: '`no`',
      why: 'Only the service can say that another replica goes on with the same words.',
    }),
    deterministic: option(yesOrNo().optional(), {
      meaning:
        'With `resumable`: the same request gets the same messages in the same order each time. Of a service that begins anew, the sidecar leaves out those that the caller has.',
      otherwise: '`no`',
      why: 'Most services that stream draw by chance, and two halves of different answers would be worse than an error.',
    }),
    outcomes,
    retry: option(retry.optional(), {
      meaning:
        'Present: calls may be tried again, each time at another endpoint. Where there is no other, after the wait that the endpoint asks for with `grpc-retry-pushback-ms`, unless it is longer than the time left, or than 60 s for a call without a deadline.',
      otherwise:
        'absent: one attempt; three on `unavailable` when every method only reads and `idempotent` is not said',
      why: 'A retry multiplies load, so a route has to ask for it.',
    }),
    hedge,
    fallback,
    split,
    mirror,
  }).check(
    rules(
      refuseHeldStreams,
      refuseUnnamedModels,
      refuseShortGrants,
      refuseUnaryDrain,
      refuseLongAttempts,
      refuseFirstMessages,
      refuseResumption,
      refuseUnsafeRetries,
      refuseRetriedSuccesses,
      (route, report) =>
        refuseBadDetours({ route, kind: kindOf(route), timeoutMs: timeoutOf(route) }, report),
    ),
  ),
  (said) => ({ ...said, ...timesOf(said), ...repeatsOf(said) }),
  saidTimes,
);

/** A route of either side. */
export type RouteConfig = CodeOf<typeof outboundRoute>;

interface RouteTimes {
  readonly methods: readonly string[];
  readonly kind?: RouteKind;
  readonly timeoutMs?: number;
  readonly idleTimeoutMs?: number;
}

/** Unsaid times follow from the kind of the route, and that from its methods. */
function timesOf({ methods: patterns, kind: said, timeoutMs, idleTimeoutMs: idleMs }: RouteTimes) {
  const kind = said ?? defaultKind(patterns);
  const times = (of: RouteKind) => ({
    timeoutMs: timeoutMs ?? defaultTimeoutMs(of),
    idleTimeoutMs: idleMs ?? defaultIdleTimeoutMs(of),
  });
  return { kind, ...times(kind), ...present('ifUnary', kind === 'auto' ? times('unary') : undefined) };
}

/** As it is written: without times that were not said, as those of a method that turns out to be unary are others. */
function saidTimes<R extends { readonly ifUnary?: UnaryTimes }>(route: R): R {
  const { ifUnary } = route;
  if (ifUnary === undefined) return route;
  const times = Object.entries(ifUnary);
  return Object.fromEntries(
    Object.entries(route).filter(([name, ms]) =>
      times.every(([time, other]) => time !== name || ms === other),
    ),
  ) as R;
}

/** Methods that only read need not say so. */
function repeatsOf(said: {
  readonly methods: readonly string[];
  readonly idempotent?: boolean;
  readonly retry?: CodeOf<typeof retry>;
}) {
  const isReading = said.idempotent === undefined && areReadOnly(said.methods);
  const implied: CodeOf<typeof retry> | undefined = isReading ? READ_ONLY_RETRY : undefined;
  return {
    idempotent: said.idempotent ?? isReading,
    ...present('retry', said.retry ?? implied),
  };
}

function kindOf(route: FoundBlock): RouteKind {
  const said = text(route['kind']);
  return said === 'unary' || said === 'streaming' || said === 'auto'
    ? said
    : defaultKind(texts(route['methods']));
}

function refuseHeldStreams(route: FoundBlock, report: Report): void {
  if (route['kind'] !== 'unary') return;
  for (const [i, method] of texts(route['methods']).entries()) {
    if (!KNOWN_STREAMS.has(method)) continue;
    report(
      ['methods', i],
      `found ${quoted(method)} in a unary route; expected kind streaming, as its messages would be held back`,
    );
  }
}

/** A route for some models whose methods name none, or one for the name that stands for all others in metrics. */
function refuseUnnamedModels(route: FoundBlock, report: Report): void {
  if (route['models'] === undefined) return;
  const patterns = texts(route['methods']);
  const isNaming = (pattern: string): boolean =>
    [...MODEL_METHODS].some((method) => matchesMethod(pattern, method));
  for (const [i, pattern] of patterns.entries())
    if (!isNaming(pattern))
      report(['methods', i], `found ${quoted(pattern)} beside models; expected methods that name a model`);
  for (const [i, name] of texts(route['models']).entries())
    if (name === 'other')
      report(
        ['models', i],
        'found other, which stands for all other models in metrics; expected another name',
      );
}

/** 0 for none, and for one that is wrong in itself. */
function timeoutOf(route: FoundBlock): number {
  const said = route['timeout'];
  return said === undefined ? defaultTimeoutMs(kindOf(route)) : (number(said) ?? 0);
}

function shownTimeout(route: FoundBlock): string {
  const shown = writeDuration(timeoutOf(route));
  return route['timeout'] === undefined ? `${shown} by default` : shown;
}

function refuseLongAttempts(route: FoundBlock, report: Report): void {
  const attemptMs = number(route['attempt_timeout']) ?? 0;
  const timeoutMs = timeoutOf(route);
  if (attemptMs === 0 || timeoutMs === 0 || attemptMs <= timeoutMs) return;
  report(
    ['attempt_timeout'],
    `found ${writeDuration(attemptMs)}; expected at most timeout (${shownTimeout(route)})`,
  );
}

function refuseFirstMessages(route: FoundBlock, report: Report): void {
  const limitMs = number(route['first_message_timeout']);
  if (limitMs === undefined) return;
  const path = ['first_message_timeout'];
  const found = `found ${writeDuration(limitMs)}`;
  if (kindOf(route) === 'unary')
    report(path, `${found} on a unary route; expected attempt_timeout, as there is one message only`);
  else if ((number(route['attempt_timeout']) ?? 0) > 0)
    report(path, `${found} beside attempt_timeout; expected one of them, as both end with the first message`);
  const timeoutMs = timeoutOf(route);
  if (timeoutMs > 0 && limitMs > timeoutMs)
    report(path, `${found}; expected at most timeout (${shownTimeout(route)})`);
}

function refuseResumption(route: FoundBlock, report: Report): void {
  if (route['resumable'] !== true) {
    if (route['deterministic'] === true)
      report(['deterministic'], 'found without resumable; expected "resumable: true" beside it');
    return;
  }
  if (kindOf(route) === 'unary')
    report(['resumable'], 'found on a unary route; expected "kind: streaming", as one message has no middle');
  if (!mayRepeat(route) || route['retry'] === undefined)
    report(['resumable'], 'found on a route that repeats nothing; expected "idempotent: true" and retry');
}

function refuseUnaryDrain(route: FoundBlock, report: Report): void {
  if (route['drain_timeout'] === undefined || kindOf(route) !== 'unary') return;
  report(['drain_timeout'], 'found on a unary route; expected timeout, as its calls end by themselves');
}

function refuseShortGrants(route: FoundBlock, report: Report): void {
  const maxMs = number(route['max_timeout']) ?? 0;
  if (maxMs === 0 || maxMs >= timeoutOf(route)) return;
  report(
    ['max_timeout'],
    `found ${writeDuration(maxMs)}; expected at least timeout (${shownTimeout(route)}), which is granted in any case`,
  );
}

function refuseUnsafeRetries(route: FoundBlock, report: Report): void {
  if (route['retry'] === undefined || mayRepeat(route)) return;
  const codes = texts(mapping(route['retry'])['on']);
  if (codes.length === 0) return;
  report(
    ['retry', 'on'],
    `found ${codes.join(', ')} on a route that is not idempotent; expected "idempotent: true" if doing it twice is harmless, or "on: []" to repeat only what was never begun`,
  );
}
