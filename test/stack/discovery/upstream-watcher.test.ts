/** Each kind of config entry, written to a real Consul, changes what the data plane is told, without a restart. */
import assert from 'node:assert/strict';
import { EndpointWatcher } from '../../../sidecar/discovery/consul/catalog/endpoint-watcher.js';
import { OwnEntries } from '../../../sidecar/discovery/consul/chain/own-entries.js';
import {
  type TargetSource,
  UpstreamWatcher,
} from '../../../sidecar/discovery/consul/chain/upstream-watcher.js';
import type { UpstreamSnapshot } from '../../../sidecar/discovery/snapshot.js';
import type { Logger } from '../../../sidecar/runtime/log/logger.js';
import { ConsulServer, consulOrSkip, proxyOf } from '../../kit/consul/consul.js';
import { type RealKit, realKit } from '../../kit/consul/real-agent.js';
import { afterTest } from '../../kit/mocha/after-test.js';
import { until } from '../../kit/process/processes.js';
import { silentLogger } from '../../kit/stack/silent-logger.js';
import { anUpstream } from '../../kit/stack/stack.js';

type Json = Readonly<Record<string, unknown>>;

describe('rules of a real Consul', () => {
  let server: ConsulServer;
  let kit: RealKit;
  let targets: EndpointWatcher;
  let watch: UpstreamWatcher;
  let latest: UpstreamSnapshot | undefined;
  let warnings: string[];

  before(async function () {
    await consulOrSkip(this);
    server = await ConsulServer.start();
    for (const [id, version, status] of [
      ['web-1', '1', 'passing'],
      ['web-2', '2', 'passing'],
      ['web-3', '2', 'warning'],
      ['other-1', '1', 'passing'],
    ] as const)
      await register(id, version, status);
    for (const Name of ['web', 'other']) await write({ Kind: 'service-defaults', Name, Protocol: 'grpc' });
  });
  after(async () => {
    await server?.stop();
  });
  beforeEach(() => {
    latest = undefined;
    warnings = [];
    const logger: Logger = { ...silentLogger, warn: (fields) => void warnings.push(String(fields['rule'])) };
    kit = realKit(server, { logger });
    const { watches, deps } = kit;
    targets = new EndpointWatcher(watches, { ...deps, agent: kit.agent, isAnswering: () => true });
    const consul = { service: 'web', tags: [], meta: {}, failover: [] };
    const upstream = anUpstream([], { name: 'web', consul, balance: { kind: 'least-loaded' } });
    const take = (snapshot: UpstreamSnapshot) => (latest = snapshot);
    watch = new UpstreamWatcher(upstream, watches, targets, { ...deps, service: 'app' }, take);
  });
  afterEach(async () => {
    watch.close();
    targets.close();
    kit.close();
    for (const kind of ['service-router', 'service-splitter', 'service-resolver'])
      await server.request('DELETE', `/config/${kind}/web`);
    await server.request('DELETE', '/config/proxy-defaults/global');
  });

  const write = (entry: Json) => server.api('PUT', '/config', entry);

  async function register(id: string, version: string, status: string): Promise<void> {
    const [service] = id.split('-');
    const port = 20_000 + Number(id.at(-1)) + (service === 'web' ? 0 : 100);
    await server.register({
      ID: id,
      ...proxyOf(service!, port),
      Meta: { version },
      Check: { CheckID: `check:${id}`, Name: 'model answers', TTL: '1h', Status: status },
    });
  }

  /** `id@priority` of a cluster's endpoints; undefined while they are not known. */
  const endpoints = (name = '') =>
    latest?.clusters
      .get(name)
      ?.endpoints?.map(({ id, priority }) => `${id}@${priority}`)
      .sort();

  const become = (what: string, wanted: () => unknown, expected: unknown) =>
    until(`${what}: ${JSON.stringify(wanted())}`, () => {
      try {
        assert.deepEqual(wanted(), expected);
        return true;
      } catch {
        return false;
      }
    });
  const ALL = ['web-1@0', 'web-2@0', 'web-3@0'];

  it('without rules all instances are endpoints', () => become('endpoints', endpoints, ALL));

  it('a service-resolver has subsets, passing instances only, failover, connect timeout and redirect', async () => {
    await become('endpoints', endpoints, ALL);
    await write({
      Kind: 'service-resolver',
      Name: 'web',
      DefaultSubset: 'v2',
      ConnectTimeout: '3s',
      Subsets: { v2: { Filter: 'Service.Meta.version == 2', OnlyPassing: true } },
      Failover: { '*': { Service: 'other' } },
    });
    const v2 = 'v2.web.default.dc1';
    await become('v2', () => endpoints(v2), ['other-1@1', 'web-2@0', 'web-3@1000']);
    assert.equal(latest?.clusters.get(v2)?.connectTimeoutMs, 3000);
    assert.equal(latest?.clusters.get(v2)?.endpoints?.find(({ id }) => id === 'web-2')?.subset, 'v2');
    await write({ Kind: 'service-resolver', Name: 'web', Redirect: { Service: 'other' } });
    await become('redirected', () => endpoints('other.default.dc1'), ['other-1@0']);
    await server.api('DELETE', '/config/service-resolver/web');
    await become('as before', endpoints, ALL);
  });

  it('a service-splitter has weights, which change while they are in force', async () => {
    const filter = (version: number) => ({ Filter: `Service.Meta.version == ${version}` });
    await write({ Kind: 'service-resolver', Name: 'web', Subsets: { v1: filter(1), v2: filter(2) } });
    for (const weights of [
      { v1: 90, v2: 10 },
      { v1: 50, v2: 50 },
    ]) {
      const shares = Object.entries(weights);
      const Splits = shares.map(([ServiceSubset, Weight]) => ({ Weight, ServiceSubset }));
      await write({ Kind: 'service-splitter', Name: 'web', Splits });
      const split = shares.map(([v, weight]) => ({ weight: weight / 100, cluster: `${v}.web.default.dc1` }));
      await become('split', () => latest?.routes, [{ split }]);
    }
    await become('v1', () => endpoints('v1.web.default.dc1'), ['web-1@0']);
    await become('v2', () => endpoints('v2.web.default.dc1'), ['web-2@0', 'web-3@0']);
  });

  it('rules hold for an upstream in another datacenter, whose instances are asked for there', async () => {
    const HTTP = { PathPrefix: '/inference.GRPCInferenceService/' };
    const Routes = [{ Match: { HTTP }, Destination: { RequestTimeout: '2s' } }];
    await write({ Kind: 'service-router', Name: 'web', Routes });
    const seen: string[] = [];
    const source: TargetSource = {
      watch: ({ service, datacenter }) => {
        seen.push(`${service}@${datacenter}`);
        return { doubt() {}, close() {} };
      },
    };
    const consul = { service: 'web', datacenter: 'dc9', tags: [], meta: {}, failover: [] };
    let routes: UpstreamSnapshot['routes'] | undefined;
    const take = (snapshot: UpstreamSnapshot) => (routes = snapshot.routes);
    const there = new UpstreamWatcher(
      anUpstream([], { name: 'web', consul }),
      kit.watches,
      source,
      { ...kit.deps, service: 'app' },
      take,
    );
    afterTest(() => there.close());
    await become('the route', () => routes?.[0]?.timeoutMs, 2_000);
    assert.deepEqual(seen, ['web@dc9']);
  });

  it('a service-router has paths, metadata, timeout and retries, and what is not applied is reported once', async () => {
    const retries = { NumRetries: 2, RetryOnStatusCodes: [503, 500] };
    const Destination = { Service: 'other', RequestTimeout: '2s', ...retries };
    const prefix = '/inference.GRPCInferenceService/';
    const HTTP = { PathPrefix: prefix, Header: [{ Name: 'x-canary', Exact: 'yes' }] };
    const Routes = [
      { Match: { HTTP }, Destination },
      { Match: { HTTP: { PathRegex: '/a.B/.*', Methods: ['GET'] } } },
    ];
    await write({ Kind: 'service-router', Name: 'web', Routes });
    await become('routes', () => latest?.routes, [
      {
        match: { prefix, headers: [{ name: 'x-canary', exact: 'yes', invert: false }] },
        timeoutMs: 2000,
        retry: { attempts: 3, on: [14] },
        split: [{ weight: 1, cluster: 'other.default.dc1' }],
      },
      { split: [{ weight: 1, cluster: '' }] },
    ]);
    await become('both', () => [endpoints('other.default.dc1'), endpoints()], [['other-1@0'], ALL]);
    const sentences = [
      'service-router "web", route 1: RetryOnStatusCodes "500" has no counterpart in gRPC.',
      'service-router "web", route 2 is left out: Match.HTTP.Methods is without POST.',
    ];
    assert.deepEqual(watch.unsupported(), sentences);
    const more = { Match: { HTTP: { PathExact: '/c.D/E' } } };
    await write({ Kind: 'service-router', Name: 'web', Routes: [...Routes, more] });
    await become('one more', () => latest?.routes.length, 3);
    assert.deepEqual(warnings, sentences, 'once, though the rules were read twice');
  });

  it('proxy-defaults are reported as far as they concern Envoy, and gateways where they would matter', async () => {
    await become('endpoints', endpoints, ALL);
    const own = new OwnEntries(kit.watches, { ...kit.deps, service: 'app', logged: new Set() });
    afterTest(() => own.close());
    const Expose = { Paths: [{ Path: '/health', ListenerPort: 1, LocalPathPort: 2, Protocol: 'http' }] };
    const settings = { Config: { local_connect_timeout_ms: 1000 }, MeshGateway: { Mode: 'local' } };
    await write({ Kind: 'proxy-defaults', Name: 'global', ...settings });
    const sentence = 'proxy-defaults: Config "local_connect_timeout_ms" is not applied.';
    await become('named', () => own.unsupported(), [sentence]);
    await write({ Kind: 'service-defaults', Name: 'app', Protocol: 'grpc', Expose });
    const exposed = 'service-defaults "app": Expose is not applied.';
    await become('both entries', () => own.unsupported(), [exposed, sentence]);
    await server.api('DELETE', '/config/service-defaults/app');
    await become('one is gone', () => own.unsupported(), [sentence]);
    await write({ Kind: 'service-resolver', Name: 'web', Failover: { '*': { Datacenters: ['dc9'] } } });
    await become('the gateway', () => watch.unsupported().length, 1);
    const gateway = /MeshGateway.Mode "local" is not applied, connections are direct/;
    assert.match(watch.unsupported().join(' '), gateway);
    await become('the near ones serve, though the far datacenter is unknown', endpoints, ALL);
  });

  it('service-defaults have limits of upstreams where this version of Consul has them', async () => {
    await become('endpoints', endpoints, ALL);
    const UpstreamConfig = { Defaults: { Limits: { MaxConcurrentRequests: 9 } } };
    const entry = { Kind: 'service-defaults', Name: 'app', Protocol: 'grpc' };
    const { status } = await server.request('PUT', '/config', { ...entry, UpstreamConfig });
    // Consul 1.8 knows no such field and refuses it; 1.9 and later take it.
    if (status !== 200) await write(entry);
    const wanted = status === 200 ? 9 : undefined;
    const answers = () =>
      kit.watches.statuses().find(({ name }) => name === 'service-defaults of app')?.answers ?? 0;
    await until('the entry is read', () => answers() >= 2);
    await become('the limit', () => latest?.clusters.get('')?.maxInFlight, wanted);
    await server.api('DELETE', '/config/service-defaults/app');
    await until('it is gone', () => answers() >= 3);
    await become('no limit', () => latest?.clusters.get('')?.maxInFlight, undefined);
    assert.deepEqual(warnings, []);
  });
});
