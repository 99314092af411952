/**
 * Where else the calls of a route may go: a second copy, another upstream when the first fails, a share for a canary, a
 * copy to compare with. Rules about the names in them are in upstream-names.ts.
 */
import { z } from 'zod';
import { mapping, number, text } from './loose.js';
import { metadataKey } from './metadata-key.js';
import { block, inCode, option, type Report, value, withRules } from './option.js';
import { choice, duration, name, plainText, ratio, rational, size, wholeNumber } from './values.js';

const MINUTE_MS = 60_000;
const HOUR_MS = 3_600_000;
const KIB = 1_024;
const GIB = 1_073_741_824;
const MAX_LISTED = 16;

const upstreamName = () => name('the name of an upstream of this file');

/** A copy at the median or sooner would double the load for nothing. */
function percentile() {
  const error = 'a percentile above 0.5, at most 0.999';
  const schema = z.number({ error }).gt(0.5, { error }).max(0.999, { error });
  return value(schema, { type: 'ratio', range: 'above 0.5, at most 0.999' });
}

export const hedge = option(
  block(
    {
      percentile: option(percentile().prefault(0.95), {
        meaning: 'The copy goes when the answer has taken longer than this share of recent ones.',
        why: 'One call in twenty is late by definition; the copy rescues it.',
      }),
      min_delay: option(duration({ min: 1, max: MINUTE_MS }).prefault('1ms'), {
        meaning: 'It never goes sooner.',
        why: 'Below that the copy costs more than the wait.',
      }),
      max_ratio: option(ratio({ min: 0.001, max: 0.5 }).prefault(0.05), {
        meaning: 'Copies, as a share of the calls.',
        why: 'When everything is slow, load grows by a twentieth and not by a factor.',
      }),
    },
    'a block with percentile, min_delay and max_ratio',
  ).optional(),
  {
    meaning:
      'Present: a call that is late is sent a second time, to another endpoint. The first answer wins, the other call is reset. Needs `idempotent: true`, unary methods and two endpoints. `{}` takes all defaults.',
    otherwise: 'absent: no copies',
    why: 'It does work twice, so a route has to ask for it.',
  },
);

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
  withRules(
    block(
      {
        kind: option(choice(FALLBACK_KINDS), {
          meaning:
            '`upstream`: another upstream of this file is called, such as a smaller model. `last-good`: the last good answer to exactly the same request is given again.',
          why: 'The two are different things, and the caller sees which it was.',
        }),
        upstream: option(upstreamName().optional(), {
          meaning: 'With `upstream`: which.',
          otherwise: 'required with `upstream`, refused with `last-good`',
          why: 'Only the application knows what may stand in.',
        }),
        max_age: option(duration({ min: 10, max: 24 * HOUR_MS }).optional(), {
          meaning: 'With `last-good`: no answer is given that is older.',
          otherwise: '`5m` with `last-good`, refused with `upstream`',
          why: 'As long as an ordinary incident, shorter than the life of most answers.',
        }),
        max_bytes: option(size({ min: 64 * KIB, max: 16 * GIB }).optional(), {
          meaning:
            'With `last-good`: answers kept in all. When there is no room, an answer to what was asked for before takes the place of the oldest; one past half of `max_age` makes room for any.',
          otherwise: '`16MiB` with `last-good`, refused with `upstream`',
          why: 'Twenty thousand small answers, or a few hundred of tens of kilobytes.',
        }),
        vary: option(
          z
            .array(metadataKey(), { error: 'a list of metadata keys' })
            .max(MAX_LISTED, { error: `at most ${MAX_LISTED} metadata keys` })
            .optional(),
          {
            meaning:
              'With `last-good`: the request metadata that tells two requests apart, beside method, body, `content-type` and the encodings. `authorization` counts only where it is named. `[]`: callers may get the answers of others.',
            otherwise:
              'all metadata but tracing and timing (such as `traceparent`, `x-request-id`, `b3`, `grpc-timeout`), `user-agent` and `te`; refused with `upstream`',
            why: 'An answer that one caller got is nothing for another, and only the application knows by what it tells them apart. Where each call has a value of its own, no answer is found again: name what counts.',
          },
        ),
      },
      FALLBACK_EXPECTED,
    ),
    (found, report) => {
      const kind = text(found['kind']);
      if (kind === 'upstream') {
        if (found['upstream'] === undefined)
          report(['upstream'], 'missing; expected the name of an upstream of this file');
        for (const key of ['max_age', 'max_bytes', 'vary'])
          if (found[key] !== undefined)
            report([key], 'found with upstream, which keeps nothing; expected "kind: last-good"');
      }
      if (kind === 'last-good' && found['upstream'] !== undefined)
        report(['upstream'], 'found with last-good, which calls nobody; expected "kind: upstream"');
    },
  ),
  (said): FallbackConfig => {
    const { kind, upstream = '', ...rest } = said;
    return kind === 'upstream' ? { kind, upstream } : { kind, ...LAST_GOOD, ...rest };
  },
);

