import type { MeshConfig, SidecarConfig } from '../../config/model.js';

/** What sidecars that share a token do in Consul. */
export interface PolicyNeeds {
  /** They are registered, get certificates and read the intentions towards themselves. */
  readonly services: readonly string[];
  /** Their instances are looked up. */
  readonly called: readonly string[];
  /** The end of an audit log is kept in the KV store. */
  readonly audit: boolean;
  /** The only node at whose agent they register; absent: any. */
  readonly node?: string | undefined;
}

/** What the sidecar of a file needs. */
export function sidecarNeeds({ service, outbound, audit }: SidecarConfig): PolicyNeeds {
  return { services: [service], called: calledBy(outbound?.upstreams ?? []), audit: audit !== undefined };
}

/** What the token of a mesh file needs, which all its sidecars use. */
export function meshNeeds({ services, caller, audit }: MeshConfig): PolicyNeeds {
  const upstreams = [...services.flatMap((each) => each.upstreams ?? []), ...caller.upstreams];
  const own = [caller.name, ...services.map(({ name }) => name)];
  return { services: own, called: calledBy(upstreams), audit: audit !== undefined };
}

interface Called {
  readonly consul?: { readonly service: string; readonly failover: readonly { readonly service: string }[] };
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
export function policyRules({ services, called, audit, node }: PolicyNeeds): string {
  const own = [...new Set(services)].sort();
  const others = [...new Set(called)].filter((name) => !own.includes(name)).sort();
  const nodes = node === undefined ? 'agent_prefix ""' : `agent ${JSON.stringify(node)}`;
  const lines = [
    '# Registers with its proxy, gets a certificate of this name, reads the intentions towards it.',
    ...own.flatMap((name) => rulesOf(name, 'write')),
    ...(others.length === 0 ? [] : ['# Is called: its instances, its traffic rules.']),
    ...others.flatMap((name) => rulesOf(name, 'read')),
    '# Instances are listed with their nodes.',
    'node_prefix "" { policy = "read" }',
    '# The datacenter and the trust domain, from /v1/agent/self.',
    `${nodes} { policy = "read" }`,
    ...(audit ? ['# The end of the audit log.', 'key_prefix "outrider/audit/" { policy = "write" }'] : []),
  ];
  return `${lines.join('\n')}\n`;
}

function rulesOf(name: string, policy: 'read' | 'write'): string[] {
  return [name, `${name}-sidecar-proxy`].map(
    (each) => `service ${JSON.stringify(each)} { policy = "${policy}" }`,
  );
}
