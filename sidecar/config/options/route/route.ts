/**
 * Routes: what the sidecar may do with a method, on either side of the mesh.
 */
import { areReadOnly, matchesMethod, NAMING_METHODS } from '../../../core/routing/method.js';
import { quoted } from '../../codecs/parse-result.js';
import type { CodeOf } from '../../names.js';
import { HOLD_BYTES, SAMPLE_BYTES } from '../../route-defaults.js';
import { type FoundBlock, texts } from '../found.js';
import { methodList } from '../method-list.js';
import { block, blockAs, inCode, option, type Report, rules } from '../option.js';
import { refuseIdleVersion } from '../rate-limits.js';
import { choice, duration, durationOrNone, listOf, modelName, shortText, size, yesOrNo } from '../values.js';
import { fallback } from './fallback.js';
import { hedge } from './hedge.js';
import { mirror } from './mirror.js';
import { outcomes, refuseRetriedSuccesses } from './outcomes.js';
import { refuseUnsafeRetries, repeatsOf, retry } from './retry.js';
import { mayRepeat, refuseBadDetours } from './rules.js';
import { split } from './split.js';
import {
  DAY_MS,
  drainTimeout,
  idleTimeout,
  kind,
  kindOf,
  maxTimeout,
  refuseFirstMessages,
  refuseLongAttempts,
  refuseMessageTimeouts,
  refuseShortGrants,
  refuseUnaryDrain,
  saidTimes,
  timeout,
  timeoutOf,
  timesOf,
} from './times.js';

const KIB = 1_024;
const GIB = 1_073_741_824;

const methods = option(methodList(), {
  meaning:
    'The methods this route is about: `/package.Service/Method`, `/package.Service/*` or `*`. The first route that matches decides.',
  why: 'A route without methods would never match.',
});

