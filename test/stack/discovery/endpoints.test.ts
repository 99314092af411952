/** Targets, the filters and the grace time against a real Consul. */

import assert from 'node:assert/strict';
import {
  EndpointWatcher,
  type TargetState,
} from '../../../sidecar/discovery/consul/catalog/endpoint-watcher.js';
import { OwnPlace } from '../../../sidecar/discovery/consul/catalog/own-place.js';
import { filterFor, type Target } from '../../../sidecar/discovery/consul/catalog/target.js';
import type { Instance } from '../../../sidecar/discovery/consul/parser/instances.js';
import { ConsulServer, consulOrSkip, proxyOf } from '../../kit/consul/consul.js';
import { type RealKit, realKit } from '../../kit/consul/real-agent.js';
import { afterTest } from '../../kit/mocha/after-test.js';
import { until } from '../../kit/process/processes.js';

const GRACE_MS = 2_000;

describe('the endpoints of a target, from a real Consul', () => {
  let server: ConsulServer;
  let kit: RealKit;
  let targets: EndpointWatcher;
  let silent: Set<number>;

  before(async function () {
    await consulOrSkip(this);
    server = await ConsulServer.start({ config: { node_meta: { region: 'eu', zone: 'a' } } });
  });
  after(async () => {
    await server?.stop();
  });
  beforeEach(() => {
    silent = new Set();
    kit = realKit(server, { config: { graceMs: GRACE_MS } });
    targets = new EndpointWatcher(kit.watches, {
      ...kit.deps,
      agent: kit.agent,
      isAnswering: (address) => address.kind === 'tcp' && !silent.has(address.port),
    });
  });
  afterEach(async () => {
    targets.close();
    kit.close();
    for (const id of Object.keys(await server.api<object>('GET', '/agent/services')))
      await server.deregister(id);
  });

  const register = (port: number, more: object = {}): Promise<unknown> =>
    server.register({
      ...proxyOf('digits', port),
      ID: `digits-${port}`,
      Check: { CheckID: `check-${port}`, Name: 'can serve', TTL: '60s', Status: 'passing' },
      ...more,
    });
  const check = (port: number, status: string, output = ''): Promise<unknown> =>
    server.api('PUT', `/agent/check/update/check-${port}`, { Status: status, Output: output });

  it('an instance is where its node is, unless its own metadata says otherwise, and so is this machine', async () => {
    await register(9001);
    await register(9002, { Meta: { zone: 'b', region: 'eu' } });
    let instances: readonly Instance[] = [];
    targets.watch({ service: 'digits' }, (now) => (instances = now.instances ?? []));
    await until('both are there', () => instances.length === 2);
    const places = Object.fromEntries(instances.map(({ port, place }) => [port, place]));
    assert.deepEqual(places, { 9001: 'eu/a', 9002: 'eu/b' });
    const own = new OwnPlace(kit.watches, kit.deps);
    own.watch(() => {});
    await until('the own place is known', () => own.current === 'eu/a');
    own.close();
  });

  /** How often instances were kept although Consul took them away. */
  const held = (): number => {
    const samples = targets
      .metrics()
      .flatMap((each) =>
        each.kind !== 'histogram' && each.name === 'outrider_consul_holds_total' ? each.samples : [],
      );
    return samples.reduce((sum, { value }) => sum + value, 0);
  };

  /** What was told last, as `9001 9002:critical`. */
  const follow = (target: Target): (() => string) => {
    let state: TargetState | undefined;
    targets.watch(target, (now) => (state = now));
    const shown = ({ port, status }: Instance) => (status === 'passing' ? `${port}` : `${port}:${status}`);
    return () => (state?.instances ?? []).map(shown).sort().join(' ');
  };
  const shows = (what: () => string, expected: string): Promise<unknown> =>
    until(`endpoints are ${expected}`, () => what() === expected).catch((error: unknown) => {
      assert.equal(what(), expected, String(error));
    });

  it('endpoints from Consul come, turn critical with a reason, and go', async () => {
    const digits = follow({ service: 'digits' });
    for (const port of [9001, 9002, 9003]) await register(port);
    await shows(digits, '9001 9002 9003');
    await check(9002, 'critical', 'the model does not answer');
    await shows(digits, '9001 9002:critical 9003');
    await server.deregister('digits-9002');
    await shows(digits, '9001 9003');
  });

  it('endpoints from Consul count as critical in maintenance, of the service and of the node', async () => {
    const digits = follow({ service: 'digits' });
    for (const port of [9001, 9002]) await register(port);
    await shows(digits, '9001 9002');
    await server.api('PUT', '/agent/service/maintenance/digits-9001?enable=true&reason=new%20disk');
    await shows(digits, '9001:critical 9002');
    await server.api('PUT', '/agent/service/maintenance/digits-9001?enable=false');
    await shows(digits, '9001 9002');
    silent = new Set([9001, 9002]);
    await server.api('PUT', '/agent/maintenance?enable=true');
    await shows(digits, '9001:critical 9002:critical');
    await server.api('PUT', '/agent/maintenance?enable=false');
    await shows(digits, '9001 9002');
  });

  it('endpoints from Consul in maintenance get no calls at once, although most of the set is and they answer', async () => {
    const digits = follow({ service: 'digits' });
    for (const port of [9001, 9002, 9003]) await register(port);
    await shows(digits, '9001 9002 9003');
    const maintain = (port: number, isOn: boolean): Promise<unknown> =>
      server.api('PUT', `/agent/service/maintenance/digits-${port}?enable=${isOn}`);
    for (const port of [9001, 9002]) await maintain(port, true);
    // Before the grace time is over: no guard was set.
    await shows(digits, '9001:critical 9002:critical 9003');
    assert.equal(held(), 0);
    for (const port of [9001, 9002]) await maintain(port, false);
    await shows(digits, '9001 9002 9003');
    // The same, said of the services behind proxies.
    for (const port of [9001, 9002, 9003]) {
      await server.register({ ID: `model-${port}`, Name: 'model', Port: port + 100 });
      const Checks = [{ Name: 'service', AliasService: `model-${port}` }];
      await register(port, { ...proxyOf('model', port), ID: `digits-${port}`, Check: undefined, Checks });
    }
    const model = follow({ service: 'model' });
    await shows(model, '9001 9002 9003');
    // The proxies were those of another service before.
    const before = held();
    for (const port of [9001, 9002])
      await server.api('PUT', `/agent/service/maintenance/model-${port}?enable=true&reason=new%20disk`);
    await shows(model, '9001:critical 9002:critical 9003');
    assert.equal(held(), before);
  });

  it('endpoints from Consul that answer are kept for the grace time when an operator empties the registry', async () => {
    const digits = follow({ service: 'digits' });
    for (const port of [9001, 9002, 9003, 9004]) await register(port);
    await shows(digits, '9001 9002 9003 9004');
    silent = new Set([9004]);
    // All at once and behind the agent's back, which puts them back when it looks again, in a minute or more.
    const { Node } = (await server.api<{ Node: string }[]>('GET', '/catalog/nodes'))[0]!;
    const removal = (port: number): object => ({
      Service: { Verb: 'delete', Node, Service: { ID: `digits-${port}`, Service: 'digits-sidecar-proxy' } },
    });
    await server.api('PUT', '/txn', [9001, 9002, 9003, 9004].map(removal));
    await shows(digits, '9001 9002 9003');
    await shows(digits, '');
  });

  it('endpoints from Consul are filtered by tags and metadata, whatever letters are in them', async () => {
    const odd = ['plain', 'a"b', 'c`d"e', 'f\\g', 'h\ni', 'ü 😀', '" or "" in Service.Tags or "'];
    for (const [i, text] of odd.entries())
      await register(9100 + i, { Tags: [text, 'all'], Meta: { 'my-key': text } });
    for (const [i, text] of odd.entries()) {
      const filter = filterFor([text, 'all'], { 'my-key': text })!;
      await shows(follow({ service: 'digits', filter }), `${9100 + i}`);
    }
  });

  it('endpoints from Consul outside the mesh are those of the service itself', async () => {
    await server.register({ Name: 'plain', ID: 'plain-1', Port: 9200 });
    await shows(follow({ service: 'plain', via: 'plain' }), '9200');
  });
});

