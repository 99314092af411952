import type { EngineCodec } from './engine-codec.js';
import { ENGINE_CODECS, type EngineName } from './engine-codecs.js';

/**
 * What a method of an engine is that asks for no tokens. `urgent`: it ends work, or asks whether the engine works at all. `query`: its call is
 * over at once. `download`: it is a stream.
 */
export type EngineMethod = 'urgent' | 'query' | 'download';

const METHODS: ReadonlyMap<EngineName, ReadonlyMap<string, EngineMethod>> = new Map(
  Object.values(ENGINE_CODECS).map((codec) => [codec.name as EngineName, methodsOf(codec)]),
);

function methodsOf({ abort, queries, downloads }: EngineCodec): ReadonlyMap<string, EngineMethod> {
  return new Map<string, EngineMethod>([
    ...queries.map((path) => [path, path.endsWith('/HealthCheck') ? 'urgent' : 'query'] as const),
    ...downloads.map((path) => [path, 'download'] as const),
    [abort, 'urgent'],
  ]);
}

/** Undefined: it is none of these, or asks for tokens. */
export function engineMethodOf(engine: EngineName, path: string): EngineMethod | undefined {
  return METHODS.get(engine)?.get(path);
}

/** What every gRPC server may answer beside its services: its health, and what it has. */
const OF_THE_SERVER = '/grpc.';

/** Whether the front of an engine answers the method by itself: it does so also while the engine behind it is dead. */
export function isAnsweredByFront(
  { generate, abort, queries, downloads }: EngineCodec,
  path: string,
): boolean {
  if (path === generate) return false;
  return (
    path === abort || queries.includes(path) || downloads.includes(path) || path.startsWith(OF_THE_SERVER)
  );
}
