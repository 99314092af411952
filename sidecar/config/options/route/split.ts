/** Which share of the calls goes to another upstream, for canaries and comparisons. */
import * as z from 'zod';
import { mapping, number } from '../found.js';
import { metadataKey } from '../metadata-key.js';
import { block, inCode, option, type Report, rules, value } from '../option.js';
import { listOf, modelName, plainText, rational, upstreamName } from '../values.js';

/** What a match of a split asks for: a value of metadata, or the model that the request names. */
type SplitMatch =
  | { readonly key: string; readonly value: string; readonly upstream: string; readonly model?: undefined }
  | { readonly model: string; readonly version?: string; readonly upstream: string };

/** Either metadata or a model: which of the two it is follows from the options that are there (`refuseMixedMatch`). */
const splitMatchBlock = block({
  key: option(metadataKey().optional(), {
    meaning: 'The metadata key that is looked at.',
    otherwise: 'required without `model`',
    why: 'Which key carries it depends on the application.',
  }),
  value: option(
    plainText('a value of metadata').max(1_024, { error: 'at most 1024 characters' }).optional(),
    {
      meaning: 'The value that it must have, exactly.',
      otherwise: 'required without `model`',
      why: 'Which key carries it depends on the application.',
    },
  ),
  model: option(modelName().optional(), {
    meaning:
      'Instead of `key` and `value`: the model that the request names, exactly. It is read from the first message of the Open Inference Protocol, of predictions of TorchServe, and of Predict, Classify, Regress and GetModelMetadata of TensorFlow Serving (`model_spec`, with its `version` as a number). A compressed message, or a name beyond its first 4 KiB, matches nothing.',
    otherwise: 'absent: metadata decides',
    why: 'Every client of the protocol names its model already.',
  }),
  version: option(
    plainText('a version of a model')
      .min(1, { error: 'a version of a model' })
      .max(64, { error: 'at most 64 characters' })
      .optional(),
    {
      meaning: 'With `model`: the `model_version` of the request, exactly.',
      otherwise: 'absent: any, and none',
      why: 'Most requests leave the version to the server.',
    },
  ),
  upstream: option(upstreamName(), {
    meaning: 'Where such calls go; this upstream itself is possible too.',
    why: 'Without it the match would have no effect.',
  }),
});

const weight = value(rational({ min: 0, max: 1_000_000 }), { type: 'weight', range: '0 to 1000000' });

const splitMatch = inCode(splitMatchBlock.check(rules(refuseMixedMatch)), (said) => said as SplitMatch);

/** `split` of a route: Envoy's `weighted_clusters`, Consul's service-splitter; sticky by rendezvous hashing. */
export const split = option(
  block({
    match: option(listOf(splitMatch, 'matches', 64).prefault([]), {
      meaning:
        'Calls with one of these metadata values, or for one of these models, go to the upstream named there. The first match wins.',
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
      'Present: calls to this upstream are split between upstreams of this file, for canaries and comparisons. A call is split once.',
    otherwise: 'absent: all go to the upstream itself',
    why: 'Calls to an upstream go to that upstream.',
  },
);

/** A match asks for metadata or for a model, and for all of it. */
function refuseMixedMatch(found: ReturnType<typeof mapping>, report: Report): void {
  const { key, value: wanted, model, version } = found;
  if (model === undefined) {
    if (key === undefined) report(['key'], 'missing; expected a metadata key, or model');
    else if (wanted === undefined) report(['value'], 'missing; expected the value that the key must have');
    if (version !== undefined) report(['version'], 'found without model; expected both, or neither');
    return;
  }
  for (const [name, said] of Object.entries({ key, value: wanted }))
    if (said !== undefined) report([name], 'found beside model; expected either metadata or a model');
}

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
