import { nameOfPlace } from '../../../core/balancing/locality.js';
import { localityOf } from '../parser/instances.js';
import { decodeJson, objectIn, textIn } from '../parser/json-fields.js';
import type { Watch } from '../query/query-registry.js';
import { type ConsulDeps, smallQuery } from '../query/query-spec.js';
import type { Queries } from './endpoint-watcher.js';

/** The name of a node does not change while its agent runs; a restart of the agent is noticed by then. */
const NAME_POLL_MS = 600_000;

/**
 * Where this machine is, for upstreams that prefer near endpoints and whose file does not say it: by the metadata of our own
 * registration, else by the agent's node in the catalogue, which is followed. Nothing is read until the first `watch`.
 */
export class OwnPlace {
  private readonly listeners = new Set<() => void>();
  private readonly watches: Watch[] = [];
  private node = '';
  private place: string | undefined;

  constructor(
    private readonly queries: Queries,
    private readonly deps: ConsulDeps,
  ) {
    const { registration, locality } = deps.config;
    const { [locality.region]: region = '', [locality.zone]: zone = '' } = registration?.meta ?? {};
    // Without a region there is only the zone to compare by: the node says the datacenter.
    if (region !== '') this.place = nameOfPlace({ region, zone }, '');
  }

  /** The name of the place; undefined while it is not known. */
  get current(): string | undefined {
    return this.place;
  }

  /** Calls `onChange` with every change of `current`, until the function that it returns is called. */
  watch(onChange: () => void): () => void {
    const listener = () => onChange();
    this.listeners.add(listener);
    if (this.place === undefined && this.watches.length === 0) this.open();
    return () => this.listeners.delete(listener);
  }

  close(): void {
    this.listeners.clear();
    for (const watch of this.watches) watch.close();
  }

  private open(): void {
    const parse = (body: Buffer) => nodeNameIn(body);
    const spec = { ...smallQuery('/agent/self', 'this machine', { parse }), pollMs: NAME_POLL_MS };
    this.watches.push(this.queries.watch(spec, (name) => this.follow(name)));
  }

  private follow(node: string): void {
    if (node === this.node) return;
    this.node = node;
    this.watches[1]?.close();
    const path = `/catalog/node/${encodeURIComponent(node)}`;
    const parse = (body: Buffer) => this.placeIn(body);
    // Its services are not asked for: there may be many, and each change of one would end the read.
    const query = { filter: 'ID == ""' };
    const spec = { ...smallQuery(path, 'the place of this machine', { parse }), query };
    this.watches[1] = this.queries.watch(spec, (place) => this.take(place));
  }

  private take(place: string | undefined): void {
    if (place === this.place) return;
    this.place = place;
    for (const listener of this.listeners) listener();
  }

  /** The zone of our registration wins over the node's: it is of this instance. */
  private placeIn(body: Buffer): string | undefined {
    const node = objectIn(decodeJson(body.toString('utf8'), 'the node in the catalogue is not JSON'), 'Node');
    const { registration, locality: placeKeys } = this.deps.config;
    return localityOf(node, { Meta: registration?.meta }, { placeKeys });
  }
}

/** The name of the agent's node. @throws Error for an answer without one. */
function nodeNameIn(body: Buffer): string {
  const self = decodeJson(body.toString('utf8'), "the agent's answer is not JSON");
  const name = textIn(objectIn(self, 'Config'), 'NodeName');
  if (name === '') throw new Error('the agent does not say the name of its node');
  return name;
}