export const fallback = option(
  z
    .array(fallbackStep, { error: 'a list of fallbacks' })
    .min(1, { error: 'at least one fallback' })
    .max(MAX_LISTED, { error: `at most ${MAX_LISTED} fallbacks` })
    .optional(),
  {
    meaning:
      'Present: when a call failed after its retries, or no endpoint could take it, these are tried in this order. Answers carry the response metadata `outrider-degraded`; callers that send `outrider-accept-degraded: no` get the failure instead. Unary methods only.',
    otherwise: 'absent: the caller gets the failure',
    why: 'Whether a lesser answer is better than none, only the application knows.',
  },
);

const splitMatch = block(
  {
    key: option(metadataKey(), {
      meaning: 'The metadata key that is looked at.',
      why: 'Only the application knows how its calls say it.',
    }),
    value: option(plainText('a value of metadata').max(1_024, { error: 'at most 1024 characters' }), {
      meaning: 'The value that it must have, exactly.',
      why: 'Only the application knows how its calls say it.',
    }),
    upstream: option(upstreamName(), {
      meaning: 'Where such calls go; this upstream itself is possible too.',
      why: 'A rule has to lead somewhere.',
    }),
  },
  'a block with key, value and upstream',
);

const weight = value(rational({ min: 0, max: 1_000_000 }), { type: 'weight', range: '0 to 1000000' });

export const split = option(
  withRules(
    block(
      {
        match: option(
          z
            .array(splitMatch, { error: 'a list of matches' })
            .max(64, { error: 'at most 64 matches' })
            .prefault([]),
          {
            meaning: 'Calls whose metadata has one of these values go where it says; the first match wins.',
            why: 'Weights alone are enough for most canaries.',
          },
        ),
        weights: option(
          // Empty stands for absent, which no file can say: upstream.ts puts the upstream itself there.
          inCode(
            z.record(upstreamName(), weight, { error: 'a map of weights by upstream' }).optional(),
            (said) => said ?? {},
          ),
          {
            meaning:
              'All other calls, by weight. Name this upstream itself too, or it gets none of them. Weights are relative: 95 and 5, or 0.95 and 0.05.',
            otherwise: 'all to this upstream',
            why: 'With matches alone, everyone else is to notice nothing.',
          },
        ),
        sticky_by: option(metadataKey().optional(), {
          meaning:
            'Calls with the same value of this metadata key go to the same one, as long as the weights stay. Calls without it go by chance.',
          otherwise: 'absent: each call by chance',
          why: 'Most calls stand alone.',
        }),
      },
      'a block with match, weights and sticky_by',
    ),
    refuseEmptySplit,
  ).optional(),
  {
    meaning:
      'Present: calls that the application makes to this upstream are split between upstreams of this file, for canaries and comparisons. A call is split once.',
    otherwise: 'absent: all go to the upstream itself',
    why: 'A name leads to what it names.',
  },
);

function refuseEmptySplit(found: ReturnType<typeof mapping>, report: Report): void {
  const { match, weights } = found;
  if (weights === undefined && Array.isArray(match) && match.length === 0)
    report([], 'found neither match nor weights; expected at least one of them');
  if (weights === undefined) return;
  const shares = Object.values(mapping(weights));
  if (shares.length === 0) report(['weights'], 'found none; expected the weight of at least one upstream');
  else if (shares.every((share) => number(share) === 0))
    report(['weights'], 'found only weights of 0; expected at least one above, or no call could go anywhere');
}

export const mirror = option(
  block(
    {
      upstream: option(upstreamName(), {
        meaning: 'Who gets the copies: another upstream of this file.',
        why: 'A copy has to go somewhere.',
      }),
      ratio: option(ratio({ min: 0.0001, max: 1 }).prefault(1), {
        meaning: 'Share of the calls that are copied.',
        why: 'Whoever compares wants to see everything, as long as it fits.',
      }),
      max_in_flight: option(wholeNumber({ min: 1, max: 1_000 }).prefault(8), {
        meaning: 'Copies under way at once; more are left out and counted.',
        why: 'A slow candidate must not cost the caller anything.',
      }),
      tolerance: option(rational({ min: 0, max: 1_000_000 }).prefault(0.0001), {
        meaning: 'Largest difference of two numbers that is none: absolute, or relative beyond ±1.',
        why: 'What another machine or another batch size makes of 32-bit floats.',
      }),
    },
    'a block with upstream, ratio, max_in_flight and tolerance',
  ).optional(),
  {
    meaning:
      'Present: copies of the requests go to another upstream too. Its answers are compared (numbers, largest class, latency), counted and thrown away; the caller notices nothing. Unary methods only.',
    otherwise: 'absent: no copies',
    why: 'It does work twice, so a route has to ask for it.',
  },
);
