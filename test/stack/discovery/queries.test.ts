/** The client and its blocking queries against a real Consul, and one that is spoiled on the way. */

import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { ConsulConfig } from '../../../sidecar/config/model.js';
import { ConsulAgent } from '../../../sidecar/discovery/consul/client/client.js';
import { AgentError } from '../../../sidecar/discovery/consul/client/response.js';
import { agentSettings } from '../../../sidecar/discovery/consul/client/settings.js';
import { QueryRegistry } from '../../../sidecar/discovery/consul/query/query-registry.js';
import type { Source } from '../../../sidecar/discovery/consul/query/query-spec.js';
import { silentLogger } from '../../../sidecar/runtime/log/logger.js';
import { systemRandom } from '../../../sidecar/runtime/random.js';
import { systemClock } from '../../../sidecar/runtime/time/clock.js';
import { systemTimers } from '../../../sidecar/runtime/time/timers.js';
import { ConsulServer, consulOrSkip } from '../../kit/consul/consul.js';
import { FaultProxy } from '../../kit/consul/consul-proxy.js';
import { CONFIG } from '../../kit/consul/scripted-agent.js';
import { afterTest } from '../../kit/mocha/after-test.js';
import { until } from '../../kit/process/processes.js';

const OPTIONS = { timeoutMs: 10_000, maxBytes: 1_000_000 };

interface Told {
  readonly ids: readonly string[];
  readonly from: Source;
  readonly atMs: number;
}

class Side {
  readonly agent: ConsulAgent;
  readonly watches: QueryRegistry;
  readonly told: Told[] = [];

  constructor(config: Partial<ConsulConfig>) {
    const all = { ...CONFIG, ...config };
    this.agent = new ConsulAgent(agentSettings(all, {}), systemTimers);
    const ambient = { clock: systemClock, timers: systemTimers, random: systemRandom };
    this.watches = new QueryRegistry(this.agent, { config: all, ...ambient, logger: silentLogger });
  }

  watch(service: string): this {
    const path = `/health/service/${service}`;
    const parse = (body: Buffer) =>
      (JSON.parse(body.toString()) as { Service: { ID: string } }[]).map(({ Service }) => Service.ID).sort();
    this.watches.watch({ key: path, name: service, path, query: {}, parse }, (ids, from) =>
      this.told.push({ ids, from, atMs: performance.now() }),
    );
    return this;
  }

  get ids(): readonly string[] | undefined {
    return this.told.at(-1)?.ids;
  }

  close(): void {
    this.watches.close();
    this.agent.close();
  }
}

