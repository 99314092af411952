/** The client and its blocking queries against a real Consul, and one that is spoiled on the way. */

import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { ConsulConfig } from '../../../sidecar/config/model.js';
import { AgentError } from '../../../sidecar/discovery/consul/client/response.js';
import {
  type QueryStatus,
  type Source,
  smallQuery,
} from '../../../sidecar/discovery/consul/query/query-spec.js';
import { ConsulServer, consulOrSkip } from '../../kit/consul/consul.js';
import type { ConsulOptions } from '../../kit/consul/consul-config.js';
import { FaultProxy } from '../../kit/consul/fault-proxy.js';
import { type RealKit, realKit } from '../../kit/consul/real-agent.js';
import { afterTest } from '../../kit/mocha/after-test.js';
import { scratchForTest } from '../../kit/mocha/scratch.js';
import { until } from '../../kit/process/processes.js';

const OPTIONS = { timeoutMs: 10_000, maxBytes: 1_000_000 };

interface Told {
  readonly ids: readonly string[];
  readonly from: Source;
  readonly atMs: number;
}

class Side {
  readonly kit: RealKit;
  readonly told: Told[] = [];

  constructor(agent: { readonly url: string }, config: Partial<ConsulConfig>) {
    this.kit = realKit(agent, { config });
    afterTest(() => this.kit.close());
  }

  watch(service: string): this {
    const path = `/health/service/${service}`;
    const parse = (body: Buffer) =>
      (JSON.parse(body.toString()) as { Service: { ID: string } }[]).map(({ Service }) => Service.ID).sort();
    this.kit.watches.watch({ key: path, name: service, path, query: {}, parse }, (ids, from) => {
      this.told.push({ ids, from, atMs: performance.now() });
    });
    return this;
  }

  get ids(): readonly string[] | undefined {
    return this.told.at(-1)?.ids;
  }

  /** How its only query stands. */
  get status(): QueryStatus | undefined {
    return this.kit.watches.statuses()[0];
  }

  knows(): Promise<unknown> {
    return until('the first answer', () => this.ids !== undefined);
  }
}

describe('blocking queries of a real Consul', () => {
  let server: ConsulServer;
  let proxy: FaultProxy;
  const side = (config: Partial<ConsulConfig> = {}, agent: { readonly url: string } = proxy): Side =>
    new Side(agent, config);

  before(async function () {
    await consulOrSkip(this);
    server = await ConsulServer.start();
    proxy = await FaultProxy.start(server);
  });
  after(async () => {
    await proxy?.stop();
    await server?.stop();
  });
  afterEach(() => proxy?.set({ kind: 'none' }));

  it('blocking queries publish a change in the catalogue as it happens', async () => {
    const one = side().watch('fast');
    await one.knows();
    assert.deepEqual(one.ids, []);
    let slowest = 0;
    for (const id of ['fast-1', 'fast-2', 'fast-3']) {
      const sinceMs = performance.now();
      await server.register({ ID: id, Name: 'fast' });
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
      const Name = `kept-${name}`;
      await server.register({ ID: `${Name}-1`, Name });
      const one = side().watch(Name);
      await one.knows();
      const sinceMs = performance.now();
      await proxy.set(fault);
      await until('it fails', () => (one.status?.failures ?? 0) >= 3);
      assert.deepEqual([one.told.length, one.status?.state], [1, 'failing']);
      assert.ok(proxy.busiestSecond(`/v1/health/service/${Name}`, sinceMs) <= 5);
      await server.register({ ID: `${Name}-2`, Name });
      await proxy.set({ kind: 'none' });
      await until('it is told of the change', () => one.ids?.length === 2);
      assert.equal(one.told.length, 2);
    });
  }

  for (const index of ['rising', 'falling', 'zero', 'absent'] as const) {
    it(`blocking queries ask about once a second where the index is ${index}`, async () => {
      const Name = `loop-${index}`;
      await server.register({ Name });
      // It may be asleep on a false index for one wait when the loop ends.
      const one = side({ waitMs: 1_000 }).watch(Name);
      await one.knows();
      const sinceMs = performance.now();
      await proxy.set({ kind: 'index', index });
      await until('some time passes', () => performance.now() - sinceMs > 2_000);
      const path = `/v1/health/service/${Name}`;
      const asked = proxy.seen.filter((each) => each.path === path && each.atMs > sinceMs).length;
      assert.ok(asked <= 5 + 2 + 1, `${asked} requests in 2 s`);
      assert.equal(one.told.length, 1);
      await proxy.set({ kind: 'none' });
      await server.deregister(Name);
      await until('it is told of the change', () => one.ids?.length === 0);
    });
  }

  it('blocking queries come back to an agent that was restarted with an empty state', async () => {
    const own = await ConsulServer.start();
    afterTest(() => own.stop());
    const one = side({}, own).watch('again');
    for (const ID of ['again-1', 'again-2', 'again-3']) await own.register({ ID, Name: 'again' });
    await until('it is told of them', () => one.ids?.length === 3);
    await own.kill();
    await until('it fails', () => one.status?.state === 'failing');
    assert.equal(one.ids?.length, 3);
    await own.restart({ state: 'empty' });
    await own.register({ ID: 'again-4', Name: 'again' });
    await until('it is told of the new one', () => one.ids?.join() === 'again-4');
  });

  it('blocking queries take a config entry that is not there for absent, and notice when it comes and goes', async () => {
    const told: (string | undefined)[] = [];
    const spec = smallQuery<string | undefined>('/config/service-defaults/entry', 'entry', {
      parse: (body) => (JSON.parse(body.toString()) as { Protocol: string }).Protocol,
      absent: () => undefined,
    });
    side().kit.watches.watch(spec, (protocol) => told.push(protocol));
    await until('it is absent', () => told.length === 1);
    await server.api('PUT', '/config', { Kind: 'service-defaults', Name: 'entry', Protocol: 'grpc' });
    await until('it is there', () => told.at(-1) === 'grpc');
    await server.api('DELETE', '/config/service-defaults/entry');
    await until('it is gone', () => told.length === 3);
    assert.deepEqual(told, [undefined, 'grpc', undefined]);
  });
});

