/**
 * How often each caller may call, on the side of the model.
 */
import { isCovered } from '../methods.js';
import { list, mapping, texts } from './found.js';
import { methodList } from './method-list.js';
import { block, inCode, option, type Report } from './option.js';
import { listOf, rational, serviceOrAny, wholeNumber } from './values.js';

const rateLimit = inCode(
  block({
    callers: option(
      listOf(serviceOrAny('the name of a service'), 'services')
        .min(1, { error: 'at least one service, or "*"' })
        .prefault(['*']),
      {
        meaning: 'The services that the limit is about, each with a bucket of its own; `*`: all services.',
        why: 'No caller may take all of the capacity.',
      },
    ),
    methods: option(methodList().prefault(['*']), {
      meaning: 'The methods it is about, as in a route. They share the bucket.',
      why: 'A limit on a caller is usually one on all it does.',
    }),
    per_second: option(rational({ min: 0.001, max: 1_000_000 }), {
      meaning: 'Calls per second in the long run.',
      why: 'It depends on the model. To refuse a caller altogether, use intentions.',
    }),
    burst: option(wholeNumber({ min: 1, max: 1_000_000 }).optional(), {
      meaning: 'Calls that may come at once after a pause.',
      otherwise: '`per_second`, rounded up',
      why: 'What a second allows may come at its beginning.',
    }),
  }),
  (said) => ({ ...said, burst: said.burst ?? Math.max(1, Math.ceil(said.perSecond)) }),
);

/** `rate_limits`: token buckets by caller; the first that matches decides. */
export const rateLimits = option(listOf(rateLimit, 'rate limits').optional(), {
  meaning:
    'How often each caller may call. The first one that matches decides; a call over its limit is refused with RESOURCE_EXHAUSTED and told when to come back.',
  otherwise: 'absent: no limits',
  why: 'The queue bounds the whole; limits are for callers that do not share well.',
});

/** Refuses a limit that earlier ones leave nothing for: it would look as if it held. */
export function refuseIdleLimits(limits: unknown, report: Report): void {
  const earlier: { readonly callers: readonly string[]; readonly methods: readonly string[] }[] = [];
  for (const [i, limit] of list(limits).entries()) {
    const { callers, methods } = mapping(limit);
    const said = { callers: texts(callers), methods: texts(methods) };
    const before = earlier.findIndex(
      (other) =>
        said.callers.every((each) => other.callers.includes('*') || other.callers.includes(each)) &&
        said.methods.every((pattern) => other.methods.some((by) => isCovered(pattern, by))),
    );
    const isWhole = said.callers.length > 0 && said.methods.length > 0;
    if (before !== -1 && isWhole)
      report(
        [i],
        `found a limit that is never reached: rate_limits[${before}] already takes all its calls; expected the more specific one first`,
      );
    earlier.push(said);
  }
}