describe('blocking queries of a real Consul', () => {
  let server: ConsulServer;
  let proxy: FaultProxy;
  const sides: Side[] = [];
  const side = (config: Partial<ConsulConfig> = {}): Side => {
    const made = new Side({ address: proxy.url, ...config });
    sides.push(made);
    return made;
  };

  before(async function () {
    await consulOrSkip(this);
    server = await ConsulServer.start();
    proxy = await FaultProxy.start(server);
  });
  after(async () => {
    await proxy?.stop();
    await server?.stop();
  });
  afterEach(async () => {
    for (const each of sides.splice(0)) each.close();
    await proxy?.set({ kind: 'none' });
  });

  const register = (id: string, Name: string) =>
    server.api('PUT', '/agent/service/register', { ID: id, Name, Port: 1 });
  const deregister = (id: string) => server.api('PUT', `/agent/service/deregister/${id}`);

  it('blocking queries publish a change in the catalogue as it happens', async () => {
    const one = side().watch('fast');
    await until('the first answer', () => one.ids !== undefined);
    assert.deepEqual(one.ids, []);
    let slowest = 0;
    for (const id of ['fast-1', 'fast-2', 'fast-3']) {
      const sinceMs = performance.now();
      await register(id, 'fast');
      await until(`${id} is told of`, () => one.ids?.includes(id));
      slowest = Math.max(slowest, one.told.at(-1)!.atMs - sinceMs);
    }
    // On an idle machine it is 3 ms.
    assert.ok(slowest < 1_000, `${slowest} ms`);
  });

  it('blocking queries cost one request a wait while nothing changes', async () => {
    const before = proxy.count('/v1/health/service/idle');
    const sinceMs = performance.now();
    side({ waitMs: 1_000 }).watch('idle');
    await until('several waits are over', () => proxy.count('/v1/health/service/idle') - before >= 4);
    const waits = (performance.now() - sinceMs) / 1_000;
    // The first does not wait, and the fourth has just begun.
    assert.ok(waits >= 2, `${waits} waits`);
  });

  for (const fault of [
    { kind: 'status', status: 500, body: 'No cluster leader' },
    { kind: 'status', status: 403, body: 'Permission denied' },
    { kind: 'status', status: 429 },
    { kind: 'garbage' },
    { kind: 'bytes', bytes: 5_000_000 },
    { kind: 'drop' },
    { kind: 'refuse' },
  ] as const) {
    const name = fault.kind === 'status' ? `${fault.status}` : fault.kind;
    it(`blocking queries keep what they know and ask little through ${name}, and go on afterwards`, async () => {
      await register(`kept-${name}-1`, `kept-${name}`);
      const one = side().watch(`kept-${name}`);
      await until('the first answer', () => one.ids !== undefined);
      const sinceMs = performance.now();
      await proxy.set(fault);
      await until('it fails', () => (one.watches.statuses()[0]?.failures ?? 0) >= 3);
      assert.equal(one.told.length, 1);
      assert.equal(one.watches.statuses()[0]?.state, 'failing');
      assert.ok(proxy.busiestSecond(`/v1/health/service/kept-${name}`, sinceMs) <= 5);
      await register(`kept-${name}-2`, `kept-${name}`);
      await proxy.set({ kind: 'none' });
      await until('it is told of the change', () => one.ids?.length === 2);
      assert.equal(one.told.length, 2);
    });
  }

  for (const index of ['rising', 'falling', 'zero', 'absent'] as const) {
    it(`blocking queries ask about once a second where the index is ${index}`, async () => {
      await register(`loop-${index}`, `loop-${index}`);
      // It may be asleep on a false index for one wait when the loop ends.
      const one = side({ waitMs: 2_000 }).watch(`loop-${index}`);
      await until('the first answer', () => one.ids !== undefined);
      const sinceMs = performance.now();
      await proxy.set({ kind: 'index', index });
      await until('some time passes', () => performance.now() - sinceMs > 4_000);
      const path = `/v1/health/service/loop-${index}`;
      const asked = proxy.seen.filter((each) => each.path === path && each.atMs > sinceMs).length;
      assert.ok(asked <= 5 + 4 + 1, `${asked} requests in 4 s`);
      assert.equal(one.told.length, 1);
      await proxy.set({ kind: 'none' });
      await deregister(`loop-${index}`);
      await until('it is told of the change', () => one.ids?.length === 0);
    });
  }

  it('blocking queries come back to an agent that was restarted with an empty state', async () => {
    const own = await ConsulServer.start();
    afterTest(() => own.stop());
    const one = side({ address: own.url }).watch('again');
    for (const id of ['again-1', 'again-2', 'again-3'])
      await own.api('PUT', '/agent/service/register', { ID: id, Name: 'again', Port: 1 });
    await until('it is told of them', () => one.ids?.length === 3);
    await own.kill();
    await until('it fails', () => one.watches.statuses()[0]?.state === 'failing');
    assert.equal(one.ids?.length, 3);
    await own.restart({ state: 'empty' });
    await own.api('PUT', '/agent/service/register', { ID: 'again-4', Name: 'again', Port: 1 });
    await until('it is told of the new one', () => one.ids?.join() === 'again-4');
  });

  it('blocking queries take a config entry that is not there for absent, and notice when it comes and goes', async () => {
    const one = side();
    const told: (string | undefined)[] = [];
    one.watches.watch<string | undefined>(
      {
        key: 'entry',
        name: 'entry',
        path: '/config/service-defaults/entry',
        query: {},
        parse: (body) => (JSON.parse(body.toString()) as { Protocol: string }).Protocol,
        absent: () => undefined,
      },
      (protocol) => told.push(protocol),
    );
    await until('it is absent', () => told.length === 1);
    await server.api('PUT', '/config', { Kind: 'service-defaults', Name: 'entry', Protocol: 'grpc' });
    await until('it is there', () => told.at(-1) === 'grpc');
    await server.api('DELETE', '/config/service-defaults/entry');
    await until('it is gone', () => told.length === 3);
    assert.deepEqual(told, [undefined, 'grpc', undefined]);
  });
});

