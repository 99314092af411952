/** What answers a call that failed: another upstream, or the last good answer. */
import { text } from '../found.js';
import { metadataKey } from '../metadata-key.js';
import { blockAs, inCode, option, rules } from '../option.js';
import { choice, duration, listOf, size, upstreamName } from '../values.js';

const MINUTE_MS = 60_000;
const HOUR_MS = 3_600_000;
const KIB = 1_024;
const GIB = 1_073_741_824;
const MAX_LISTED = 16;

const FALLBACK_KINDS = ['upstream', 'last-good'] as const;
const FALLBACK_EXPECTED = 'a block with kind (upstream or last-good) and what belongs to it';

/** Of the last good answer, where the file does not say. */
const LAST_GOOD = { maxAgeMs: 5 * MINUTE_MS, maxBytes: 16 * 1_024 * KIB };

/** `vary` is in lower case; absent: all metadata but tracing and timing. */
type FallbackConfig =
  | { readonly kind: 'upstream'; readonly upstream: string }
  | {
      readonly kind: 'last-good';
      readonly maxAgeMs: number;
      readonly maxBytes: number;
      readonly vary?: readonly string[];
    };

const fallbackStep = inCode(
  blockAs(FALLBACK_EXPECTED, {
    kind: option(choice(FALLBACK_KINDS), {
      meaning:
        '`upstream`: another upstream of this file is called, such as a smaller model. If the route is not idempotent, it gets only calls that no endpoint has begun to process: there was no endpoint or no connection, the breaker was open, a sidecar refused the call, or the connection was lost before a unary request had gone out whole. `last-good`: the last good answer to exactly the same request is given again.',
      why: 'The caller sees in `outrider-degraded` which of them answered.',
    }),
    upstream: option(upstreamName().optional(), {
      meaning: 'With `upstream`: which.',
      otherwise: 'required with `upstream`, refused with `last-good`',
      why: 'Which upstream may stand in depends on the application.',
    }),
    max_age: option(duration({ min: 10, max: 24 * HOUR_MS }).optional(), {
      meaning: 'With `last-good`: no answer is given that is older.',
      otherwise: '`5m` with `last-good`, refused with `upstream`',
      why: 'As long as an ordinary incident, shorter than the life of most answers.',
    }),
    max_bytes: option(size({ min: 64 * KIB, max: 16 * GIB }).optional(), {
      meaning:
        'With `last-good`: size of all stored answers. If there is no room, an answer to a request that came before replaces the oldest one. An answer older than half of `max_age` can be replaced by any.',
      otherwise: '`16MiB` with `last-good`, refused with `upstream`',
      why: 'Twenty thousand small answers, or a few hundred of tens of kilobytes.',
    }),
    vary: option(listOf(metadataKey(), 'metadata keys', MAX_LISTED).optional(), {
      meaning:
        'With `last-good`: the request metadata that tells two requests apart, beside method, body, `content-type` and the encodings. `authorization` counts only where it is named. `[]`: callers may get the answers of others.',
      otherwise:
        'all metadata but tracing and timing (such as `traceparent`, `x-request-id`, `b3`, `grpc-timeout`), `user-agent` and `te`; refused with `upstream`',
      why: 'An answer to one caller must not reach another, and the metadata by which callers differ depends on the application. Where each call has a value of its own, no answer is found again: name the metadata that counts.',
    }),
  }).check(
    rules((found, report) => {
      const kind = text(found['kind']);
      if (kind === 'upstream') {
        if (found['upstream'] === undefined)
          report(['upstream'], 'missing; expected the name of an upstream of this file');
        for (const key of ['max_age', 'max_bytes', 'vary'])
          if (found[key] !== undefined)
            report([key], 'found with upstream, which keeps nothing; expected "kind: last-good"');
      }
      if (kind === 'last-good' && found['upstream'] !== undefined)
        report(['upstream'], 'found with last-good, which calls no upstream; expected "kind: upstream"');
    }),
  ),
  (said): FallbackConfig => {
    const { kind, upstream = '', ...rest } = said;
    return kind === 'upstream' ? { kind, upstream } : { kind, ...LAST_GOOD, ...rest };
  },
);

/** `fallback` of a route: 1 to 16 steps, tried in order after the retries. */
export const fallback = option(
  listOf(fallbackStep, 'fallbacks', MAX_LISTED).min(1, { error: 'at least one fallback' }).optional(),
  {
    meaning:
      'Present: when a call failed after its retries, or no endpoint could take it, these are tried in this order. Answers carry the response metadata `outrider-degraded`; callers that send `outrider-accept-degraded: no` get the failure instead. A stream falls back until its first message, and not to `last-good`.',
    otherwise: 'absent: the caller gets the failure',
    why: 'Whether a lesser answer is better than none depends on the application.',
  },
);
