/** Connections end under load, because an instance drains or has had enough of one: each side must understand how the other says goodbye. */

import assert from 'node:assert/strict';
import { Caller } from '../kit/interop/client.js';
import { clientResources, Envoy, serverResources } from '../kit/interop/envoy.js';
import { startLoad } from '../kit/interop/load.js';
import { ConnectMesh, MODES } from '../kit/interop/mesh.js';
import { afterTest } from '../kit/mocha/after-test.js';
import { until } from '../kit/process/processes.js';
import { toolOrSkip } from '../kit/process/tools.js';
import { startTestService, type TestService } from '../kit/service/test-service.js';

const RULES = [{ from: 'app', to: 'testing', action: 'allow' }] as const;
const WIDTH = 16;
const DELAY_MS = 10;

describe('interop, connections end under load', () => {
  let binary: string;
  let service: TestService;
  let mesh: ConnectMesh;

  before(async function () {
    binary = await toolOrSkip(this, 'envoy');
    service = await startTestService();
    mesh = await ConnectMesh.open(this, MODES[0]!, RULES);
  });
  after(async () => {
    await mesh?.close();
    service?.close();
  });

  it('one of two sidecars of ours drains, called by Envoy: no call is lost', async () => {
    const leaving = await mesh.serve('testing', service.address, 'leaving');
    const staying = await mesh.serve('testing', service.address, 'staying');
    const peers = [leaving.address('inbound'), staying.address('inbound')];
    const resources = clientResources('http', mesh, await mesh.leaf('app'), 'testing', peers);
    const caller = new Caller((await Envoy.start(mesh, binary, 'envoy-client', resources)).address);
    afterTest(() => caller.close());
    const load = startLoad(caller, WIDTH, DELAY_MS);
    await load.more(200);
    const taken = await leaving.metric('outrider_calls_total');
    assert.ok(taken > 0, 'it has calls to lose');
    assert.equal(await leaving.stop(), 0);
    await load.more(200);
    assert.deepEqual((await load.stop()).failures, []);
  });

  const options = () => ({ allowed: ['app'], local: service.address, names: ['testing'] });

  it('one of two Envoys drains, called by ours: no call is lost', async () => {
    const resources = serverResources('http', mesh, await mesh.leaf('testing'), options());
    const leaving = await Envoy.start(mesh, binary, 'envoy-leaving', resources);
    const staying = await Envoy.start(mesh, binary, 'envoy-staying', resources);
    const { sidecar, target } = await mesh.call('app', 'testing', [leaving.address, staying.address]);
    await sidecar.ready();
    const caller = new Caller(target);
    afterTest(() => caller.close());
    const load = startLoad(caller, WIDTH, DELAY_MS);
    await load.more(200);
    assert.ok((await leaving.stat('http.in.downstream_rq_total')) > 0, 'it has calls to lose');
    await leaving.page('/drain_listeners?graceful', 'POST');
    const connections = () => leaving.stat('http.in.downstream_cx_active');
    await until('all connections have left it', async () => (await connections()) === 0);
    await leaving.stop();
    await load.more(200);
    assert.deepEqual((await load.stop()).failures, []);
  });

  it('an Envoy tells each connection to go after ten calls: no call is lost', async () => {
    const resources = serverResources('http', mesh, await mesh.leaf('testing'), {
      ...options(),
      callsPerConnection: 10,
    });
    const envoy = await Envoy.start(mesh, binary, 'envoy-impatient', resources);
    const { sidecar, target } = await mesh.call('app', 'testing', [envoy.address]);
    await sidecar.ready();
    const caller = new Caller(target);
    afterTest(() => caller.close());
    const load = startLoad(caller, WIDTH, DELAY_MS);
    await load.more(2000);
    const { good, failures } = await load.stop();
    assert.deepEqual(failures, []);
    assert.ok((await envoy.stat('http.in.downstream_cx_total')) >= good / 10 / 2, 'it ended connections');
  });
});
