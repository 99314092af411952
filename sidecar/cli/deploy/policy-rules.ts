import type { DiscoveryConfig, MeshConfig, SidecarConfig } from '../../config/model.js';
import { hasOwnTarget } from '../../discovery/consul/chain/own-target.js';

/**
 * What sidecars that share a token do in Consul. Each field has its rules; what a file does not use gets none, so that a token
 * that is stolen from one machine is worth no more than what that sidecar does.
 */
export interface PolicyNeeds {
  /** They are registered, get certificates and read the intentions towards themselves. */
  readonly services: readonly string[];
  /** Their instances are looked up. */
  readonly called: readonly string[];
  /** Rules in Consul may lead calls to further services, and nobody has looked. Default: false. */
  readonly mayLeadElsewhere?: boolean;
  /** The ends of their audit logs are kept in the KV store. */
  readonly audited: readonly string[];
  /** Their replicas agree on rollouts, and on which of them recycles, in the KV store, under sessions. */
  readonly rollouts: readonly string[];
  /** The only node at whose agent they register; absent: any. */
  readonly node?: string | undefined;
}

/**
 * What the sidecar of a file needs. Its upstreams without a block `consul` are left out, as their endpoints are in the file.
 */
export function sidecarNeeds({ service, outbound, audit, model, consul }: SidecarConfig): PolicyNeeds {
  const upstreams = outbound?.upstreams ?? [];
  return {
    services: [service],
    called: calledBy(upstreams),
    mayLeadElsewhere: consul?.rules === true && ruledTargets(upstreams).length > 0,
    audited: audit === undefined ? [] : [service],
    rollouts: (model?.rollout ?? model?.recycle) === undefined ? [] : [service],
  };
}

/** What the token of a mesh file needs, which all its sidecars use. */
export function meshNeeds({ services, caller, audit, consul }: MeshConfig): PolicyNeeds {
  const upstreams = upstreamsOf({ services, caller });
  const own = [caller.name, ...services.map(({ name }) => name)];
  const rollouts = services.flatMap(({ name, server }) =>
    server.kind === 'models' && (server.rollout ?? server.recycle) !== undefined ? [name] : [],
  );
  return {
    services: own,
    called: calledBy(upstreams),
    mayLeadElsewhere: consul?.rules === true && ruledTargets(upstreams).length > 0,
    audited: audit === undefined ? [] : own,
    rollouts,
  };
}

/** The upstreams of all sidecars of a mesh. */
export function upstreamsOf({
  services,
  caller,
}: Pick<MeshConfig, 'services' | 'caller'>): readonly Called[] {
  return [...services.flatMap((each) => each.upstreams ?? []), ...caller.upstreams];
}

/** What Consul is asked for an upstream; absent: nothing. */
export interface Called {
  readonly consul?: DiscoveryConfig;
}

/** What Consul's rules decide for upstreams; they do not apply where the file says more than a datacenter. */
export function ruledTargets(upstreams: readonly Called[]): DiscoveryConfig[] {
  return upstreams.flatMap(({ consul }) => (consul === undefined || hasOwnTarget(consul) ? [] : [consul]));
}

function calledBy(upstreams: readonly Called[]): string[] {
  return upstreams.flatMap(({ consul }) =>
    consul === undefined ? [] : [consul.service, ...consul.failover.map(({ service }) => service)],
  );
}

/**
 * The rules of an ACL policy in Consul's own language, for `consul acl policy create -rules @FILE`.
 * No more than is needed: names, not prefixes, except where Consul knows only these.
 */
export function policyRules({
  services,
  called,
  mayLeadElsewhere = false,
  audited,
  rollouts,
  node,
}: PolicyNeeds): string {
  const own = [...new Set(services)].sort();
  const others = [...new Set(called)].filter((name) => !own.includes(name)).sort();
  // `agent "NODE"`, or `agent_prefix ""` for any node; sessions belong to nodes too.
  const at = (kind: 'agent' | 'session'): string =>
    node === undefined ? `${kind}_prefix ""` : `${kind} ${JSON.stringify(node)}`;
  const lines = [
    '# Registers with its proxy, gets a certificate of this name, reads the intentions towards it.',
    ...own.flatMap((name) => rulesOf(name, 'write')),
    ...(others.length === 0 ? [] : ['# Is called: its instances, its traffic rules.']),
    ...others.flatMap((name) => rulesOf(name, 'read')),
    ...(mayLeadElsewhere
      ? ['# If rules in Consul lead calls to other services, they need `read` too: --consul ADDR adds them.']
      : []),
    '# Instances are listed with their nodes.',
    'node_prefix "" { policy = "read" }',
    '# The datacenter and the trust domain, from /v1/agent/self.',
    `${at('agent')} { policy = "read" }`,
    ...(audited.length === 0
      ? []
      : ['# The end of the audit log, of its own service: others are witnesses that it must not change.']),
    ...audited.map((name) => `key_prefix "outrider/audit/${name}/" { policy = "write" }`),
    ...(rollouts.length === 0
      ? []
      : ['# Replicas agree on a rollout: its record, and locks that belong to sessions.']),
    ...rollouts.map(
      (name) => `key_prefix "outrider/rollout/${encodeURIComponent(name)}/" { policy = "write" }`,
    ),
    ...(rollouts.length === 0 ? [] : [`${at('session')} { policy = "write" }`]),
  ];
  return `${lines.join('\n')}\n`;
}

/**
 * Rules for a service and for its proxy, `NAME-sidecar-proxy`. Consul gives out a certificate of a service, and the intentions
 * towards it, only for `write`; for `read` it lists its instances and its entries for service-router and the like.
 */
function rulesOf(name: string, policy: 'read' | 'write'): string[] {
  return [name, `${name}-sidecar-proxy`].map(
    (each) => `service ${JSON.stringify(each)} { policy = "${policy}" }`,
  );
}
