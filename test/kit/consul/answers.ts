/** Answers of `/v1/health/connect/SERVICE` as Consul writes them, about 1.9 kB for each instance. */

import type { Instance } from '../../../sidecar/discovery/consul/parser/instances.js';

export interface AnswerEntry {
  Node: Record<string, unknown>;
  Service: Record<string, unknown>;
  Checks: Record<string, unknown>[];
}

export interface EntryOptions {
  readonly service?: string;
  readonly port?: number;
  readonly host?: string;
  readonly status?: string;
  readonly output?: string;
}

/** The `n`th instance of a service: on a node of its own, all checks passing unless said otherwise. */
export function entryOf(n: number, options: EntryOptions = {}): AnswerEntry {
  const { service = 'digits', status = 'passing' } = options;
  const host = options.host ?? `10.${(n >> 16) & 255}.${(n >> 8) & 255}.${n & 255}`;
  const port = options.port ?? 20_000;
  const id = `${service}-${n}`;
  const node = `node-${n}.fleet.example.internal`;
  const tags = ['v1', `zone-${n % 3}`];
  const check = (checkId: string, name: string, type: string, ofService: boolean, output: string) => ({
    Node: node,
    CheckID: checkId,
    Name: name,
    Status: 'passing',
    Notes: '',
    Output: output,
    ServiceID: ofService ? `${id}-sidecar-proxy` : '',
    ServiceName: ofService ? `${service}-sidecar-proxy` : '',
    ServiceTags: ofService ? tags : [],
    Type: type,
    Definition: {},
    CreateIndex: 1000 + n,
    ModifyIndex: 5000 + n,
  });
  const at = (address: string) => ({ Address: address, Port: port });
  return {
    Node: {
      ID: `13618488-6e0d-432d-c876-${n.toString(16).padStart(12, '0')}`,
      Node: node,
      Address: host,
      Datacenter: 'dc1',
      TaggedAddresses: { lan: host, lan_ipv4: host, wan: host, wan_ipv4: host },
      Meta: { 'consul-network-segment': '' },
      CreateIndex: 100 + n,
      ModifyIndex: 101 + n,
    },
    Service: {
      Kind: 'connect-proxy',
      ID: `${id}-sidecar-proxy`,
      Service: `${service}-sidecar-proxy`,
      Tags: tags,
      Address: host,
      TaggedAddresses: { lan_ipv4: at(host), wan_ipv4: at(host) },
      Meta: { version: '1', models: 'digits', 'outrider-version': '0.1.0' },
      Port: port,
      Weights: { Passing: 1, Warning: 1 },
      EnableTagOverride: false,
      Proxy: {
        DestinationServiceName: service,
        DestinationServiceID: id,
        LocalServiceAddress: '127.0.0.1',
        LocalServicePort: 9000,
        MeshGateway: {},
        Expose: {},
      },
      Connect: {},
      CreateIndex: 1000 + n,
      ModifyIndex: 1000 + n,
    },
    Checks: [
      check('serfHealth', 'Serf Health Status', '', false, 'Agent alive and reachable'),
      {
        ...check(`service:${id}-sidecar-proxy:1`, 'Sidecar can serve', 'ttl', true, options.output ?? ''),
        Status: status,
      },
      check(`service:${id}-sidecar-proxy:2`, `Aliasing ${id}`, 'alias', true, 'All checks passing.'),
    ],
  };
}

export function answerOf(entries: readonly unknown[]): Buffer {
  return Buffer.from(JSON.stringify(entries));
}

/** An instance of the service `web` as it is read from an answer: passing, at `ID:8443`. */
export function anInstance(id: string, over: Partial<Instance> = {}): Instance {
  const place = { key: `${id}:8443`, id, node: 'n1', address: id, port: 8443, datacenter: 'dc1' };
  return { ...place, weight: 1, status: 'passing', why: '', service: 'web', tags: [], meta: {}, ...over };
}