/** A route on the side of the model: times, and whether a call may go to another instance of its model. */
export const inboundRoute = inCode(
  block({
    methods,
    kind,
    idempotent: option(yesOrNo().optional(), {
      meaning:
        'True if running the call twice does no harm. If the model has several instances and a process was killed from outside or hung, its unary calls are sent once more, to another instance. A call that may have crashed its process is not.',
      otherwise: '`no`; `yes` when every method only reads',
      why: 'For other methods it depends on the model.',
    }),
    timeout,
    max_timeout: maxTimeout,
    idle_timeout: idleTimeout,
    drain_timeout: drainTimeout,
  }).check(rules(refuseShortGrants, refuseUnaryDrain)),
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
        'The route is only for calls that name one of these models in their request; others go on to the routes below. The model is read as by `split.match`.',
      otherwise: 'absent: whatever model a call names',
      why: 'Most rules are about a method.',
    }),
    version: option(shortText('a version').optional(), {
      meaning:
        'Beside one model: only calls that name this `model_version` in their request. Their metrics have the label `version`.',
      otherwise: 'absent: whatever version a call names, and none',
      why: 'Most calls leave the version to the server.',
    }),
    kind,
    idempotent: option(yesOrNo().optional(), {
      meaning:
        'True if running the call twice does no harm. Without it, a call that an endpoint may have begun is not retried, and does not fall back to another upstream.',
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
        'How long one attempt may take until its answer begins. After that it counts as a fault of its endpoint, and another attempt may follow. For a unary call, time counts from when the endpoint has the whole request. For a stream, its response headers are the beginning. Time in the queue before the model counts, as in `first_message_timeout`.',
      why: 'It has to be well above what the model usually needs.',
    }),
    first_message_timeout: option(duration({ min: 1, max: DAY_MS }).optional(), {
      meaning:
        'For streams: how long the first message may take, from when the endpoint has the whole request. After that it counts as a fault of its endpoint, and another attempt may follow. Time in the queue before the model counts. A stream that has waited there for nine tenths of this time is refused and goes to another endpoint, which is no fault; earlier, but not before half of it, if the model would have less than twice its usual time to a first message. So set `queue.concurrency` to the number of streams that the model runs at once; with `max_waiting: 0` the others go to another endpoint at once. The time does not run while the caller has more to send, and ends nothing that has begun to answer.',
      otherwise: 'absent: no limit but that of the call',
      why: 'Whether a stream that says nothing is at work or lost depends on the service.',
    }),
    message_timeout: option(duration({ min: 10, max: DAY_MS }).optional(), {
      meaning:
        'For streams: the longest time between two messages, once the request is complete. After that it counts as a fault of the endpoint. A `resumable` stream, and an answer of an `engine`, continues at another one; others end with DEADLINE_EXCEEDED. The time does not run while the caller does not read.',
      otherwise:
        'absent: no limit. An answer of an `engine` that can be resumed and has another replica to go to: `10s`',
      why: 'Whether a stream that is silent is at work or hangs depends on the service.',
    }),
    hold: option(size({ min: KIB, max: GIB }).prefault('64KiB'), {
      meaning:
        'The largest unary answer that is held until its status is known. A larger one is passed on as it comes. If it then ends in an error, no retry, hedge or fallback follows, and `last-good` does not keep it.',
      why: 'An answer that is held reaches the caller later, by the time it takes to arrive whole.',
    }),
    replay: option(size({ min: 0, max: GIB }).optional(), {
      meaning:
        'The largest request that is kept until its answer begins, for a retry, a hedge, a fallback, a mirrored copy or the check of an invalid answer. A larger one gets a single attempt and none of these.',
      otherwise: '`limits.replay_bytes_per_call`',
      why: 'What one call may keep is a matter of the whole process.',
    }),
    sample: option(size({ min: 0, max: GIB }).prefault('4MiB'), {
      meaning:
        'The largest answer beyond `hold` that is kept while it is passed on, for `invalid_output` (a few calls a second) and `mirror`. `0B`: none.',
      why: 'The largest message that gRPC lets through by default.',
    }),
    resumable: option(yesOrNo().optional(), {
      meaning:
        'If the endpoint of a stream dies after its first message, the stream continues at another endpoint, as retries and the retry budget allow. The request is sent again with the metadata `outrider-resume-after: K`, and the caller gets what follows message K. The service must continue there and say so (`outrider-resumed-from: K` in its response headers, as the model server does if model.yaml says `resumable`), or be `deterministic`. The request must be complete and within `replay`, and messages at most 16 KiB; other streams end with a status and `outrider-reason`. Needs `idempotent: true` and `retry`.',
      otherwise: '`no`',
      why: 'Only the service can say that another replica goes on with the same words.',
    }),
    deterministic: option(yesOrNo().optional(), {
      meaning:
        'With `resumable`: the same request gets the same messages in the same order each time. If the service begins anew, the sidecar leaves out the messages that the caller has. It compares their bytes, boundaries and compression; if they differ, the stream ends with `not-resumed`.',
      otherwise: '`no`',
      why: 'Most services that stream draw by chance, and two halves of different answers would be worse than an error.',
    }),
    resume: option(choice(['exact', 'approximate']).optional(), {
      meaning:
        'Beside an `engine` whose answers are resumed: which of them continue at another engine. `exact`: only those whose tokens are the same there. `approximate`: also those that are drawn by chance (temperature above 0, or none said), have a presence or frequency penalty, or a stop string, and those for which the other engine makes another token. They continue after the tokens that the caller has, and end with the trailer `outrider-resumed: approximate`. A grammar or other constraint, `n` above 1 and what else cannot continue at all still ends with `not-resumed`.',
      otherwise: '`exact`',
      why: 'A text of two halves that were drawn apart is no longer what one engine would have made. Only the caller can say whether it will do.',
    }),
    outcomes,
    retry: option(retry.optional(), {
      meaning:
        'Present: calls may be retried, each time at another endpoint. If there is no other, the retry waits as long as the endpoint asks for with `grpc-retry-pushback-ms`. It is not made if that is longer than the time left, or than 60 s for a call without a deadline.',
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
      refuseUnnamedModels,
      refuseIdleVersion,
      refuseShortGrants,
      refuseUnaryDrain,
      refuseLongAttempts,
      refuseFirstMessages,
      refuseMessageTimeouts,
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

/** A route for some models whose methods name none, or one for the name that stands for all others in metrics. */
function refuseUnnamedModels(route: FoundBlock, report: Report): void {
  if (route['models'] === undefined) return;
  const patterns = texts(route['methods']);
  const isNaming = (pattern: string): boolean =>
    [...NAMING_METHODS].some((method) => matchesMethod(pattern, method));
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
