/**
 * The queue before the local model: how many calls it takes, which wait, and in which order.
 */
import { didYouMean } from '../suggest.js';
import { type FoundBlock, list, mapping, number, text } from './found.js';
import { metadataKey } from './metadata-key.js';
import { block, inCode, option, type Report, rules } from './option.js';
import {
  AUTO,
  choice,
  durationOrNone,
  listOf,
  modelName,
  name,
  shortText,
  size,
  wholeNumber,
  wholeNumberOrAuto,
  yesOrNo,
} from './values.js';

const KIB = 1_024;
const GIB = 1_073_741_824;
const MAX_CLASSES = 16;
const HOUR_MS = 3_600_000;

const adaptive = block({
  min: option(wholeNumber({ min: 1, max: 10_000 }).prefault(1), {
    meaning: 'The model is given at least so many calls at once.',
    why: 'A model that takes one at a time is found to be one.',
  }),
  max: option(wholeNumber({ min: 1, max: 10_000 }).prefault(1_000), {
    meaning: 'The model is never given more calls at once.',
    why: "Envoy's own bound; latency holds it back long before.",
  }),
});

/** Models with limits or a class of their own, at most: each limit has a queue, and a label of metrics. */
const MAX_LIMITED = 64;
const MAX_CALLERS = 1_000;

const modelClass = block({
  model: option(modelName(), {
    meaning: 'The `model_name` of the requests that it is about.',
    why: 'Without it the class would be that of all calls.',
  }),
  class: option(name('the name of a class'), {
    meaning: 'The class of calls for this model that name none; one of `classes`.',
    why: 'It is what the entry is for.',
  }),
});

const classCallers = block({
  class: option(name('the name of a class'), {
    meaning: 'One of `classes`.',
    why: 'It is what the entry is for.',
  }),
  callers: option(listOf(name('the name of a service'), 'services', MAX_CALLERS), {
    meaning: 'The services whose calls may name this class.',
    why: 'Which callers matter more only the operator knows.',
  }),
});

const priority = inCode(
  block({
    key: option(metadataKey(), {
      meaning: 'The metadata key whose value names the class of a call.',
      why: 'Which key carries it depends on the application.',
    }),
    classes: option(
      listOf(name('the name of a class'), 'classes', MAX_CLASSES).min(2, { error: 'at least two classes' }),
      {
        meaning:
          'The classes, from the most to the least important. A class waits while one before it has calls. If the queue is full, the least important call is refused. The second class may not use the last quarter of `max_waiting`, and further ones less still, down to half.',
        why: 'Which calls matter more depends on the application.',
      },
    ),
    default_class: option(name('the name of a class').optional(), {
      meaning: 'The class of calls that name none, or one that is not in the list.',
      otherwise: 'the last one',
      why: 'A call that names no class gets no precedence.',
    }),
    callers: option(listOf(classCallers, 'classes with callers', MAX_CLASSES).optional(), {
      meaning:
        'Classes that only some callers may name. If another caller names such a class, its call gets the default class. Peers without identity are in no list.',
      otherwise: 'absent: every caller may name every class',
      why: 'Whether callers are trusted to name their class depends on the mesh.',
    }),
    models: option(listOf(modelClass, 'classes of models', MAX_LIMITED).optional(), {
      meaning:
        'The class of calls that name none, by the model in their request (read as by `queue.models`). For a server with several models in one queue.',
      otherwise: 'absent: `default_class`, whatever model a call names',
      why: 'Which models matter more depends on the application.',
    }),
    max_wait: option(listOf(durationOrNone({ min: 1, max: HOUR_MS }), 'durations', MAX_CLASSES).optional(), {
      meaning:
        'How long a call of each class may wait, in the order of `classes`. After that it is refused with RESOURCE_EXHAUSTED, and goes to another replica if its route allows it.',
      otherwise: '`none` for each: until its deadline',
      why: 'A class whose callers do not wait is better refused early; another may wait for as long as it takes.',
    }),
  }).check(rules(refuseBadClasses, refuseBadWaits, refuseBadModelClasses, refuseBadCallers)),
  (said) => ({ ...said, defaultClass: said.defaultClass ?? said.classes.at(-1) ?? '' }),
);

/** Classes that are none, and models that would have two. */
function refuseBadModelClasses(found: FoundBlock, report: Report): void {
  const classes = list(found['classes']);
  const known = classes.filter((each) => typeof each === 'string');
  const seen = new Map<string, number>();
  for (const [i, each] of list(found['models']).entries()) {
    const [model, named] = [text(mapping(each)['model']), text(mapping(each)['class'])];
    const before = model === undefined ? undefined : seen.get(model);
    if (before !== undefined)
      report(['models', i], `found ${model} again, as in models[${before}]; expected each once`);
    if (model !== undefined && before === undefined) seen.set(model, i);
    if (named === undefined || known.length === 0 || known.length !== classes.length) continue;
    if (!known.includes(named))
      report(
        ['models', i, 'class'],
        `found "${named}"; expected one of the classes ${known.join(', ')}${didYouMean(named, known)}`,
      );
  }
}