describe('the endpoints of a target, for a token whose rights change', function () {
  this.timeout(90_000);
  let server: ConsulServer;
  let policy: string;
  let token: string;

  before(async function () {
    await consulOrSkip(this);
    server = await ConsulServer.start({ acl: true });
    policy = (await server.api<{ ID: string }>('PUT', '/acl/policy', { Name: 'changes', Rules: '' })).ID;
    const made = await server.api<{ SecretID: string }>('PUT', '/acl/token', { Policies: [{ ID: policy }] });
    token = made.SecretID;
  });
  after(() => server?.stop());

  const ALL = 'service_prefix "" { policy = "read" } node_prefix "" { policy = "read" }';
  const grant = (Rules: string): Promise<unknown> =>
    server.api('PUT', `/acl/policy/${policy}`, { ID: policy, Name: 'changes', Rules });
  const listed = (): Promise<readonly unknown[]> =>
    server.api<readonly unknown[]>('GET', '/health/connect/digits', undefined, token);

  for (const [right, rules] of [
    ['service:read', 'node_prefix "" { policy = "read" }'],
    ['node:read', 'service_prefix "" { policy = "read" }'],
  ] as const) {
    it(`endpoints from Consul stay while the token is without ${right}, and are read again once it has it back`, async () => {
      await grant(ALL);
      for (const port of [9001, 9002])
        await server.register({ ...proxyOf('digits', port), ID: `digits-${port}` });
      const kit = realKit(server, { token, config: { graceMs: 1_000 } });
      const deps = { ...kit.deps, agent: kit.agent, isAnswering: () => true };
      const targets = new EndpointWatcher(kit.watches, deps);
      afterTest(() => kit.close());
      afterTest(() => targets.close());
      const told: string[] = [];
      targets.watch({ service: 'digits' }, ({ instances = [] }) => {
        told.push(
          instances
            .map(({ port }) => port)
            .sort()
            .join(' '),
        );
      });
      await until('both are known', () => told.at(-1) === '9001 9002', 10_000);
      await grant(rules);
      await until('Consul hides them', async () => (await listed()).length === 0, 10_000);
      // The query answers as an instance changes, with a list without any.
      await server.register({ ...proxyOf('digits', 9003), ID: 'digits-9003' });
      await until('it is known that they cannot be read', () => targets.problems().size > 0, 10_000);
      assert.deepEqual(told, ['9001 9002']);
      await grant(ALL);
      await until('the third is known', () => told.at(-1) === '9001 9002 9003', 60_000);
      assert.ok(!told.includes(''), told.join(' | '));
      assert.equal(targets.problems().size, 0);
      for (const port of [9001, 9002, 9003]) await server.deregister(`digits-${port}`);
      await until('they are gone', () => told.at(-1) === '', 10_000);
    });
  }
});
