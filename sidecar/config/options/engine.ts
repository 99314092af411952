import { ENGINE_KINDS } from '../../core/routing/engine.js';
import { entries, mapping } from './found.js';
import { option, type Report } from './option.js';
import { choice } from './values.js';

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
