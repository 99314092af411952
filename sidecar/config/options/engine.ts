import { ENGINE_KINDS, GENERATE_METHODS } from '../../core/routing/engine.js';
import { matchesMethod } from '../../core/routing/method.js';
import { quoted } from '../codecs/parse-result.js';
import { entries, type FoundBlock, list, mapping, text, texts } from './found.js';
import { below, option, type Report } from './option.js';
import { AUTO, choice, matching, wholeNumber } from './values.js';

const kinds = () => choice(ENGINE_KINDS).optional();

const WHAT =
  '`vllm` (`vllm serve --grpc`): an answer of Generate whose engine dies continues at another replica after the tokens that the caller has, and UNAVAILABLE and INTERNAL are retried unless the route has its own `retry`. An engine that sends nothing to anybody for three times as long as it usually does (1 s more, at most 10 s) hangs: its answers continue elsewhere, too. Only requests whose continuation is exact are resumed: `tokenized` input, `temperature: 0` said, `n` 1, no stop string, no presence or frequency penalty, no grammar or other constraint; others end with `not-resumed`. Abort goes to the replica that has the request. `sglang` and `trtllm` are experimental: Abort finds its replica, and nothing is resumed.';

/** At an upstream: how its calls are read. */
export const upstreamEngine = option(kinds(), {
  meaning: `The language-model engine behind this upstream, whose gRPC service is called. ${WHAT}`,
  otherwise: 'absent; in a mesh file: as the service says',
  why: 'Only an engine that is known can be read.',
});

/** At a service of a mesh file: for all its callers. */
export const serviceEngine = option(kinds(), {
  meaning: `The language-model engine that \`command\` starts. All callers of the mesh file treat it so. ${WHAT}`,
  otherwise: 'absent: any gRPC server',
  why: 'Only an engine that is known can be read.',
});

/** At the side of the model: what its calls ask for, and get. */
export const inboundEngine = option(kinds(), {
  meaning:
    'The language-model engine behind this sidecar, whose calls are read: their tokens count in metrics, load reports and limits. A call is queued when its whole request is there. How its callers treat it is said at their upstreams.',
  otherwise: 'absent: any gRPC server; in a mesh file: as the service says',
  why: 'Only an engine that is known can be read.',
});

const MODEL = /^[!-~]([ -~]{0,126}[!-~])?$/;

/** Beside the engine at the side of the model. */
export const engineModel = option(
  matching('text', MODEL, 'at most 128 printable ASCII characters, no space at either end').optional(),
  {
    meaning:
      'A name of what the engine runs: the model, its revision, its precision. An answer continues only at a replica that has the same name, so that it never has tokens of two models. Change it with the weights.',
    otherwise:
      'a digest of `command` and `model.env`, without `{port}`, `{address}`, `{replica}`, secrets and variables about hosts, ports and devices; empty if something else starts the engine',
    why: 'Replicas that are started by the same words run the same, unless the files behind these words change.',
  },
);

/** Beside the engine at the side of the model. */
export const defaultMaxTokens = option(wholeNumber({ min: 1, max: 1_000_000_000 }).optional(), {
  meaning:
    'Where tokens count: what a request is taken to ask for that does not say `max_tokens`. The engine may make more, up to the end of its context, and what is more counts as it comes.',
  otherwise: '`4096`',
  why: 'Longer than most answers. With the length of the context, no call can take its caller over the budget.',
});

/** For the side of the model: what needs an engine, and what has no effect beside one. */
export function inboundEngineRules(found: FoundBlock, report: Report): void {
  requireCountedEngine(found, report);
  refuseNamedModels(found, report);
}

/** The path of the method of an engine whose calls make tokens; undefined for what is no engine. */
function generateOf(engine: unknown): string | undefined {
  const name = ENGINE_KINDS.find((kind) => kind === engine);
  return name === undefined ? undefined : GENERATE_METHODS[name];
}

const NAMES_NO_MODEL = 'found beside engine; expected without, as requests of an engine name no model';

/** Limits on models would not hold, and an intention for some models would refuse every call. */
function refuseNamedModels(found: FoundBlock, report: Report): void {
  const { engine, intentions, queue, rate_limits: limits } = found;
  if (engine === undefined) return;
  refuseModelIntentions(intentions, () => true, report);
  const { models, priority } = mapping(queue);
  if (models !== undefined) report(['queue', 'models'], NAMES_NO_MODEL);
  if (mapping(priority)['models'] !== undefined) report(['queue', 'priority', 'models'], NAMES_NO_MODEL);
  for (const [i, limit] of list(limits).entries()) {
    const { models: limited, tokens_per_minute: tokens } = mapping(limit);
    // Beside tokens they are refused with any engine and without one.
    if (limited !== undefined && tokens === undefined) report(['rate_limits', i, 'models'], NAMES_NO_MODEL);
  }
}