/** Classes that are none, twice the same, and callers of the class that everybody has anyway. */
function refuseBadCallers(found: FoundBlock, report: Report): void {
  const classes = list(found['classes']).filter((each) => typeof each === 'string');
  const seen = new Map<string, number>();
  const otherwise = text(found['default_class']) ?? classes.at(-1);
  for (const [i, each] of list(found['callers']).entries()) {
    const named = text(mapping(each)['class']);
    if (named === undefined || classes.length === 0) continue;
    const before = seen.get(named);
    if (before !== undefined)
      report(['callers', i], `found ${named} again, as in callers[${before}]; expected each once`);
    seen.set(named, i);
    if (!classes.includes(named))
      report(
        ['callers', i, 'class'],
        `found "${named}"; expected one of the classes ${classes.join(', ')}${didYouMean(named, classes)}`,
      );
    else if (named === otherwise)
      report(['callers', i, 'class'], `found ${named}, which every call has that names no class`);
  }
}

/** One for each class: a missing one would be read as that of another. */
function refuseBadWaits(found: FoundBlock, report: Report): void {
  if (found['max_wait'] === undefined) return;
  const [waits, classes] = [list(found['max_wait']), list(found['classes'])];
  if (waits.length !== classes.length && classes.length > 0)
    report(
      ['max_wait'],
      `found ${waits.length} durations; expected one for each of the ${classes.length} classes`,
    );
}

function refuseBadClasses(found: FoundBlock, report: Report): void {
  const classes = list(found['classes']);
  for (const [i, each] of classes.entries()) {
    const before = classes.indexOf(each);
    if (typeof each !== 'string' || before === i) continue;
    report(
      ['classes', i],
      `found "${each}" again, as in classes[${before}]; expected each once, or its importance would be unclear`,
    );
  }
  const otherwise = text(found['default_class']);
  const known = classes.filter((each) => typeof each === 'string');
  if (otherwise === undefined || known.length === 0 || known.length !== classes.length) return;
  if (known.includes(otherwise)) return;
  const hint = didYouMean(otherwise, known);
  report(['default_class'], `found "${otherwise}"; expected one of the classes ${known.join(', ')}${hint}`);
}

const modelLimit = block({
  model: option(modelName(), {
    meaning: 'The `model_name` of the requests that it is about.',
    why: 'Without it the limit would be about all calls.',
  }),
  version: option(shortText('a version').optional(), {
    meaning:
      'Only requests with this `model_version`. If each version has a process, the calls that this version gets.',
    otherwise: 'absent: all versions',
    why: 'Versions of a model mostly cost the same.',
  }),
  concurrency: option(wholeNumber({ min: 1, max: 10_000 }).optional(), {
    meaning:
      'Calls of this model that the service may hold at once; with `adaptive`, nothing is searched for it.',
    otherwise: "the queue's own",
    why: 'Where only one limit is meant, the others stay.',
  }),
  max_waiting: option(wholeNumber({ min: 0, max: 1_000_000 }).optional(), {
    meaning: 'Calls of this model that may wait; 0 refuses what cannot start at once.',
    otherwise: "the queue's own",
    why: 'Where only one limit is meant, the others stay.',
  }),
  max_waiting_bytes: option(size({ min: 64 * KIB, max: 64 * GIB }).optional(), {
    meaning: 'Request bytes of this model that may wait.',
    otherwise: "the queue's own",
    why: 'Where only one limit is meant, the others stay.',
  }),
});

/** A model, or a version of it, that stands twice would have one of two limits. */
function refuseTwice(found: FoundBlock, report: Report): void {
  const seen = new Map<string, number>();
  for (const [i, each] of list(found['models']).entries()) {
    const { model, version, ...limits } = mapping(each);
    const [named, of] = [text(model), text(version)];
    if (named === undefined) continue;
    const key = JSON.stringify([named, of]);
    const before = seen.get(key);
    if (before !== undefined)
      report(['models', i], `found ${named} again, as in models[${before}]; expected each once`);
    else if (Object.values(limits).every((said) => said === undefined))
      report(['models', i], 'found no limit; expected concurrency, max_waiting or max_waiting_bytes');
    seen.set(key, i);
  }
}

