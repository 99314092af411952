/**
 * How the endpoint of an attempt is chosen.
 */
import {
  BALANCER_KINDS,
  BALANCERS,
  type BalancerKind,
  DEFAULT_CACHE_TOKENS,
} from '../../../core/balancing/balancers.js';
import { metadataKey } from '../metadata-key.js';
import { block, blockAs, inCode, option, rules } from '../option.js';
import { choice, flag, matching, rational, wholeNumber } from '../values.js';

/** What of a request decides: a parameter, the model that it names, or the beginning of its prompt. */
type HashOn =
  | {
      readonly parameter: string;
      readonly model?: false | undefined;
      readonly prompt?: undefined;
    }
  | { readonly model: true; readonly parameter?: undefined; readonly prompt?: undefined }
  | {
      readonly prompt: { readonly tokens: number };
      readonly parameter?: undefined;
      readonly model?: false | undefined;
    };

type BalanceConfig =
  | { readonly kind: Exclude<BalancerKind, 'ring-hash' | 'prefix'> }
  | { readonly kind: 'prefix'; readonly cacheTokens?: number }
  | {
      readonly kind: 'ring-hash';
      readonly key: string;
      readonly hashOn?: undefined;
      readonly spillAbove?: number;
    }
  | {
      readonly kind: 'ring-hash';
      readonly hashOn: HashOn;
      readonly key?: undefined;
      readonly spillAbove?: number;
    };

const PARAMETER = /^[!-~]{1,64}$/;

const prompt = block({
  tokens: option(wholeNumber({ min: 1, max: 8_192 }).prefault(256), {
    meaning:
      'How many tokens of the beginning decide; a shorter prompt decides with all that it has. Of a prompt that is a text, four bytes count as one token.',
    why: 'At most as long as what your prompts share, such as the system prompt: with more, each goes its own way.',
  }),
});

const hashOn = block({
  model: option(flag().optional(), {
    meaning:
      '`true`: calls for the same model (read as by `split.match`) go to the same endpoint. If it has a quarter more calls in flight than its share, or more than `spill_above` says, they go to the next one on the ring. The detector `latency` finds nothing then, because endpoints that run different models are not compared. An endpoint that has become slow loses most of its models with `foresight: { mode: enforce }`.',
    otherwise: 'absent: `parameter` says what decides',
    why: 'A replica that keeps the models it was asked for last in memory is quicker with one that it has.',
  }),
  parameter: option(
    matching(
      'text',
      PARAMETER,
      'the name of a parameter, such as sequence_id: at most 64 characters',
    ).optional(),
    {
      meaning:
        'Name in `parameters` of ModelInfer and of the first message of ModelStreamInfer, with a text or an integer other than 0.',
      otherwise: 'required without `model` and `prompt`',
      why: 'Which calls belong together depends on the application.',
    },
  ),
  prompt: option(prompt.optional(), {
    meaning:
      'Calls whose prompts begin with the same tokens go to the same engine. Needs `engine`. If that engine has a quarter more calls in flight than its share, or more than `spill_above` says, they go to the next one on the ring. The detector `latency` finds nothing then.',
    otherwise: 'absent: `parameter` or `model` says what decides',
    why: 'An engine is quicker with a prompt whose beginning it has in its cache.',
  }),
}).check(
  rules(({ model, parameter, prompt: beginning }, report) => {
    if (model !== true && parameter === undefined && beginning === undefined)
      report(['parameter'], 'missing; expected the name of a parameter, "model: true", or a block prompt');
    if (model === true && parameter !== undefined)
      report(['model'], 'found beside parameter; expected only one of them');
    if (beginning !== undefined && (model === true || parameter !== undefined))
      report(['prompt'], 'found beside parameter or model; expected only one of them');
  }),
);

/** `balance`: Envoy's `lb_policy`. */
export const balance = inCode(
  blockAs(`a block such as { kind: ${BALANCER_KINDS[0]} }`, {
    kind: option(choice(BALANCER_KINDS), {
      meaning: BALANCER_KINDS.map((kind) => `\`${kind}\`: ${BALANCERS[kind].meaning}.`).join(' '),
      why: 'The block is there to choose one.',
    }),
    key: option(metadataKey().optional(), {
      meaning: 'With `ring-hash`: the metadata key whose value decides. Calls without it go anywhere.',
      otherwise: 'required with `ring-hash` without `hash_on`, refused with the others',
      why: 'Which calls belong together depends on the application.',
    }),
    hash_on: option(hashOn.optional(), {
      meaning:
        'With `ring-hash`, instead of `key`: calls with the same request parameter, or for the same model, go to the same endpoint, or calls whose prompts begin alike. With a parameter they stay there whatever its load, because a sequence has its state there. An ejected endpoint is then probed by calls without the parameter, by the first call of a sequence that it would have (`sequence_start`), or by a health check. A check cannot show slow answers, invalid outputs or short-lived connections. After one of these, once 20 s have passed, a later call of such a sequence may be the probe. Without `spill_above`, a call of a sequence is not hedged. Nor does it move because its endpoint is full, allows the caller no more calls (`rate_limits`), or replaces its connection. Where the route has `retry`, it may go elsewhere after other failures. With a model or a prompt they stay as long as its load allows. The parameter must be in the first 64 KiB of the first message and before its inputs. Calls without it go where the load is low.',
      otherwise: 'absent: `key` says what decides',
      why: 'Clients of sequence models put `sequence_id` there.',
    }),
    spill_above: option(rational({ min: 0.1, max: 1_000 }).optional(), {
      meaning:
        'With `ring-hash`: calls stay at the endpoint of their key until it reports (`load_reports`) more than this many times the calls that it can run at once. Then they go to the next one on the ring that does not. With `hash_on`, state at the first endpoint does not come along. With `hash_on.parameter`, calls may then also be hedged, and go to another endpoint when theirs refuses them.',
      otherwise:
        'absent: with `key`, a quarter more of our own calls in flight than its share; with `hash_on.parameter`, whatever its load',
      why: 'Whether a warm cache is worth a wait depends on the model: 1 leaves once calls would wait, 2 once as many wait as run.',
    }),
    cache_tokens: option(wholeNumber({ min: 1_024, max: 67_108_864 }).optional(), {
      meaning:
        'With `prefix`: how many tokens of prompts are remembered for each engine, in 12 bytes for 32 tokens. Set it to what the cache of keys and values of one engine holds; vLLM logs that at its start (`GPU KV cache size`). All engines together have 67 million.',
      otherwise: `absent, with \`prefix\`: ${DEFAULT_CACHE_TOKENS}`,
      why: 'What engines on GPUs of 24 to 80 GB have is between a quarter of it and a few times as much.',
    }),
  }).check(
    rules((found, report) => {
      const { kind, key, hash_on: on, spill_above, cache_tokens } = found;
      if (kind === 'ring-hash' && key === undefined && on === undefined)
        report(['key'], 'missing; expected a metadata key, or hash_on, by which ring-hash chooses');
      if (key !== undefined && on !== undefined)
        report(['hash_on'], 'found beside key; expected only one of them');
      for (const [name, said] of Object.entries({ key, hash_on: on, spill_above }))
        if (said !== undefined && kind !== 'ring-hash' && BALANCER_KINDS.some((each) => each === kind))
          report([name], `found with ${kind}, which does not read it; expected "kind: ring-hash"`);
      if (cache_tokens !== undefined && kind !== 'prefix' && BALANCER_KINDS.some((each) => each === kind))
        report(['cache_tokens'], `found with ${kind}, which does not read it; expected "kind: prefix"`);
    }),
  ),
  (said) => said as BalanceConfig,
);
