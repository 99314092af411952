import { ENGINE_KINDS } from '../../core/routing/engine.js';
import { entries, type FoundBlock, list, mapping } from './found.js';
import { option, type Report } from './option.js';
import { choice, wholeNumber } from './values.js';

const KINDS = choice(ENGINE_KINDS).optional();

const WHAT =
  '`vllm` (`vllm serve --grpc`): an answer of Generate whose engine dies continues at another replica after the tokens that the caller has, and UNAVAILABLE and INTERNAL are retried unless the route has its own `retry`. An engine that sends nothing to anybody for three times as long as it usually does (1 s more, at most 10 s) hangs: its answers continue elsewhere, too. Only requests whose continuation is exact are resumed: `tokenized` input, `temperature: 0` said, `n` 1, no stop string, no presence or frequency penalty, no grammar or other constraint; others end with `not-resumed`. Abort goes to the replica that has the request. `sglang` and `trtllm` are experimental: Abort finds its replica, and nothing is resumed.';

/** At an upstream: how its calls are read. */
export const upstreamEngine = option(KINDS, {
  meaning: `The language-model engine behind this upstream, whose gRPC service is called. ${WHAT}`,
  otherwise: 'absent; in a mesh file: as the service says',
  why: 'Only an engine that is known can be read.',
});

/** At a service of a mesh file: for all its callers. */
export const serviceEngine = option(KINDS, {
  meaning: `The language-model engine that \`command\` starts. All callers of the mesh file treat it so. ${WHAT}`,
  otherwise: 'absent: any gRPC server',
  why: 'Only an engine that is known can be read.',
});

/** At the side of the model: what its calls ask for, and get. */
export const inboundEngine = option(KINDS, {
  meaning:
    'The language-model engine behind this sidecar, whose calls are read: their tokens count in metrics, load reports and limits. A call is queued when its whole request is there. How its callers treat it is said at their upstreams.',
  otherwise: 'absent: any gRPC server; in a mesh file: as the service says',
  why: 'Only an engine that is known can be read.',
});

/** Beside the engine at the side of the model. */
export const defaultMaxTokens = option(wholeNumber({ min: 1, max: 1_000_000_000 }).optional(), {
  meaning:
    'Where tokens count: what a request is taken to ask for that does not say `max_tokens`. The engine may make more, up to the end of its context, and what is more counts as it comes.',
  otherwise: '`4096`',
  why: 'Longer than most answers. With the length of the context, no call can take its caller over the budget.',
});

/** What counts tokens needs to read them. */
export function requireCountedEngine(found: FoundBlock, report: Report): void {
  const { engine, queue, rate_limits: limits } = found;
  if (engine === 'vllm') return;
  const why = engine === undefined ? 'without engine' : 'beside an engine whose tokens are not counted';
  const problem = `found ${why}; expected with "engine: vllm"`;
  if (mapping(queue)['cost'] === 'tokens') report(['queue', 'cost'], problem);
  for (const [i, limit] of list(limits).entries())
    if (mapping(limit)['tokens_per_minute'] !== undefined)
      report(['rate_limits', i, 'tokens_per_minute'], problem);
  if (found['default_max_tokens'] !== undefined) report(['default_max_tokens'], problem);
}

/** What is read of prompts needs to know the engine. `engineOf`: what else says it than the upstream. */
export function requireEngine(
  upstreams: unknown,
  at: readonly string[],
  report: Report,
  engineOf: (upstream: string) => unknown = () => undefined,
): void {
  for (const [upstream, { balance, engine }] of entries(upstreams)) {
    if (mapping(mapping(balance)['hash_on'])['prompt'] === undefined) continue;
    if (engine === undefined && engineOf(upstream) === undefined)
      report(
        [...at, upstream, 'balance', 'hash_on', 'prompt'],
        `found without engine; expected "engine" at the upstream, such as "engine: ${ENGINE_KINDS[0]}", to read its prompts`,
      );
  }
}