/** Intentions of a list that allow some models of what is an engine. */
export function refuseModelIntentions(
  intentions: unknown,
  isEngine: (service: string) => boolean,
  report: Report,
): void {
  for (const [i, intention] of list(intentions).entries()) {
    const { models, to } = mapping(intention);
    if (models !== undefined && isEngine(text(to) ?? ''))
      report(['intentions', i, 'models'], `${NAMES_NO_MODEL}, and every call would be refused`);
  }
}

/** What counts tokens needs to read them, and calls that have some. */
function requireCountedEngine(found: FoundBlock, report: Report): void {
  const { engine, queue, rate_limits: limits } = found;
  if (engine === undefined && found['engine_model'] !== undefined)
    report(['engine_model'], 'found without engine; expected with "engine", such as "engine: vllm"');
  if (engine === 'vllm') return requireCountedMethods(limits, report);
  const why = engine === undefined ? 'without engine' : 'beside an engine whose tokens are not counted';
  const problem = `found ${why}; expected with "engine: vllm"`;
  if (mapping(queue)['cost'] === 'tokens') report(['queue', 'cost'], problem);
  if (mapping(queue)['concurrency'] === AUTO) report(['queue', 'concurrency'], problem);
  for (const [i, limit] of list(limits).entries())
    if (mapping(limit)['tokens_per_minute'] !== undefined)
      report(['rate_limits', i, 'tokens_per_minute'], problem);
  if (found['default_max_tokens'] !== undefined) report(['default_max_tokens'], problem);
}

/** A limit on tokens for methods whose calls use none. */
function requireCountedMethods(limits: unknown, report: Report): void {
  const counted = GENERATE_METHODS.vllm;
  for (const [i, limit] of list(limits).entries()) {
    const { tokens_per_minute: tokens, methods } = mapping(limit);
    const patterns = texts(methods);
    if (tokens === undefined || patterns.length === 0) continue;
    if (!patterns.some((pattern) => matchesMethod(pattern, counted)))
      report(
        ['rate_limits', i, 'methods'],
        `found no method whose calls use tokens; expected ${quoted(counted)} among them`,
      );
  }
}

/** For upstreams: what needs an engine, and what an engine cannot have. `engineOf`: what else says it than the upstream. */
export function upstreamEngineRules(
  upstreams: unknown,
  at: readonly string[],
  report: Report,
  engineOf: (upstream: string) => unknown = () => undefined,
): void {
  for (const [upstream, { balance, engine: said, routes }] of entries(upstreams)) {
    const engine = said ?? engineOf(upstream);
    if (mapping(mapping(balance)['hash_on'])['prompt'] !== undefined && engine === undefined)
      report(
        [...at, upstream, 'balance', 'hash_on', 'prompt'],
        `found without engine; expected "engine" at the upstream, such as "engine: ${ENGINE_KINDS[0]}", to read its prompts`,
      );
    if (mapping(balance)['kind'] === 'prefix' && engine === undefined)
      report(
        [...at, upstream, 'balance', 'kind'],
        `found prefix without engine; expected "engine" at the upstream, such as "engine: ${ENGINE_KINDS[0]}", to read its prompts`,
      );
    refuseResume(routes, engine, below([...at, upstream], report));
    const generate = generateOf(engine);
    if (generate !== undefined) refuseHeldTokens(routes, generate, below([...at, upstream], report));
  }
}

/** How answers of an engine are resumed, where there is none, or none whose answers are. */
function refuseResume(routes: unknown, engine: unknown, report: Report): void {
  for (const [i, route] of list(routes).entries()) {
    const { methods, resume } = mapping(route);
    if (resume === undefined) continue;
    const patterns = texts(methods);
    if (engine === undefined)
      report(
        ['routes', i, 'resume'],
        'found without engine; expected "engine" at the upstream, such as "engine: vllm"',
      );
    else if (engine !== 'vllm')
      report(
        ['routes', i, 'resume'],
        `found beside ${quoted(text(engine) ?? '')}, whose answers are not resumed; expected "engine: vllm"`,
      );
    else if (!patterns.some((pattern) => matchesMethod(pattern, GENERATE_METHODS.vllm)))
      report(
        ['routes', i, 'resume'],
        `found in a route without ${GENERATE_METHODS.vllm}, whose answers are resumed; expected it among the methods`,
      );
  }
}

/** A unary route holds the tokens of an answer back, and the engine is not read there. */
function refuseHeldTokens(routes: unknown, generate: string, report: Report): void {
  for (const [i, route] of list(routes).entries()) {
    const { methods, models, kind } = mapping(route);
    const patterns = texts(methods);
    const j = patterns.findIndex((pattern) => matchesMethod(pattern, generate));
    if (j < 0 || models !== undefined) continue;
    if (kind === 'unary')
      report(
        ['routes', i, 'methods', j],
        `found ${quoted(patterns[j]!)} in a unary route, which takes ${generate}; expected kind streaming, as the tokens would be held back`,
      );
    return;
  }
}