describe('the client of a real Consul', () => {
  const folder = mkdtempSync(join(tmpdir(), 'outrider-token-'));
  after(() => rmSync(folder, { recursive: true }));

  before(async function () {
    await consulOrSkip(this);
  });

  it('the Consul client registers a proxy with its weights and checks, and takes both back', async () => {
    const server = await ConsulServer.start();
    const agent = new ConsulAgent(agentSettings({ ...CONFIG, address: server.url }, {}), systemTimers);
    afterTest(() => server.stop());
    afterTest(() => agent.close());
    const check = { CheckID: 'p:serves', Name: 'sidecar can serve', TTL: '30s', Status: 'critical' };
    const proxy = { Kind: 'connect-proxy', Proxy: { DestinationServiceName: 'p' } };
    const weights = { Passing: 3, Warning: 1 };
    const definition = { ID: 'p-1', Name: 'p-proxy', Port: 1, ...proxy, Weights: weights, Checks: [check] };
    const register = (what: object) =>
      agent.put('/agent/service/register', { 'replace-existing-checks': 'true' }, what, OPTIONS);
    await register(definition);
    await agent.updateCheck('p:serves', 'passing', 'it serves', OPTIONS);
    const services = JSON.parse((await agent.get('/agent/services', {}, OPTIONS)).body.toString());
    assert.equal(services['p-1'].Kind, 'connect-proxy');
    assert.deepEqual(services['p-1'].Weights, weights);
    const checks = JSON.parse((await agent.get('/agent/checks', {}, OPTIONS)).body.toString());
    assert.equal(checks['p:serves'].Status, 'passing');
    assert.equal(checks['p:serves'].Output, 'it serves');
    await register({ ...definition, Checks: [] });
    assert.equal((await agent.get('/agent/checks', {}, OPTIONS)).body.toString().trim(), '{}');
    await agent.deregisterService('p-1', OPTIONS);
    assert.equal((await agent.get('/agent/services', {}, OPTIONS)).body.toString().trim(), '{}');
    await assert.rejects(
      agent.updateCheck('p:serves', 'passing', '', OPTIONS),
      (error) => error instanceof AgentError && error.fault === 'status',
    );
  });

  it('the Consul client is refused with a wrong token, and served once the file holds a right one', async () => {
    const server = await ConsulServer.start({ acl: true });
    const tokenFile = join(folder, 'token');
    writeFileSync(tokenFile, '5ec4e7-70ce-4-marker');
    const agent = new ConsulAgent(
      agentSettings({ ...CONFIG, address: server.url, tokenFile }, {}),
      systemTimers,
    );
    afterTest(() => server.stop());
    afterTest(() => agent.close());
    await assert.rejects(agent.get('/agent/services', {}, OPTIONS), (error: AgentError) => {
      assert.equal(error.message, '403 ACL not found');
      return error.status === 403;
    });
    writeFileSync(tokenFile, server.token!);
    assert.equal((await agent.get('/agent/services', {}, OPTIONS)).status, 200);
  });

  it('the Consul client speaks mutual TLS, and only to a server whose certificate is for the expected name', async () => {
    const server = await ConsulServer.start({ tls: 'mutual' });
    const { ca, cert, key } = server.tls!;
    const ask = async (tls: ConsulConfig['tls']) => {
      const agent = new ConsulAgent(agentSettings({ ...CONFIG, address: server.url, tls }, {}), systemTimers);
      try {
        return (await agent.get('/status/leader', {}, OPTIONS)).status;
      } catch (error) {
        return `${(error as AgentError).fault}: ${(error as AgentError).message}`;
      } finally {
        agent.close();
      }
    };
    afterTest(() => server.stop());
    assert.equal(await ask({ ca, cert, key }), 200);
    assert.equal(await ask({ ca, cert, key, serverName: 'server.dc1.consul' }), 200);
    assert.match(
      String(await ask({ ca, cert, key, serverName: 'elsewhere.consul' })),
      /^unreachable: .*ALTNAME/,
    );
    assert.match(String(await ask({ cert, key })), /^unreachable: /);
    assert.equal(await ask({ cert, key, verify: false }), 200);
    assert.match(String(await ask({ ca })), /^unreachable: /);
  });
});
