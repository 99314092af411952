import type { SidecarConfig, UpstreamConfig } from '../config/model.js';

/** Options that only a restart takes over: path in the file, and value in the configuration. */
const FIXED: readonly (readonly [string, (config: SidecarConfig) => unknown])[] = [
  ['service', ({ service }) => service],
  ['instance', ({ instance }) => instance],
  ['datacenter', ({ datacenter }) => datacenter],
  ['log', ({ log }) => log],
  ['trust_domain', ({ trustDomain }) => trustDomain],
  ['identity', ({ identity }) => identity],
  ['consul', ({ consul }) => consul],
  ['admin', ({ admin }) => admin],
  ['admin_token_file', ({ adminTokenFile }) => adminTokenFile],
  ['observe', ({ observe }) => observe],
  ['scaler', ({ scaler }) => scaler],
  ['limits', ({ limits }) => limits],
  ['inbound.listen', ({ inbound }) => inbound?.listen],
  ['inbound.local', ({ inbound }) => inbound?.local],
  ['inbound.local_owner', ({ inbound }) => inbound?.localOwner],
  ['inbound.mtls', ({ inbound }) => inbound?.mtls],
  // What runs is still what was started.
  ['inbound.engine_model', ({ inbound }) => inbound?.engineModel],
  ['inbound.golden', ({ inbound }) => inbound?.golden],
  ['inbound.reflection', ({ inbound }) => inbound?.reflection],
  ['outbound.shared', ({ outbound }) => outbound?.shared],
  // With rollouts, another version is one of them.
  ['model', ({ model }) => (model?.rollout === undefined ? model : { ...model, versions: undefined })],
  ['state_dir', ({ stateDir }) => stateDir],
  ['audit', ({ audit }) => audit],
  ['fault_injection', ({ faultInjection }) => faultInjection],
];

/** Their paths, with `model` as a whole. */
export const RESTART_OPTIONS: readonly string[] = FIXED.map(([path]) => path);

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

  /** Takes over the listeners of `next`. The options that take effect at the next start only, as paths in the file. */
  reloaded(next: SidecarConfig): string[] {
    const { started, listens } = this;
    const fixed = FIXED.filter(([, read]) => isChanged(read(started), read(next))).map(([path]) => path);
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
