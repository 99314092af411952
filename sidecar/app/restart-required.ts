import type { InboundConfig, OutboundConfig, SidecarConfig, UpstreamConfig } from '../config/model.js';

/** An option that only a restart takes over. */
interface FixedOption {
  /** Path in the file. */
  readonly path: string;
  read(config: SidecarConfig): unknown;
  /** `next`, with this option as it was at the start. */
  keep(started: SidecarConfig, next: SidecarConfig): SidecarConfig;
}

const FIXED: readonly FixedOption[] = [
  ofFile('service', 'service'),
  ofFile('instance', 'instance'),
  ofFile('datacenter', 'datacenter'),
  ofFile('log', 'log'),
  ofFile('trust_domain', 'trustDomain'),
  ofFile('identity', 'identity'),
  ofFile('consul', 'consul'),
  ofFile('admin', 'admin'),
  ofFile('admin_token_file', 'adminTokenFile'),
  ofFile('observe', 'observe'),
  ofFile('scaler', 'scaler'),
  ofFile('limits', 'limits'),
  ofInbound('listen', 'listen'),
  ofInbound('local', 'local'),
  ofInbound('local_owner', 'localOwner'),
  ofInbound('mtls', 'mtls'),
  // What runs is still what was started.
  ofInbound('engine', 'engine'),
  ofInbound('engine_model', 'engineModel'),
  ofInbound('golden', 'golden'),
  ofInbound('reflection', 'reflection'),
  {
    path: 'outbound.shared',
    read: ({ outbound }) => outbound?.shared,
    keep: ({ outbound: { shared } = NO_UPSTREAMS }, next) =>
      next.outbound === undefined && shared === undefined
        ? next
        : { ...next, outbound: withValue(next.outbound ?? NO_UPSTREAMS, 'shared', shared) },
  },
  {
    path: 'model',
    // With rollouts, another version is one of them.
    read: ({ model }) => (model?.rollout === undefined ? model : { ...model, versions: undefined }),
    keep: ({ model }, next) =>
      withValue(
        next,
        'model',
        model?.rollout === undefined || next.model === undefined
          ? model
          : withValue(model, 'versions', next.model.versions),
      ),
  },
  ofFile('state_dir', 'stateDir'),
  ofFile('audit', 'audit'),
  ofFile('fault_injection', 'faultInjection'),
];

const NO_UPSTREAMS: OutboundConfig = { upstreams: [] };

function ofFile(path: string, key: keyof SidecarConfig): FixedOption {
  return {
    path,
    read: (config) => config[key],
    keep: (started, next) => withValue(next, key, started[key]),
  };
}

function ofInbound(name: string, key: keyof InboundConfig): FixedOption {
  return {
    path: `inbound.${name}`,
    read: ({ inbound }) => inbound?.[key],
    keep: ({ inbound: started }, next) =>
      started === undefined || next.inbound === undefined
        ? next
        : { ...next, inbound: withValue(next.inbound, key, started[key]) },
  };
}

/** A copy with another value; undefined takes it out. */
function withValue<T extends object, K extends keyof T>(of: T, key: K, value: T[K] | undefined): T {
  if (value !== undefined) return { ...of, [key]: value };
  const { [key]: _, ...rest } = of;
  return rest as T;
}

/** Their paths, with `model` as a whole. */
export const RESTART_OPTIONS: readonly string[] = FIXED.map(({ path }) => path);

/**
 * What a sidecar runs with: what its start took from the file, and the listeners that were opened since. Reloaded files are
 * compared with that and not with the file before, so that an option stays named until a restart takes it over, and is not
 * named any more once it is set back.
 */
export class StartedWith {
  private listens: ReadonlyMap<string, UpstreamConfig['listen']>;

  constructor(private readonly started: SidecarConfig) {
    this.listens = new Map(upstreamsOf(started).map(({ name, listen }) => [name, listen]));
  }

  /**
   * What is in force once `next` has been taken over: an option that only a restart takes over is as it was at the start, so that
   * none is applied in part.
   *
   * @param before what was in force until now.
   */
  inForce(next: SidecarConfig, before: SidecarConfig): SidecarConfig {
    const { started } = this;
    // Whether there is an inbound side follows from its address, which the start took over.
    const inbound = started.inbound && (next.inbound ?? before.inbound);
    return FIXED.reduce((config, { keep }) => keep(started, config), withValue(next, 'inbound', inbound));
  }

  /** Takes over the listeners of `next`. The options that take effect at the next start only, as paths in the file. */
  reloaded(next: SidecarConfig): string[] {
    const { started, listens } = this;
    const fixed = FIXED.filter(({ read }) => isChanged(read(started), read(next))).map(({ path }) => path);
    const ownsModel = next.model !== undefined && next.model.command.length > 0;
    const known = new Map(upstreamsOf(started).map(({ name, listen }) => [name, listen]));
    const moved = upstreamsOf(next).filter(({ name, listen }) => {
      if (listens.has(name) && isChanged(listens.get(name), listen)) return true;
      // The model process has the addresses of upstreams in its environment.
      return ownsModel && isChanged(known.get(name), listen);
    });
    const opened = ({ name, listen }: UpstreamConfig) => (listens.has(name) ? listens.get(name) : listen);
    this.listens = new Map(upstreamsOf(next).map((upstream) => [upstream.name, opened(upstream)]));
    return [...fixed, ...moved.map(({ name }) => `outbound.upstreams.${name}.listen`)];
  }
}

const upstreamsOf = ({ outbound }: SidecarConfig): readonly UpstreamConfig[] => outbound?.upstreams ?? [];

const isChanged = (before: unknown, next: unknown): boolean =>
  JSON.stringify(before) !== JSON.stringify(next);
