import { ENGINE_CODECS } from './engine-codecs.js';

/** What a method of an engine is that asks for no tokens: its call is over at once, or is a stream. */
export type EngineMethod = 'query' | 'download';

const METHODS: ReadonlyMap<string, EngineMethod> = new Map(
  Object.values(ENGINE_CODECS).flatMap(({ abort, queries, downloads }) => [
    ...[abort, ...queries].map((path) => [path, 'query'] as const),
    ...downloads.map((path) => [path, 'download'] as const),
  ]),
);

/** Of any engine; undefined: it is none of these. */
export function engineMethodOf(path: string): EngineMethod | undefined {
  return METHODS.get(path);
}
