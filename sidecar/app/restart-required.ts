import type { SidecarConfig } from '../config/model.js';

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
  ['limits', ({ limits }) => limits],
  ['inbound.listen', ({ inbound }) => inbound?.listen],
  ['inbound.local', ({ inbound }) => inbound?.local],
  ['inbound.mtls', ({ inbound }) => inbound?.mtls],
  ['inbound.golden', ({ inbound }) => inbound?.golden],
  ['inbound.reflection', ({ inbound }) => inbound?.reflection],
  ['outbound.shared', ({ outbound }) => outbound?.shared],
  // With rollouts, another version is one of them.
  ['model', ({ model }) => (model?.rollout === undefined ? model : { ...model, versions: undefined })],
  ['state_dir', ({ stateDir }) => stateDir],
  ['audit', ({ audit }) => audit],
  ['fault_injection', ({ faultInjection }) => faultInjection],
];

/** The changed options that take effect at the next start, as paths in the file. */
export function restartPaths(before: SidecarConfig, next: SidecarConfig): string[] {
  const isChanged = (a: unknown, b: unknown): boolean => JSON.stringify(a) !== JSON.stringify(b);
  const fixed = FIXED.filter(([, read]) => isChanged(read(before), read(next))).map(([path]) => path);
  const ownsModel = next.model !== undefined && next.model.command.length > 0;
  const moved = (next.outbound?.upstreams ?? []).filter(({ name, listen }) => {
    const old = before.outbound?.upstreams.find((each) => each.name === name);
    // The model process has the addresses of upstreams in its environment.
    return old === undefined ? ownsModel : isChanged(old.listen, listen);
  });
  return [...fixed, ...moved.map(({ name }) => `outbound.upstreams.${name}.listen`)];
}
