/**
 * What a mesh file need not say. Without a block `caller` there is one of a usual name that may be called with any service
 * of the file; without a word of intentions the caller may call its upstreams, and nothing else is let in (decision 44).
 */
import type { z } from 'zod';
import type { SpelledIntentions } from './build-parts.js';
import { caller as callerBlock, type SpelledMeshFile } from './options/mesh-file.js';
import { impliedCallerName } from './options/mesh-names.js';

type Caller = z.output<typeof callerBlock>;

/** A mesh file with what was implied in it. */
export type MeshFile = Omit<SpelledMeshFile, 'caller' | 'intentions' | 'default_intention'> & {
  readonly caller: Caller;
  readonly intentions: SpelledIntentions;
  readonly default_intention: 'allow' | 'deny';
  /** The file says nothing of a caller. */
  readonly isCallerImplied: boolean;
  /** The file says nothing of intentions. */
  readonly areIntentionsImplied: boolean;
};

export function completed(said: SpelledMeshFile): MeshFile {
  const caller = said.caller ?? impliedCaller(Object.keys(said.services));
  const areIntentionsImplied = said.intentions === undefined && said.default_intention === undefined;
  return {
    ...said,
    caller,
    intentions: areIntentionsImplied ? toUpstreams(caller) : (said.intentions ?? []),
    default_intention: said.default_intention ?? 'deny',
    isCallerImplied: said.caller === undefined,
    areIntentionsImplied,
  };
}

/** Port 0: `up` takes usual ports while they are free. */
function impliedCaller(services: readonly string[]): Caller {
  const upstreams = Object.fromEntries(services.map((name) => [name, { listen: '127.0.0.1:0' }]));
  return callerBlock.parse({ name: impliedCallerName(services), upstreams });
}

function toUpstreams({ name, upstreams }: Caller): SpelledIntentions {
  return Object.keys(upstreams).map((to) => ({ from: name, to, action: 'allow' as const }));
}