/** `queue`: at most `concurrency` calls at the model (2), at most `max_waiting` before it (128). */
export const queue = option(
  block({
    concurrency: option(wholeNumberOrAuto({ min: 1, max: 10_000 }).prefault(2), {
      meaning:
        'Calls that the local model gets at once. `auto`, with `engine: vllm`: as many as the engine says that it runs at once (`--max-num-seqs`); 16 until it has said it, and if it does not. What it said before counts while it does not answer after a start. The others wait in the queue, where they are bounded and can expire. A stream that is idle for 1 s frees its place, unless it has sent its whole request and waits for the answer. An answer of a language-model `engine` keeps its place until it ends, as a silent engine may still work on it, unless its caller does not read. When it continues, it takes a place again or waits for one. Once no place has moved for 5 s, and for three times as long as places are usually held, it goes on without one: the calls that have them may wait inside the model for its worker.',
      why: 'One runs while the next is ready; where several run at once, a few more than those. With batching: twice the largest batch.',
    }),
    max_waiting: option(wholeNumber({ min: 0, max: 1_000_000 }).prefault(128), {
      meaning: 'Calls that may wait; one more is refused at once with RESOURCE_EXHAUSTED.',
      why: 'At 5 ms a call the last one waits 0.6 s: in a longer queue callers have given up before their turn.',
    }),
    max_waiting_bytes: option(size({ min: 64 * KIB, max: 64 * GIB }).prefault('64MiB'), {
      meaning: 'Request bytes that may wait.',
      why: 'One message of the largest size, or a hundred images.',
    }),
    cost: option(choice(['calls', 'tokens']).optional(), {
      meaning:
        '`tokens`: for a language-model engine (`engine: vllm`). A call of Generate counts as the ids of its prompt and `max_tokens` for each of its `n` answers, as far as the context of the engine has room for that. Waiting calls are bounded by `max_waiting_tokens` beside `max_waiting`, and with `fair` each caller gets as many tokens as another, not as many calls: one of large prompts does not hold up one of small ones. Other calls count as none. A call is queued when all of its request is here.',
      otherwise: '`calls`',
      why: 'Calls of most models cost the same.',
    }),
    max_waiting_tokens: option(wholeNumber({ min: 1, max: 1_000_000_000_000 }).optional(), {
      meaning:
        'With `cost: tokens`: tokens that may wait. A call that would be over it is refused at once with RESOURCE_EXHAUSTED, unless no other waits, and with `fair` the caller whose calls cost the most gives way.',
      otherwise: '`262144` with `cost: tokens`',
      why: 'An engine that makes 2,000 tokens a second has worked them off in two minutes, and most answers are shorter than they may be.',
    }),
    adaptive: option(adaptive.optional(), {
      meaning:
        'Present: the sidecar measures how many calls the model can run at once, from its latency and between these bounds. It begins with `concurrency`.',
      otherwise: 'absent: `concurrency`, always',
      why: 'Where the largest batch is known, it is the better answer.',
    }),
    priority: option(priority.optional(), {
      meaning: 'Present: calls wait by class. A metadata key or the model names the class.',
      otherwise: 'absent: all calls are alike',
      why: 'Which calls matter more depends on the application.',
    }),
    fair: option(yesOrNo().prefault(true), {
      meaning:
        'Callers take turns within a class, however many calls each has waiting. With a full queue, the caller with the most waiting calls gives way. False: first come, first served. With one caller, and for callers without identity, both are the same.',
      why: 'One caller with many calls must not keep the others waiting.',
    }),
    models: option(listOf(modelLimit, 'limits of models', MAX_LIMITED).optional(), {
      meaning:
        'Models, or versions of them, with limits of their own. Each has a queue of its own, chosen by the name in the request; all others share the queue of the service. So a server may get the sum of all limits at once. A stream counts for the model of its first message.',
      otherwise:
        'absent: where models have names (`isolation`) each has a queue of this size, else all share one',
      why: 'Models of one server mostly cost the same.',
    }),
  })
    .check(rules(refuseBadBounds, refuseTwice, refuseIdleTokens))
    .prefault({}),
  {
    meaning:
      'The queue before the local model; one of this size before each, where models have names (`isolation`).',
    why: 'A model runs one inference at a time.',
  },
);

function refuseIdleTokens(found: FoundBlock, report: Report): void {
  if (found['max_waiting_tokens'] !== undefined && found['cost'] !== 'tokens')
    report(['max_waiting_tokens'], 'found without "cost: tokens"; expected with it, or no token would count');
}

function refuseBadBounds(found: FoundBlock, report: Report): void {
  const { min, max } = mapping(found['adaptive']);
  const [low, high, start] = [number(min), number(max), number(found['concurrency'])];
  if (low === undefined || high === undefined) return;
  if (start === AUTO)
    return report(
      ['concurrency'],
      'found auto beside adaptive; expected one of them, as both find the number',
    );
  if (low > high) report(['adaptive', 'min'], `found ${low}; expected at most max (${high})`);
  else if (start !== undefined && (start < low || start > high))
    report(
      ['concurrency'],
      `found ${start}; expected adaptive.min to adaptive.max (${low} to ${high}), between which it is only the beginning`,
    );
}
