/**
 * How often each caller may call, on the side of the model.
 */
import { matchesMethod, NAMING_METHODS } from '../../core/routing/method.js';
import { quoted } from '../codecs/parse-result.js';
import { isCovered } from '../methods.js';
import { type FoundBlock, list, mapping, text, texts } from './found.js';
import { methodList } from './method-list.js';
import { block, inCode, option, type Report, rules } from './option.js';
import { listOf, modelName, rational, serviceOrAny, shortText, wholeNumber } from './values.js';

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
    models: option(listOf(modelName(), 'models', 64).min(1, { error: 'at least one model' }).optional(), {
      meaning:
        'The limit is for calls that name one of these models in their request; they share the bucket. A stream counts once for the model of its first message, and once more each time it goes on with another model or version. A request whose model cannot be read counts too, such as a compressed message of more than 64 KiB; in a stream, unreadable messages in a row count once. Models are read from the Open Inference Protocol, predictions of TorchServe, and methods of TensorFlow Serving with a `model_spec`, not from its MultiInference.',
      otherwise: 'absent: whatever model a call names',
      why: 'Most limits are about a caller.',
    }),
    version: option(shortText('a version').optional(), {
      meaning:
        'Beside one model: only requests with this `model_version` (of TensorFlow Serving `version`, not `version_label`). If each version has a process, the calls that this version gets. A request that names no version to a server with several is not counted here; a limit on the model below this one counts it. A request whose version comes after other fields than the name, as no usual encoder writes it, is refused (INVALID_ARGUMENT).',
      otherwise: 'absent: all versions',
      why: 'Versions of a model mostly cost the same.',
    }),
    per_second: option(rational({ min: 0.001, max: 1_000_000 }).optional(), {
      meaning: 'Calls per second in the long run, for each caller and at each replica.',
      otherwise: 'absent: any number of calls, within `tokens_per_minute`',
      why: 'It depends on the model. To refuse a caller altogether, use intentions.',
    }),
    burst: option(wholeNumber({ min: 1, max: 1_000_000 }).optional(), {
      meaning: 'Calls that may come at once after a pause.',
      otherwise: '`per_second`, rounded up',
      why: 'What a second allows may come at its beginning.',
    }),
    tokens_per_minute: option(wholeNumber({ min: 1, max: 1_000_000_000 }).optional(), {
      meaning:
        'Tokens of a language-model engine (`engine: vllm`) per minute, for each caller and at each replica; so many may be used at once after a pause. A call of Generate reserves the ids of its prompt (of a text, its bytes ÷ 4) and `max_tokens` for each of its `n` answers, as far as the context of the engine has room for that. At its end it gets back what did not come and what of the prompt was cached; if the engine fails before its first token, all. A request that asks for more than a minute has is refused for good (`grpc-retry-pushback-ms: -1`). One that cannot be read, such as a compressed one, reserves the whole minute. Other calls use no tokens. Beside `per_second` a call has to be within both.',
      otherwise: 'absent: any number of tokens, within `per_second`',
      why: 'Calls of an engine differ a thousandfold in what they cost.',
    }),
  }).check(rules(refuseUnnamedModels, refuseIdleVersion, requireLimit)),
  (said) => ({
    ...said,
    ...(said.perSecond === undefined ? {} : { burst: said.burst ?? Math.max(1, Math.ceil(said.perSecond)) }),
  }),
);

/** Something to be within; and tokens are of calls that name no model. */
function requireLimit(found: FoundBlock, report: Report): void {
  const { per_second: calls, burst, tokens_per_minute: tokens, models } = found;
  if (calls === undefined && tokens === undefined)
    report([], 'found no limit; expected per_second, tokens_per_minute or both');
  if (calls === undefined && burst !== undefined)
    report(['burst'], 'found without per_second; expected with it, whose calls may come at once');
  if (tokens !== undefined && models !== undefined)
    report(
      ['tokens_per_minute'],
      'found beside models; expected without, as requests of an engine name no model',
    );
}

/** A limit on models that no call could be about, as its methods name none. */
function refuseUnnamedModels({ methods, models }: FoundBlock, report: Report): void {
  if (models === undefined) return;
  for (const [i, pattern] of texts(methods).entries())
    if (![...NAMING_METHODS].some((method) => matchesMethod(pattern, method)))
      report(['methods', i], `found ${quoted(pattern)} beside models; expected methods that name a model`);
}

/** A version says nothing without its model, and of several models it would be a guess whose. */
export function refuseIdleVersion({ models, version }: FoundBlock, report: Report): void {
  if (version === undefined) return;
  const { length } = list(models);
  if (length !== 1)
    report(
      ['version'],
      `found ${length === 0 ? 'without models' : `beside ${length} models`}; expected it beside one model`,
    );
}

/** `rate_limits`: token buckets by caller; the first that matches decides. */
export const rateLimits = option(listOf(rateLimit, 'rate limits').optional(), {
  meaning:
    'How often each caller may call, in all or single models, and how many tokens of an engine it may use. The first limit that matches decides. Each replica counts for itself, so a caller of four replicas gets up to four times as much. A call over a limit is refused with RESOURCE_EXHAUSTED and told when to come back. The sidecar of the caller tries one other replica, outside the retry budget, and prefers replicas that do not refuse it (`least-loaded`).',
  otherwise: 'absent: no limits',
  why: 'The queue bounds the whole; limits are for callers that do not share well.',
});

/** What a limit says of the calls it is about; values that are wrong in themselves are left out. */
interface SaidLimit extends SaidModels {
  readonly callers: readonly string[];
  readonly methods: readonly string[];
}

/** The models that a limit or a route is about. */
export interface SaidModels {
  /** Undefined: every call. */
  readonly models: readonly string[] | undefined;
  readonly version: string | undefined;
}

/** Whether all calls that `said` is about by their model are also those of `by`. */
export function isOfTheseModels(said: SaidModels, by: SaidModels): boolean {
  if (by.models === undefined) return true;
  if (said.models === undefined || !said.models.every((each) => by.models!.includes(each))) return false;
  return by.version === undefined || by.version === said.version;
}

/** Refuses a limit that earlier ones leave nothing for: it would look as if it held. */
export function refuseIdleLimits(limits: unknown, report: Report): void {
  const earlier: SaidLimit[] = [];
  for (const [i, limit] of list(limits).entries()) {
    const { callers, methods, models, version } = mapping(limit);
    const said: SaidLimit = {
      callers: texts(callers),
      methods: texts(methods),
      models: models === undefined ? undefined : texts(models),
      version: text(version),
    };
    const before = earlier.findIndex(
      (other) =>
        said.callers.every((each) => other.callers.includes('*') || other.callers.includes(each)) &&
        said.methods.every((pattern) => other.methods.some((by) => isCovered(pattern, by))) &&
        isOfTheseModels(said, other),
    );
    const isWhole = said.callers.length > 0 && said.methods.length > 0 && said.models?.length !== 0;
    if (before !== -1 && isWhole)
      report(
        [i],
        `found a limit that is never reached: rate_limits[${before}] already takes all its calls; expected the more specific one first`,
      );
    earlier.push(said);
  }
}
