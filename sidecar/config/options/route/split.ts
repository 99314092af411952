/** Which share of the calls goes to another upstream, for canaries and comparisons. */
import { z } from 'zod';
import { mapping, number } from '../found.js';
import { metadataKey } from '../metadata-key.js';
import { block, inCode, option, type Report, rules, value } from '../option.js';
import { listOf, plainText, rational, upstreamName } from '../values.js';

const splitMatch = block({
  key: option(metadataKey(), {
    meaning: 'The metadata key that is looked at.',
    why: 'Which key carries it depends on the application.',
  }),
  value: option(plainText('a value of metadata').max(1_024, { error: 'at most 1024 characters' }), {
    meaning: 'The value that it must have, exactly.',
    why: 'Which key carries it depends on the application.',
  }),
  upstream: option(upstreamName(), {
    meaning: 'Where such calls go; this upstream itself is possible too.',
    why: 'Without it the match would have no effect.',
  }),
});

const weight = value(rational({ min: 0, max: 1_000_000 }), { type: 'weight', range: '0 to 1000000' });

/** `split` of a route: Envoy's `weighted_clusters`, Consul's service-splitter; sticky by rendezvous hashing. */
export const split = option(
  block({
    match: option(listOf(splitMatch, 'matches', 64).prefault([]), {
      meaning: 'Calls whose metadata has one of these values go where it says; the first match wins.',
      why: 'Weights alone are enough for most canaries.',
    }),
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
        why: 'With matches alone, all other calls stay where they were.',
      },
    ),
    sticky_by: option(metadataKey().optional(), {
      meaning:
        'Calls with the same value of this metadata key go to the same one, as long as the weights stay. Calls without it go by chance.',
      otherwise: 'absent: each call by chance',
      why: 'Most calls stand alone.',
    }),
  })
    .check(rules(refuseEmptySplit))
    .optional(),
  {
    meaning:
      'Present: calls that the application makes to this upstream are split between upstreams of this file, for canaries and comparisons. A call is split once.',
    otherwise: 'absent: all go to the upstream itself',
    why: 'Calls to an upstream go to that upstream.',
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