describe('the client of a real Consul', () => {
  before(async function () {
    await consulOrSkip(this);
  });

  /** A server and a client of it that has no token in its environment. */
  const started = async (options: ConsulOptions, config: Partial<ConsulConfig> = {}) => {
    const server = await ConsulServer.start(options);
    afterTest(() => server.stop());
    const kit = realKit({ url: server.url }, { config });
    afterTest(() => kit.close());
    return { server, agent: kit.agent };
  };

  it('the Consul client registers a proxy with its weights and checks, and takes both back', async () => {
    const { agent } = await started({});
    const get = async (path: string) => (await agent.get(path, {}, OPTIONS)).body.toString().trim();
    const check = { CheckID: 'p:serves', Name: 'sidecar can serve', TTL: '30s', Status: 'critical' };
    const proxy = { Kind: 'connect-proxy', Proxy: { DestinationServiceName: 'p' } };
    const weights = { Passing: 3, Warning: 1 };
    const definition = { ID: 'p-1', Name: 'p-proxy', Port: 1, ...proxy, Weights: weights, Checks: [check] };
    const register = (what: object) =>
      agent.put('/agent/service/register', { 'replace-existing-checks': 'true' }, what, OPTIONS);
    await register(definition);
    await agent.updateCheck('p:serves', 'passing', 'it serves', OPTIONS);
    const { Kind, Weights } = JSON.parse(await get('/agent/services'))['p-1'];
    assert.deepEqual([Kind, Weights], ['connect-proxy', weights]);
    const { Status, Output } = JSON.parse(await get('/agent/checks'))['p:serves'];
    assert.deepEqual([Status, Output], ['passing', 'it serves']);
    await register({ ...definition, Checks: [] });
    assert.equal(await get('/agent/checks'), '{}');
    await agent.deregisterService('p-1', OPTIONS);
    assert.equal(await get('/agent/services'), '{}');
    const isRefused = (error: unknown) => error instanceof AgentError && error.fault === 'status';
    await assert.rejects(agent.updateCheck('p:serves', 'passing', '', OPTIONS), isRefused);
  });

  it('the Consul client is refused with a wrong token, and served once the file holds a right one', async () => {
    const tokenFile = join(scratchForTest().path, 'token');
    writeFileSync(tokenFile, '5ec4e7-70ce-4-marker');
    const { agent, server } = await started({ acl: true }, { tokenFile });
    await assert.rejects(agent.get('/agent/services', {}, OPTIONS), (error: AgentError) => {
      assert.equal(error.message, '403 ACL not found');
      return error.status === 403;
    });
    writeFileSync(tokenFile, server.token!);
    assert.equal((await agent.get('/agent/services', {}, OPTIONS)).status, 200);
  });

  it('the Consul client speaks mutual TLS, and only to a server whose certificate is for the expected name', async () => {
    const server = await ConsulServer.start({ tls: 'mutual' });
    afterTest(() => server.stop());
    const { ca, cert, key } = server.tls!;
    const ask = async (tls: ConsulConfig['tls']): Promise<string> => {
      const kit = realKit(server, { config: { tls } });
      afterTest(() => kit.close());
      try {
        return `${(await kit.agent.get('/status/leader', {}, OPTIONS)).status}`;
      } catch (error) {
        return `${(error as AgentError).fault}: ${(error as AgentError).message}`;
      }
    };
    for (const [tls, answer] of [
      [{ ca, cert, key }, /^200$/],
      [{ ca, cert, key, serverName: 'server.dc1.consul' }, /^200$/],
      [{ ca, cert, key, serverName: 'elsewhere.consul' }, /^unreachable: .*ALTNAME/],
      [{ cert, key }, /^unreachable: /],
      [{ cert, key, verify: false }, /^200$/],
      [{ ca }, /^unreachable: /],
    ] as const)
      assert.match(await ask(tls), answer);
  });
});
