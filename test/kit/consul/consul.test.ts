/** The tests' own Consul: what the other tests rely on. */

import assert from 'node:assert/strict';
import { afterTest } from '../mocha/after-test.js';
import { isRunning, isStopped, until } from '../process/processes.js';
import { ConsulServer, consulOrSkip } from './consul.js';
import { ConsulCluster } from './consul-cluster.js';
import { tokenFor } from './real-agent.js';

describe('a Consul agent for tests', function () {
  this.timeout(60_000);
  let server: ConsulServer | undefined;

  before(async function () {
    await consulOrSkip(this);
  });

  afterEach(() => server?.stop());

  const roots = (of: ConsulServer) =>
    of.api<{ TrustDomain: string; ActiveRootID: string }>('GET', '/agent/connect/ca/roots');
  const services = async (of: ConsulServer) => Object.keys(await of.api<object>('GET', '/agent/services'));

  it('answers, has a leader and an authority, and leaves nothing behind', async () => {
    server = await ConsulServer.start();
    const { pid } = server;
    assert.match(await server.api<string>('GET', '/status/leader'), /^127\.0\.0\.1:\d+$/);
    assert.match((await roots(server)).TrustDomain, /\.consul$/);
    assert.ok(Number((await server.request('GET', '/health/service/consul')).headers['x-consul-index']) > 0);
    await server.stop();
    assert.equal(isRunning(pid), false);
    assert.throws(() => server!.pid);
  });

  it('comes back on its port with nothing', async () => {
    server = await ConsulServer.start();
    const { port, pid } = server;
    await server.register({ Name: 'digits' });
    await server.restart({ state: 'empty' });
    assert.equal(server.port, port);
    assert.notEqual(server.pid, pid);
    assert.deepEqual(await services(server), []);
    await assert.rejects(server.restart({ state: 'kept' }), /persistent/);
  });

  it('keeps all, or forgets what was registered with it, when it is persistent', async () => {
    server = await ConsulServer.start({ persistent: true });
    const authority = async () => (await roots(server!)).ActiveRootID;
    const root = await authority();
    await server.register({ Name: 'digits' });
    await server.restart({ state: 'kept' });
    assert.deepEqual(await services(server), ['digits']);
    await server.restart({ state: 'forgotten' });
    assert.deepEqual(await services(server), []);
    assert.equal(await authority(), root);
    await server.restart({ state: 'empty' });
    assert.notEqual(await authority(), root);
  });

  it('can be frozen and thawed', async () => {
    server = await ConsulServer.start();
    server.freeze();
    await until('it is stopped', () => isStopped(server!.pid));
    server.thaw();
    await server.api('GET', '/status/leader');
  });

  it('joins agents of other datacenters, whose certificates the first one signs', async () => {
    server = await ConsulServer.start({ node: 'one' });
    const there = { node: 'two', datacenter: 'dc2', primary: 'dc1', joinWan: [server.joinWan] };
    const other = await ConsulServer.start(there);
    afterTest(() => other.stop());
    const domain = async (of: ConsulServer) => (await roots(of)).TrustDomain;
    const known = () => server!.api<string[]>('GET', '/catalog/datacenters');
    await until('they know each other', async () => (await known()).length === 2);
    await until('one authority', async () => (await domain(server!)) === (await domain(other)));
    await other.register({ Name: 'digits' });
    const found = () => server!.api<unknown[]>('GET', '/health/service/digits?dc=dc2');
    await until('one sees the other’s services', async () => (await found()).length === 1);
  });

  it('demands a token', async () => {
    server = await ConsulServer.start({ acl: true });
    assert.equal((await server.request('PUT', '/kv/a', 'b', '')).status, 403);
    assert.equal(await server.api('PUT', '/kv/a', 'b'), true);
    const token = await tokenFor(server, 'reader', 'service_prefix "" { policy = "read" }');
    assert.equal((await server.request('GET', '/health/service/consul', undefined, token)).status, 200);
  });

  it('speaks HTTPS, and demands a certificate when it shall', async () => {
    server = await ConsulServer.start({ tls: 'mutual' });
    assert.match(server.url, /^https:/);
    assert.match(await server.api<string>('GET', '/status/leader'), /:/);
    await assert.rejects(fetch(`${server.url}/v1/status/leader`));
  });
});

describe('a Consul cluster for tests', function () {
  this.timeout(90_000);
  let cluster: ConsulCluster | undefined;

  before(async function () {
    await consulOrSkip(this);
  });

  after(async () => {
    await cluster?.stop();
  });

  it('elects another leader when the leader is killed, and its client agent knows what was registered', async () => {
    cluster = await ConsulCluster.start();
    const first = await cluster.leader();
    await cluster.client.register({ Name: 'digits' });
    await first.kill();
    const second = await cluster.leader(40_000);
    assert.notEqual(second, first);
    const found = () => cluster!.client.api<unknown[]>('GET', '/health/service/digits').catch(() => []);
    await until('the client sees the service', async () => (await found()).length === 1, 40_000);
    await first.restart({ state: 'kept' });
    assert.ok(first.isRunning);
  });
});
