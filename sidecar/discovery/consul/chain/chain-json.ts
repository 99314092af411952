import { isObject, isSet, type Json, objectIn, quote, textIn } from '../parser/json-fields.js';

/** A node of a discovery chain. */
export interface ChainNode {
  readonly type: 'router' | 'splitter' | 'resolver';
  /** As Consul calls it: `v1.web.default.dc1`. */
  readonly name: string;
  readonly json: Json;
}

/** Where endpoints are read. */
export interface ChainTarget {
  readonly id: string;
  readonly service: string;
  readonly datacenter: string;
  /** Empty: none. */
  readonly subset: string;
  readonly filter: string;
  readonly onlyPassing: boolean;
  readonly json: Json;
}

/** A compiled discovery chain. Its nodes are looked up by name, so that a dangling name is an Error and not a gap. */
export interface Chain {
  readonly service: string;
  /** The one it was compiled for. */
  readonly datacenter: string;
  /** Whether that is the agent's own. */
  readonly isHere: boolean;
  readonly start: ChainNode;
  /** @throws Error when the chain has no such node. */
  node(key: string): ChainNode;
  /** @throws Error when the chain has no such target. */
  target(id: string): ChainTarget;
}

/** Where a chain was compiled for: `elsewhere` is a datacenter that was asked for, and perhaps the agent's own after all. */
export type ChainPlace = 'here' | 'elsewhere';

/**
 * Reads the answer of `/v1/discovery-chain/SERVICE`. @throws Error that says what is missing; the chain is not used
 * then.
 */
export function parseChain(text: string, place: ChainPlace = 'here'): Chain {
  const chain = objectIn(JSON.parse(text), 'Chain');
  if (chain === undefined) throw new Error('not a discovery chain: it has no Chain');
  const nodes = objectIn(chain, 'Nodes') ?? {};
  const targets = objectIn(chain, 'Targets') ?? {};
  const node = (key: string): ChainNode => nodeOf(key, objectIn(nodes, key));
  return {
    service: textIn(chain, 'ServiceName'),
    datacenter: textIn(chain, 'Datacenter'),
    isHere: place === 'here',
    start: node(textIn(chain, 'StartNode')),
    node,
    target: (id) => targetOf(id, objectIn(targets, id)),
  };
}

/** A node by its key. @throws Error for one that is absent or of an unknown type. */
function nodeOf(key: string, json: Json | undefined): ChainNode {
  if (json === undefined) throw new Error(`the discovery chain has no node ${quote(key)}`);
  const type = textIn(json, 'Type');
  if (type !== 'router' && type !== 'splitter' && type !== 'resolver') {
    const found = `found ${quote(type)}, expected router, splitter or resolver`;
    throw new Error(`node ${quote(key)} of the discovery chain: Type: ${found}`);
  }
  return { type, name: textIn(json, 'Name'), json };
}

/** A target by its id. @throws Error for one that is absent or names no service. */
function targetOf(id: string, json: Json | undefined): ChainTarget {
  const service = textIn(json, 'Service');
  if (json === undefined || service === '') throw new Error(`the discovery chain has no target ${quote(id)}`);
  const subset = objectIn(json, 'Subset');
  return {
    id,
    service,
    datacenter: textIn(json, 'Datacenter'),
    subset: textIn(json, 'ServiceSubset'),
    filter: textIn(subset, 'Filter'),
    onlyPassing: subset?.['OnlyPassing'] === true,
    json,
  };
}

/** The units of Go's `time.Duration`, in ms. */
const UNITS_MS = { ns: 1e-6, us: 1e-3, µs: 1e-3, μs: 1e-3, ms: 1, s: 1e3, m: 60_000, h: 3_600_000 };

/** A duration as Go writes it ("1m30s", "250ms"), in ms; undefined for zero and for what is none. */
export function durationIn(json: Json | undefined, field: string): number | undefined {
  const text = textIn(json, field);
  if (!/^(\d+(\.\d+)?(ns|us|µs|μs|ms|s|m|h))+$/.test(text)) return undefined;
  let ms = 0;
  for (const [, amount, unit] of text.matchAll(/(\d+(?:\.\d+)?)([a-zµμ]+)/g))
    ms += Number(amount) * UNITS_MS[unit as keyof typeof UNITS_MS];
  return ms > 0 ? ms : undefined;
}

/** A duration as text, or in nanoseconds as Go's own JSON has it; in ms. */
export function goDurationIn(json: Json | undefined, field: string): number | undefined {
  const nanoseconds = countIn(json, field);
  return nanoseconds === undefined ? durationIn(json, field) : nanoseconds / 1e6;
}

/** A whole number above zero, or undefined. */
export function countIn(json: Json | undefined, field: string): number | undefined {
  const found = json?.[field];
  return typeof found === 'number' && Number.isSafeInteger(found) && found > 0 ? found : undefined;
}

/** What is done in any case, by field: saying it asks for nothing. */
const AS_IT_IS: ReadonlyMap<string, readonly unknown[]> = new Map([
  ['Protocol', ['grpc', 'http2']],
  ['Mode', ['direct', 'none', 'sequential']],
  ['MutualTLSMode', ['strict']],
]);

/** The fields of an object that ask for something and are none of `known`, those of versions of Consul to come included. */
export function unknownIn(json: unknown, known: ReadonlySet<string>): string[] {
  if (!isObject(json)) return [];
  return Object.entries(json)
    .filter(([field, value]) => !known.has(field) && asksFor(field, value))
    .map(([field]) => quote(field).slice(1, -1));
}

/** Whether a value differs from what Go writes for an unset one, in all of its parts, and from what is done anyway. */
function asksFor(field: string, value: unknown): boolean {
  if (AS_IT_IS.get(field)?.includes(value) === true) return false;
  if (isObject(value)) return Object.entries(value).some(([name, each]) => asksFor(name, each));
  return isSet(value) && value !== 0;
}
