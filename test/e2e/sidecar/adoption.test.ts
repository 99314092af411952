/** Sidecars of registrations that something else has made, with a real Consul: `sidecar_service`, as Nomad writes it too. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { renameSync } from 'node:fs';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { Load } from '../../drills/faults/load.js';
import { Model } from '../../drills/faults/model.js';
import { ConsulServer, consulOrSkip } from '../../kit/consul/consul.js';
import { closingAfterSuite } from '../../kit/mocha/after-suite.js';
import { freePort } from '../../kit/process/free-port.js';
import { httpAsk } from '../../kit/process/http-ask.js';
import { until } from '../../kit/process/processes.js';
import { SidecarBench, type SidecarFile, SidecarProcess } from '../../kit/process/sidecars.js';

interface Check {
  readonly Status: string;
  readonly Output: string;
}

describe('An adopted registration', function () {
  this.timeout(120_000);
  const open = closingAfterSuite();
  let consul: ConsulServer;
  let bench: SidecarBench;
  let model: Model;
  let digits: SidecarProcess;
  let web: SidecarProcess;
  let ports: {
    readonly peers: number;
    readonly moved: number;
    readonly digits: number;
    readonly again: number;
  };

  before(async function () {
    await consulOrSkip(this);
    consul = await open(ConsulServer.start(), (it) => it.stop());
    bench = await open(SidecarBench.open(), (it) => it.close());
    model = await open(Model.start({ serviceMs: 2 }), (it) => it.kill());
    ports = {
      peers: await freePort(),
      moved: await freePort(),
      digits: await freePort(),
      again: await freePort(),
    };
    await registerDigits(ports.peers);
    await registerWeb([{ DestinationName: 'digits', LocalBindPort: ports.digits }]);
    digits = await bench.start('digits', { ...adopting('d1'), inbound: {} });
    web = await bench.start('web', adopting('w1'));
    await Promise.all([digits.ready(), web.ready()]);
  });

  const adopting = (service: string) => ({
    consul: { address: consul.url, adopt: { sidecar_for: service } },
  });

  /** As a job of Nomad or a service definition would, with a TTL check of the proxy that something has to keep up. */
  const registerDigits = (port: number) =>
    consul.register({
      ID: 'd1',
      Name: 'digits',
      Address: '127.0.0.1',
      Port: Number(model.address.split(':').at(-1)),
      Connect: { SidecarService: { Port: port, Checks: [{ CheckID: 'alive', Name: 'alive', TTL: '10s' }] } },
    });

  const registerWeb = (Upstreams: object[]) =>
    consul.register({
      ID: 'w1',
      Name: 'web',
      Connect: { SidecarService: { Port: 21_999, Checks: [], Proxy: { Upstreams } } },
    });

  const checks = () => consul.api<Record<string, Check>>('GET', '/agent/checks');
  const services = () => consul.api<Record<string, unknown>>('GET', '/agent/services');
  const alive = async () => (await checks())['alive']!;

  /** Calls through the upstream's listener, until there are enough of them. */
  async function assertCallsSucceed(port: number): Promise<void> {
    const load = await Load.start({ target: `127.0.0.1:${port}`, perSecond: 50, deadlineMs: 10_000 });
    try {
      await until('some calls', () => load.sent > 25);
      const calls = await load.between(0);
      assert.ok(calls.length > 0);
      assert.equal(calls.find(({ failure }) => failure !== undefined)?.failure, undefined);
    } finally {
      await load.stop();
    }
  }

  it('gives the sidecars their services, listeners and upstreams; calls go through both', async () => {
    assert.deepEqual(digits.address('inbound'), { kind: 'tcp', host: '127.0.0.1', port: ports.peers });
    assert.deepEqual(web.address('upstream digits'), { kind: 'tcp', host: '127.0.0.1', port: ports.digits });
    await assertCallsSucceed(ports.digits);
    const { service, registry } = await web.report();
    assert.deepEqual([service, registry!.registered, registry!.problem], ['web', true, undefined]);
  });

  it('has its TTL check kept up', async () => {
    await until('the check passes', async () => (await alive()).Status === 'passing');
    assert.equal((await alive()).Output, 'the model answers');
  });

  it('is followed: an upstream that is added can be called at once', async () => {
    await registerWeb([
      { DestinationName: 'digits', LocalBindPort: ports.digits },
      { DestinationName: 'digits', Datacenter: 'dc1', LocalBindPort: ports.again },
    ]);
    await until('it is there', async () => (await web.page('/config')).text.includes('"digits-dc1"'));
    await assertCallsSucceed(ports.again);
    await assertCallsSucceed(ports.digits);
  });

  it('that moves to another port is reported, and the sidecar serves on where it is', async () => {
    await registerDigits(ports.moved);
    let page = { status: 0, text: '' };
    await until('it is not ready', async () => {
      page = await digits.page('/ready');
      return page.status !== 200;
    });
    assert.match(page.text, new RegExp(`has moved \\(peers: from .*:${ports.peers} to .*:${ports.moved}\\)`));
    await registerDigits(ports.peers);
    await digits.ready();
    await assertCallsSucceed(ports.digits);
  });

  it('that is taken away is reported; calls go on, and nothing is registered', async () => {
    await consul.deregister('w1-sidecar-proxy');
    await until('it is noticed', async () => (await web.report()).registry!.registered === false);
    assert.match(
      (await web.report()).registry!.problem!,
      /the agent has no proxy|the agent has no registration/,
    );
    await assertCallsSucceed(ports.digits);
    assert.equal((await services())['w1-sidecar-proxy'], undefined);
  });

  it('stays when its sidecar ends, with a critical check', async () => {
    assert.equal(await digits.stop(20_000), 0);
    assert.ok((await services())['d1-sidecar-proxy']);
    assert.deepEqual([(await alive()).Status, (await alive()).Output], ['critical', 'draining']);
  });

  /** Starts a sidecar whose sockets `admin` and `observe` are made by something else, as systemd's `.socket` units do it. */
  async function startWithSockets(
    places: readonly [number, string],
    file: SidecarFile,
  ): Promise<SidecarProcess> {
    const [admin, observe] = [createServer(), createServer()];
    await once(admin.listen(places[0], '127.0.0.1'), 'listening');
    await once(observe.listen(`${places[1]}.made`), 'listening');
    renameSync(`${places[1]}.made`, places[1]); // Node removes the path that it made when it closes it
    const fdOf = (server: unknown) => (server as { readonly _handle: { readonly fd: number } })._handle.fd;
    return SidecarProcess.start(await bench.write('late', file), {
      name: 'late',
      before: ['sh', '-c', 'LISTEN_PID=$$ exec "$@"', 'sh'],
      env: { LISTEN_FDS: '2', LISTEN_FDNAMES: 'admin:observe' },
      inherits: [fdOf(admin), fdOf(observe)],
      onStart: (each) => {
        bench.processes.push(each);
        admin.close();
        observe.close();
      },
    });
  }

  it('is waited for while the agent is away, and served when it is back, at the sockets of a service manager too', async () => {
    await web.stop(20_000);
    await consul.kill();
    const port = await freePort();
    const path = join(bench.directory, 'observe.sock');
    // The addresses of the file are others: what answers at these has the sockets.
    const started = startWithSockets([port, path], { ...adopting('w1'), observe: '127.0.0.1:0' });
    let ended: Error | undefined;
    started.catch((error: Error) => {
      ended = error;
    });
    const page = (where: string) => httpAsk({ kind: 'tcp', host: '127.0.0.1', port }, { path: where });
    const observed = (where: string) => httpAsk({ kind: 'unix', path }, { path: where });
    await until(
      'it says what it waits for',
      async () => ended !== undefined || (await page('/ready').catch(() => null))?.status === 503,
    ).catch((error: Error) => {
      throw new Error(`${error.message}:\n${bench.output('late')}`);
    });
    assert.equal(ended, undefined);
    for (const ask of [page, observed])
      assert.match((await ask('/ready')).text, /^registration: consul.adopt: .*ECONNREFUSED/);
    assert.equal((await page('/live')).status, 200);
    await consul.restart({ state: 'empty' });
    await registerDigits(ports.peers);
    await registerWeb([{ DestinationName: 'digits', LocalBindPort: ports.digits }]);
    web = await started;
    assert.equal((await page('/live')).status, 200);
    assert.match((await observed('/metrics')).text, /^# TYPE outrider_calls_started_total/m);
    digits = await bench.start('digits', { ...adopting('d1'), inbound: {} });
    await Promise.all([digits.ready(), web.ready()]);
    await assertCallsSucceed(ports.digits);
  });

  it('that is no proxy ends the start with the reason', async () => {
    const file = { consul: { address: consul.url, adopt: { proxy: 'd1' } }, inbound: {} };
    await assert.rejects(bench.start('wrong', file), (error: Error) => {
      assert.match(error.message, /consul.adopt: the registration "d1" is a service, no proxy; expected/);
      return true;
    });
  });
});
