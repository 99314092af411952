/** A copy of each request, to compare another upstream with this one. */
import { block, option } from '../option.js';
import { ratio, rational, upstreamName, wholeNumber } from '../values.js';

/** `mirror` of a route: Envoy's `request_mirror_policies`, with the answers compared. */
export const mirror = option(
  block({
    upstream: option(upstreamName(), {
      meaning: 'The other upstream of this file that gets the copies.',
      why: 'Without it there is nothing to compare with.',
    }),
    ratio: option(ratio({ min: 0.0001, max: 1 }).prefault(1), {
      meaning: 'Share of the calls that are copied.',
      why: 'A comparison of all calls finds rare differences too; `max_in_flight` bounds its cost.',
    }),
    max_in_flight: option(wholeNumber({ min: 1, max: 1_000 }).prefault(8), {
      meaning: 'Copies under way at once; more are left out and counted.',
      why: 'A slow candidate must not cost the caller anything.',
    }),
    tolerance: option(rational({ min: 0, max: 1_000_000 }).prefault(0.0001), {
      meaning: 'Largest difference at which two numbers count as equal: absolute, or relative beyond ±1.',
      why: 'What another machine or another batch size makes of 32-bit floats.',
    }),
  }).optional(),
  {
    meaning:
      'Present: copies of the requests go to another upstream too. Its answers are compared (numbers, largest class, latency), counted and thrown away; the caller notices nothing. A call that crashed its model, or that no endpoint worked on, is not copied. Unary methods only.',
    otherwise: 'absent: no copies',
    why: 'It does work twice, so a route has to ask for it.',
  },
);
