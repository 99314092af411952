/**
 * An upstream by a short DNS name, between real sidecars, where the first of two DNS servers always fails: each address is an endpoint
 * with the identity of the service, changes are followed without a failed call, and what DNS does wrong changes nothing.
 */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { writeAddress } from '../../../sidecar/config/codecs/address.js';
import type { DnsReport } from '../../../sidecar/telemetry/reports.js';
import { Caller } from '../../kit/interop/client.js';
import { startLoad } from '../../kit/interop/load.js';
import { DnsServer } from '../../kit/process/dns-server.js';
import { until } from '../../kit/process/processes.js';
import { SidecarBench, type SidecarProcess } from '../../kit/process/sidecars.js';
import { startTestService, type TestService } from '../../kit/service/test-service.js';

describe('An upstream by a DNS name', function () {
  this.timeout(60_000);

  let dns: DnsServer;
  let failing: DnsServer;
  let bench: SidecarBench;
  let models: TestService[];
  let peers: SidecarProcess[];
  let caller: SidecarProcess;
  let app: Caller;
  let file: Record<string, unknown>;
  let port: number;

  before(async () => {
    dns = await DnsServer.start();
    dns.says = 'NXDOMAIN';
    failing = await DnsServer.start();
    failing.says = 'SERVFAIL';
    models = [await startTestService(), await startTestService()];
    bench = await SidecarBench.open();
    const identity = await bench.identity('testing');
    const start = (host: string, at: number, model: TestService): Promise<SidecarProcess> =>
      bench.start(`at-${host}`, {
        service: 'testing',
        identity,
        inbound: {
          listen: `${host}:${at}`,
          local: writeAddress(model.address),
          intentions: [{ from: 'app', to: 'testing', action: 'allow' }],
        },
      });
    const first = await start('127.0.0.2', 0, models[0]!);
    const { port: chosen } = first.address('inbound') as { readonly port: number };
    port = chosen;
    peers = [first, await start('127.0.0.3', port, models[1]!)];
    file = { service: 'app', identity: await bench.identity('app') };
    const env = { LOCALDOMAIN: 'svc.test mesh.test', RES_OPTIONS: 'ndots:5' };
    caller = await bench.start('caller', { ...file, outbound: outbound(byName()) }, env);
    app = new Caller(caller.address('upstream testing'));
  });

  after(async () => {
    app?.close();
    await bench?.close();
    for (const model of models ?? []) model.close();
    dns?.close();
    failing?.close();
  });

  const outbound = (source: object) => ({
    upstreams: { testing: { listen: '127.0.0.1:0', ...source } },
  });
  const byName = () => ({
    dns: { name: 'testing', port, refresh: '1s', servers: [failing.address, dns.address] },
  });
  const reportOf = async (): Promise<DnsReport> => (await caller.report()).dns![0]!;
  const endpoints = async (): Promise<string[]> =>
    (await caller.report()).endpoints.map(({ address }) => address).sort();
  const isState = (state: DnsReport['state']) =>
    until(`DNS is ${state}`, async () => (await reportOf()).state === state);

  it('is not ready while the name does not exist, and says why', async () => {
    await isState('empty');
    const { status, text } = await caller.page('/ready');
    assert.equal(status, 503);
    assert.match(
      text,
      /upstream testing: it has no endpoint \(DNS: there is no such name \(NXDOMAIN\): testing, and 2 before it\)/,
    );
  });

  it('has every address as an endpoint, which proves the identity of the service', async () => {
    dns.names.set('testing.svc.test', 'NXDOMAIN');
    dns.says = ['127.0.0.3', '127.0.0.2'];
    await caller.ready();
    await until(
      'both are connected',
      async () => (await caller.report()).endpoints.filter(({ state }) => state === 'eligible').length === 2,
    );
    assert.deepEqual(await endpoints(), [`127.0.0.2:${port}`, `127.0.0.3:${port}`]);
    const load = startLoad(app, 8, 20);
    await load.more(80);
    assert.deepEqual((await load.stop()).failures, []);
    for (const { stats } of models)
      assert.ok(stats.started >= 5, JSON.stringify(models.map((each) => each.stats)));
    const { name, found, state, addresses } = await reportOf();
    assert.deepEqual([name, found, state, addresses], [`testing:${port}`, 'testing.mesh.test', 'current', 2]);
    assert.match((await caller.page('/')).text, /<h2>DNS<\/h2>.*testing\.mesh\.test/s);
  });

  it('calls no address whose peer proves another identity, and fails no call for it', async () => {
    const stranger = await startTestService();
    models.push(stranger);
    await bench.start('stranger', {
      ...{ service: 'other', identity: await bench.identity('other') },
      inbound: {
        ...{ listen: `127.0.0.4:${port}`, local: writeAddress(stranger.address) },
        intentions: [{ from: 'app', to: 'other', action: 'allow' }],
      },
    });
    const load = startLoad(app, 4, 5);
    dns.says = ['127.0.0.2', '127.0.0.3', '127.0.0.4'];
    const stateOf = async (host: string) =>
      (await caller.report()).endpoints.find(({ address }) => address.startsWith(host))?.state;
    await until('it is refused', async () => !['eligible', undefined].includes(await stateOf('127.0.0.4')));
    await load.more(50);
    assert.deepEqual((await load.stop()).failures, []);
    assert.equal(stranger.stats.started, 0);
    dns.says = ['127.0.0.2', '127.0.0.3'];
    await until('it is gone', async () => (await endpoints()).length === 2);
  });

  it('keeps its endpoints while DNS fails, and says so', async () => {
    dns.says = 'SERVFAIL';
    await isState('failing');
    assert.match((await reportOf()).problem!, /SERVFAIL/);
    assert.equal(await caller.metric('outrider_dns_failing', { upstream: 'testing' }), 1);
    assert.equal((await endpoints()).length, 2);
    assert.equal((await app.empty()).code, 0);
    assert.equal(caller.output.match(/DNS fails/g)?.length, 1, caller.output);
  });

  it('keeps those that answer calls when the name is suddenly gone', async () => {
    dns.says = 'NXDOMAIN';
    await isState('held');
    assert.equal((await endpoints()).length, 2);
    assert.equal((await app.empty()).code, 0);
  });

  it('loses an address without a failed call, and a stream on it goes on', async () => {
    dns.says = ['127.0.0.2', '127.0.0.3'];
    await isState('current');
    const load = startLoad(app, 4, 20);
    const streams = Array.from({ length: 8 }, () => app.duplex());
    const echo = async (): Promise<void> => {
      for (const stream of streams) {
        const answered = once(stream, 'data');
        stream.write({ response_parameters: [{ size: 10 }] });
        await answered;
      }
    };
    await echo();
    assert.ok(models[1]!.stats.inFlight > 0, 'no stream is there');
    dns.says = ['127.0.0.2'];
    await until('it is gone', async () => (await endpoints()).length === 1);
    const { started } = models[1]!.stats;
    await load.more(50);
    assert.ok(models[1]!.stats.started - started <= 4, 'new calls go to it');
    await echo();
    for (const stream of streams) {
      const ended = once(stream, 'end');
      stream.end();
      await ended;
    }
    await peers[1]!.stop();
    await load.more(50);
    const { good, failures } = await load.stop();
    assert.deepEqual(failures, []);
    assert.ok(good > 100);
  });

  it('can become a list of addresses in a file that is read again, and a name again', async () => {
    const listed = { endpoints: [`127.0.0.2:${port}`] };
    await bench.write('caller', { ...file, outbound: outbound(listed) });
    await until('it is a list', async () => (await caller.report()).dns === undefined);
    assert.equal((await app.empty()).code, 0);
    await bench.write('caller', { ...file, outbound: outbound(byName()) });
    await until('it is a name', async () => (await caller.report()).dns?.[0]?.state === 'current');
    assert.equal((await app.empty()).code, 0);
    assert.deepEqual(await endpoints(), listed.endpoints);
  });
});
