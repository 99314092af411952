/**
 * What a mesh file need not say. Without a block `caller` there is one of a usual name that may be called with any service
 * of the file; without a word of intentions the caller and each service
 * may call their upstreams, and nothing else is let in.
 */
import type * as z from 'zod';
import { DEFAULT_DATACENTER, DEFAULT_TRUST_DOMAIN } from './defaults.js';
import { fromFile } from './names-codec.js';
import { plainDiscovery } from './options/consul/discovery.js';
import { impliedCallerName } from './options/mesh/known-names.js';
import { caller as callerBlock, meshFile } from './options/mesh-file.js';
import { present } from './present.js';

const LEAF_LIFETIME_MS = 3_600_000;

type Caller = z.output<typeof callerBlock>;
type Written = z.output<typeof meshFile>;

/** A mesh file with what is implied in it, in the names of the file. */
export type MeshFile = Omit<Written, 'caller' | 'intentions' | 'default_intention'> & {
  readonly caller: Caller;
  readonly intentions: NonNullable<Written['intentions']>;
  readonly default_intention: 'allow' | 'deny';
  /** The file says nothing of a caller. */
  readonly isCallerImplied: boolean;
  /** The file says nothing of intentions. */
  readonly areIntentionsImplied: boolean;
};

/** Adds what a mesh file implies. */
export function completed(file: Written): MeshFile {
  const caller = file.caller ?? impliedCaller(Object.keys(file.services));
  const areIntentionsImplied = file.intentions === undefined && file.default_intention === undefined;
  return {
    ...file,
    caller,
    intentions: areIntentionsImplied ? toUpstreams(caller, file.services) : (file.intentions ?? []),
    default_intention: file.default_intention ?? 'deny',
    isCallerImplied: file.caller === undefined,
    areIntentionsImplied,
  };
}

/** Port 0: `up` takes usual ports while they are free. */
function impliedCaller(services: readonly string[]): Caller {
  const upstreams = Object.fromEntries(services.map((name) => [name, { listen: '127.0.0.1:0' }]));
  return callerBlock.parse({ name: impliedCallerName(services), upstreams });
}

/** One for each upstream of the caller and of each service. */
function toUpstreams(caller: Caller, services: Written['services']): MeshFile['intentions'] {
  const calling = [[caller.name, caller] as const, ...Object.entries(services)];
  return calling.flatMap(([from, { upstreams = {} }]) =>
    Object.keys(upstreams).map((to) => ({ from, to, action: 'allow' as const })),
  );
}

/** A mesh file as `outrider up` reads it. */
export function meshConfig(file: MeshFile, baseDir: string) {
  const { isCallerImplied, areIntentionsImplied } = file;
  const { consul, ...rest } = fromFile(meshFile, file, baseDir);
  const caller = fromFile(callerBlock, file.caller, baseDir);
  const discovered = (upstreams: typeof caller.upstreams): typeof caller.upstreams =>
    consul === undefined
      ? upstreams
      : upstreams.map((upstream) => ({ consul: plainDiscovery(upstream.name), ...upstream }));
  const services = rest.services.map(({ upstreams, ...service }) => ({
    ...service,
    ...present('upstreams', upstreams && discovered(upstreams)),
  }));
  return {
    ...rest,
    services,
    trustDomain: rest.trustDomain ?? DEFAULT_TRUST_DOMAIN,
    datacenter: rest.datacenter ?? DEFAULT_DATACENTER,
    leafLifetimeMs: rest.leafLifetimeMs ?? LEAF_LIFETIME_MS,
    ...present('consul', consul),
    caller: {
      ...caller,
      ...present('isImplied', isCallerImplied || undefined),
      upstreams: discovered(caller.upstreams),
    },
    intentions: file.intentions.map(({ models, control_methods, ...said }) => ({
      ...said,
      ...present('models', models),
      ...present('controlMethods', control_methods),
    })),
    defaultIntention: file.default_intention,
    ...present('areIntentionsImplied', areIntentionsImplied || undefined),
  };
}
