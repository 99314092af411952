import { writeAddress } from '../../config/codecs/address.js';
import type { Address } from '../../config/model.js';
import { listenersOf } from './listen-sockets.js';
import type { SidecarSpec } from './plan.js';

/**
 * Replicas that get other addresses in a running mesh, one after the other: callers are told of each before the next one moves, so that
 * they have an address of the service at any time where it has several replicas.
 */
export class Move {
  /** Those that are still where they were. */
  private readonly pending = new Map<string, SidecarSpec>();

  /** @param running by name. */
  constructor(
    running: ReadonlyMap<string, SidecarSpec>,
    private readonly specs: readonly SidecarSpec[],
  ) {
    for (const spec of specs) {
      const before = running.get(spec.name);
      const [was, is] = [before?.config.inbound?.listen, spec.config.inbound?.listen];
      if (before === undefined || was === undefined || is === undefined) continue;
      if (writeAddress(was) !== writeAddress(is)) this.pending.set(spec.name, before);
    }
  }

  /** The next one to move, as it is to be, with its own endpoints where they are then; undefined: all have. */
  next(): SidecarSpec | undefined {
    const waiting = this.specs.filter(({ name }) => this.pending.has(name));
    // Shifted by less than their number, one gets the port that another one still has: that one goes first.
    const spec = waiting.find((each) => !this.isTaken(each)) ?? waiting[0];
    if (spec === undefined) return undefined;
    this.pending.delete(spec.name);
    return this.sofar(spec);
  }

  private isTaken(spec: SidecarSpec): boolean {
    const others = [...this.pending.values()].filter(({ name }) => name !== spec.name);
    const taken = new Set(
      others.flatMap(({ config }) => listenersOf(config)).map(({ at }) => writeAddress(at)),
    );
    return listenersOf(spec.config).some(({ at }) => taken.has(writeAddress(at)));
  }

  /** A sidecar as it is to be, while some replicas have not moved: where they are, and where it is itself. */
  sofar(spec: SidecarSpec): SidecarSpec {
    const own = this.pending.get(spec.name) ?? spec;
    const { outbound } = own.config;
    if (outbound === undefined) return own;
    const upstreams = outbound.upstreams.map((upstream) => ({
      ...upstream,
      endpoints: upstream.endpoints.map((endpoint) => ({
        ...endpoint,
        address: this.addressOf(endpoint.id) ?? endpoint.address,
      })),
    }));
    return { ...own, config: { ...own.config, outbound: { ...outbound, upstreams } } };
  }

  private addressOf(name: string | undefined): Address | undefined {
    if (name === undefined) return undefined;
    const spec = this.pending.get(name) ?? this.specs.find((each) => each.name === name);
    return spec?.config.inbound?.listen;
  }
}

/** Whether a sidecar has the replica `name` among its endpoints. */
export function calls({ config: { outbound } }: SidecarSpec, name: string): boolean {
  return (outbound?.upstreams ?? []).some(({ endpoints }) => endpoints.some(({ id }) => id === name));
}
