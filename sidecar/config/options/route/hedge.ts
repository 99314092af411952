/** A second copy of a call that is late. */
import * as z from 'zod';
import { block, option, value } from '../option.js';
import { duration, ratio } from '../values.js';

const MINUTE_MS = 60_000;

/** A copy at the median or sooner would double the load for nothing. */
function percentile() {
  const error = 'a percentile above 0.5, at most 0.999';
  const schema = z.number({ error }).gt(0.5, { error }).max(0.999, { error });
  return value(schema, { type: 'ratio', range: 'above 0.5, at most 0.999' });
}

/** `hedge` of a route: gRPC's `hedgingPolicy` (gRFC A6) with a delay that follows the latency. */
export const hedge = option(
  block({
    percentile: option(percentile().prefault(0.95), {
      meaning:
        'The copy goes when the answer, or the first message of a stream, has taken longer than this share of recent ones.',
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
  }).optional(),
  {
    meaning:
      'Present: a call that is late is sent a second time, to another endpoint. The first answer wins, and the other call is reset. For a stream, the first message decides. Needs `idempotent: true` and two endpoints. `{}` takes all defaults.',
    otherwise: 'absent: no copies',
    why: 'It does work twice, so a route has to ask for it.',
  },
);
