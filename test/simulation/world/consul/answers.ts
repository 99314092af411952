/** Bodies that Consul's agent answers with, of one state of the servers. */
import { hashOf } from '../../dice.js';
import { type Intention, precedenceOf, type Tables } from './servers.js';

type Json = Readonly<Record<string, unknown>>;

/** `/v1/health/connect/NAME` and `/v1/health/service/NAME`: without rights, an empty list with the same index. */
export function healthOf(
  tables: Tables,
  name: string,
  isConnect: boolean,
  hasRights: boolean,
): { readonly index: number; readonly body: unknown } {
  const found = [...tables.services.values()]
    .filter((each) => (isConnect ? each.destination === name : each.name === name))
    .sort((a, b) => (`${a.node} ${a.id}` < `${b.node} ${b.id}` ? -1 : 1));
  // Of services that are there their own indexes, else when one was last lost.
  const own = found.map((each) => tables.serviceIndex.get(each.name) ?? 0);
  const index = own.length > 0 ? Math.max(...own) : Math.max(tables.extinctionIndex, 1);
  if (!hasRights) return { index, body: [] };
  const body = found.map((each) => {
    const { Name, Checks: _, ...content } = each.content;
    const address = tables.nodes.get(each.node) ?? '';
    const checks = [...tables.checks.values()]
      .filter(({ node, service }) => node === each.node && (service === '' || service === each.id))
      // Those of the node first.
      .sort((a, b) =>
        `${a.service === '' ? 0 : 1} ${a.id}` < `${b.service === '' ? 0 : 1} ${b.id}` ? -1 : 1,
      );
    return {
      Node: {
        ID: idOf(each.node),
        Node: each.node,
        Address: address,
        Datacenter: 'dc1',
        TaggedAddresses: { lan: address, lan_ipv4: address, wan: address, wan_ipv4: address },
        Meta: { 'consul-network-segment': '' },
        CreateIndex: 10,
        ModifyIndex: 10,
      },
      Service: {
        ...{ ...content, Service: Name, EnableTagOverride: false, Connect: {} },
        TaggedAddresses: taggedOf(content),
        Proxy: { MeshGateway: {}, Expose: {}, ...(content['Proxy'] as Json | undefined) },
        ...{ CreateIndex: each.index, ModifyIndex: each.index },
      },
      Checks: checks.map((check) => ({
        ...{ Node: check.node, CheckID: check.id, Name: check.name, Status: check.status },
        ...{ Notes: check.notes, Output: check.output, ServiceID: check.service },
        ...{
          ServiceName: check.service === '' ? '' : Name,
          ServiceTags: check.service === '' ? [] : content['Tags'],
        },
        ...{ Type: check.type, Definition: {}, CreateIndex: 10, ModifyIndex: check.index },
      })),
    };
  });
  return { index, body };
}

function idOf(name: string): string {
  return `00000000-0000-0000-0000-${hashOf(name).toString(16).padStart(12, '0')}`;
}

/** The address of a service, by the names that Consul gives it. */
export function taggedOf({ Address, Port }: Json): Json {
  const place = { Address, Port };
  return Address === undefined || Address === '' ? {} : { lan_ipv4: place, wan_ipv4: place };
}

/** The chain of a service about which there is no entry. */
export function chainOf(service: string): Json {
  const id = `${service}.default.dc1`;
  const name = `${id}.internal.11111111-2222-3333-4444-555555555555.consul`;
  const names = { ServiceName: service, Namespace: 'default', Datacenter: 'dc1', Protocol: 'tcp' };
  const resolver = { ConnectTimeout: '5s', Default: true, Target: id };
  const target = { ID: id, Service: service, Namespace: 'default', Datacenter: 'dc1', SNI: name, Name: name };
  return {
    Chain: {
      ...{ ...names, StartNode: `resolver:${id}` },
      Nodes: { [`resolver:${id}`]: { Type: 'resolver', Name: id, Resolver: resolver } },
      Targets: { [id]: { ...target, MeshGateway: {}, Subset: {} } },
    },
  };
}

/** `/v1/connect/intentions`, by a filter of destinations. */
export function intentionsOf(tables: Tables, filter: string): Json[] {
  const wanted = [...filter.matchAll(/DestinationName == ["`]([^"`]*)["`]/g)].map(([, name]) => name);
  return sorted(tables.intentions)
    .filter(({ destination }) => wanted.length === 0 || wanted.includes(destination))
    .map(intentionOf);
}

/** `/v1/connect/intentions/match?by=destination&name=NAME` */
export function matchOf(tables: Tables, name: string): Json {
  const matching = sorted(tables.intentions).filter(
    ({ destination }) => destination === name || destination === '*',
  );
  return { [name]: matching.map(intentionOf) };
}

/** The intention of the highest precedence decides; without one the default. */
export function isAllowed(
  { intentions }: Pick<Tables, 'intentions'>,
  source: string,
  destination: string,
  defaultPolicy: 'allow' | 'deny',
): boolean {
  const first = sorted(intentions).find(
    (each) =>
      (each.source === source || each.source === '*') &&
      (each.destination === destination || each.destination === '*'),
  );
  return (first?.action ?? defaultPolicy) === 'allow';
}

/** `/v1/agent/self`, as far as a sidecar looks. */
export function selfOf(node: string, defaultPolicy: 'allow' | 'deny'): Json {
  return {
    Config: { Datacenter: 'dc1', NodeName: node, Server: false, Version: '1.8.7' },
    DebugConfig: { ACLsEnabled: true, ACLDefaultPolicy: defaultPolicy },
  };
}

function sorted(intentions: readonly Intention[]): Intention[] {
  return [...intentions].sort((a, b) => precedenceOf(b) - precedenceOf(a));
}

function intentionOf(intention: Intention): Json {
  const { source, destination, action } = intention;
  const isByPath = action === 'allow' && intention.isByPath === true;
  return {
    ...{
      ID: idOf(`${source} ${destination}`),
      Description: '',
      DefaultAddr: '',
      DefaultPort: 0,
      Hash: 'aGFzaA==',
    },
    ...{ CreatedAt: '2026-01-01T00:00:00Z', UpdatedAt: '2026-01-01T00:00:00Z' },
    ...{ SourceNS: 'default', SourceName: source, DestinationNS: 'default' },
    ...{ DestinationName: destination, SourceType: 'consul', Meta: {} },
    ...(isByPath ? { Permissions: [{ Action: 'allow', HTTP: { PathPrefix: '/' } }] } : { Action: action }),
    ...{ Precedence: precedenceOf(intention), CreateIndex: 10, ModifyIndex: 10 },
  };
}
