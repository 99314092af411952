/** Discovery chains in the form that Consul 1.8 gives them, and what later versions add where a test says so. */

import { defined, present } from '../../../sidecar/config/present.js';

type Json = Readonly<Record<string, unknown>>;

const DOMAIN = '11111111-2222-3333-4444-555555555555.consul';

/** `web`, `v1.web` or `v1.web.dc2`: a target of the chain. */
interface TargetSpec extends Json {
  readonly Filter?: string;
  readonly OnlyPassing?: boolean;
}

export function idOf(spec: string): string {
  const parts = spec.split('.');
  const datacenter = /^dc\d$/.test(parts.at(-1)!) ? parts.pop()! : 'dc1';
  const service = parts.pop()!;
  const subset = parts.pop();
  return [...(subset === undefined ? [] : [subset]), service, 'default', datacenter].join('.');
}

function target(spec: string, { Filter, OnlyPassing, ...over }: TargetSpec): [string, Json] {
  const id = idOf(spec);
  const [datacenter, , service, subset] = id.split('.').reverse();
  const name = `${id}.internal.${DOMAIN}`;
  const where = { Service: service, ...present('ServiceSubset', subset), Datacenter: datacenter };
  const Subset = defined({ Filter, OnlyPassing });
  return [
    id,
    { ID: id, ...where, Namespace: 'default', MeshGateway: {}, Subset, SNI: name, Name: name, ...over },
  ];
}

interface ResolverSpec {
  readonly connectTimeout?: string;
  readonly failover?: readonly string[];
  readonly failoverMore?: Json;
  readonly more?: Json;
  readonly loadBalancer?: Json;
}

/** The node of a target. */
export function resolver(spec: string, over: ResolverSpec = {}): [string, Json] {
  const id = idOf(spec);
  const node = {
    Type: 'resolver',
    Name: id,
    Resolver: {
      ConnectTimeout: over.connectTimeout ?? '5s',
      ...(over.connectTimeout === undefined && over.failover === undefined ? { Default: true } : {}),
      Target: id,
      ...present('Failover', over.failover && { Targets: over.failover.map(idOf), ...over.failoverMore }),
      ...over.more,
    },
    ...present('LoadBalancer', over.loadBalancer),
  };
  return [`resolver:${id}`, node];
}

export function splitter(
  service: string,
  splits: Readonly<Record<string, number>>,
  more: Json = {},
): [string, Json] {
  const Splits = Object.entries(splits).map(([node, Weight]) => ({ Weight, NextNode: node, ...more }));
  return [`splitter:${service}.default`, { Type: 'splitter', Name: `${service}.default`, Splits }];
}

interface RouteSpec {
  readonly match?: Json;
  readonly destination?: Json;
  readonly next: string;
}

/** With the route for all other calls that Consul adds. */
export function router(service: string, routes: readonly RouteSpec[], rest: string): [string, Json] {
  const all = [...routes, { match: { PathPrefix: '/' }, destination: { Service: service }, next: rest }];
  const Routes = all.map(({ match, destination, next }) => ({
    Definition: defined({ Match: match && { HTTP: match }, Destination: destination }),
    NextNode: next,
  }));
  return [`router:${service}.default`, { Type: 'router', Name: `${service}.default`, Routes }];
}

/** The first node is the start. */
export function chain(
  nodes: readonly [string, Json][],
  targets: Readonly<Record<string, TargetSpec>> = { web: {} },
  service = 'web',
): string {
  const names = { ServiceName: service, Namespace: 'default', Datacenter: 'dc1', Protocol: 'grpc' };
  const Targets = Object.fromEntries(Object.entries(targets).map(([spec, over]) => target(spec, over)));
  const Nodes = Object.fromEntries(nodes);
  return JSON.stringify({ Chain: { ...names, StartNode: nodes[0]?.[0], Nodes, Targets } });
}
