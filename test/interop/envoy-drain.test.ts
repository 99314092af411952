/** Connections end under load, because an instance drains or has had enough of one: each side must understand how the other says goodbye. */

import assert from 'node:assert/strict';
import type { Address } from '../../sidecar/config/model.js';
import { callerUntilEnd } from '../kit/interop/calls.js';
import { clientResources, Envoy, type ServerOptions, serverResources } from '../kit/interop/envoy.js';
import { type Load, startLoad } from '../kit/interop/load.js';
import { MODES } from '../kit/interop/mesh.js';
import { suiteMesh } from '../kit/interop/suites.js';
import { until } from '../kit/process/processes.js';

describe('interop, connections end under load', function () {
  this.timeout(60_000);
  const suite = suiteMesh(MODES[0]!, ['testing'], 'envoy');

  it('one of two sidecars of ours drains, called by Envoy: no call is lost', async () => {
    const leaving = await suite.mesh.serve('testing', suite.service.address, 'leaving');
    const staying = await suite.mesh.serve('testing', suite.service.address, 'staying');
    const peers = [leaving.address('inbound'), staying.address('inbound')];
    const resources = clientResources('http', suite.mesh, await suite.mesh.leaf('app'), 'testing', peers);
    const client = await Envoy.start(suite.mesh, suite.binary, 'envoy-client', resources);
    const load = await loaded(client.address, 200);
    const taken = await leaving.metric('outrider_calls_total');
    assert.ok(taken > 0, 'it has calls to lose');
    assert.equal(await leaving.stop(), 0);
    await load.more(200);
    assert.deepEqual((await load.stop()).failures, []);
  });

  /** Calls without a pause, of which so many have ended. */
  async function loaded(target: Address, calls: number): Promise<Load> {
    const load = startLoad(callerUntilEnd(target), 16, 10);
    await load.more(calls);
    return load;
  }

  const envoy = async (name: string, limits: Pick<ServerOptions, 'callsPerConnection'> = {}) => {
    const { mesh, service, binary } = suite;
    const options = { allowed: ['app'], local: service.address, names: ['testing'], ...limits };
    const resources = serverResources('http', mesh, await mesh.leaf('testing'), options);
    return Envoy.start(mesh, binary, name, resources);
  };
  /** Where an application calls the Envoys, once its sidecar is ready. */
  const targetOf = async (...envoys: Envoy[]): Promise<Address> => {
    const addresses = envoys.map(({ address }) => address);
    const { sidecar, target } = await suite.mesh.call('app', 'testing', addresses);
    await sidecar.ready();
    return target;
  };

  it('one of two Envoys drains, called by ours: no call is lost', async () => {
    const [leaving, staying] = [await envoy('envoy-leaving'), await envoy('envoy-staying')];
    const load = await loaded(await targetOf(leaving, staying), 200);
    assert.ok((await leaving.stat('http.in.downstream_rq_total')) > 0, 'it has calls to lose');
    await leaving.page('/drain_listeners?graceful', 'POST');
    const connections = () => leaving.stat('http.in.downstream_cx_active');
    await until('all connections have left it', async () => (await connections()) === 0);
    await leaving.stop();
    await load.more(200);
    assert.deepEqual((await load.stop()).failures, []);
  });

  it('an Envoy tells each connection to go after ten calls: no call is lost', async () => {
    const impatient = await envoy('envoy-impatient', { callsPerConnection: 10 });
    const load = await loaded(await targetOf(impatient), 500);
    const { good, failures } = await load.stop();
    assert.deepEqual(failures, []);
    assert.ok((await impatient.stat('http.in.downstream_cx_total')) >= good / 10 / 2, 'it ended connections');
  });
});
