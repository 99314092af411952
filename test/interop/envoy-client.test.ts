/** Envoy beside the caller, with Connect's certificates and Consul's names, calls a service behind our sidecar. */

import assert from 'node:assert/strict';
import type { Address } from '../../sidecar/config/model.js';
import { cannotReach, casesIn, metadataSeen, refusesCalls } from '../kit/interop/calls.js';
import { CASES } from '../kit/interop/cases.js';
import { Caller } from '../kit/interop/client.js';
import { clientResources, Envoy, type Layer } from '../kit/interop/envoy.js';
import { MODES } from '../kit/interop/mesh.js';
import { suiteMesh } from '../kit/interop/suites.js';
import type { SidecarProcess } from '../kit/process/sidecars.js';

const LAYERS: readonly Layer[] = ['http', 'tcp'];

for (const mode of MODES) {
  describe(`interop, Envoy calls our sidecar with ${mode.name}`, () => {
    const suite = suiteMesh(mode, ['testing'], 'envoy');
    let sidecar: SidecarProcess;
    before(async () => {
      sidecar = await suite.mesh.serve('testing', suite.service.address);
    });

    const envoy = async (layer: Layer, from: string, to: string, ...at: Address[]): Promise<Envoy> => {
      const resources = clientResources(layer, suite.mesh, await suite.mesh.leaf(from), to, at);
      return Envoy.start(suite.mesh, suite.binary, `envoy-${layer}-${from}-${to}`, resources);
    };

    for (const layer of LAYERS) {
      describe(layer === 'http' ? 'as an HTTP/2 proxy' : 'as a TCP proxy, without ALPN', () => {
        let own: Envoy;
        let caller: Caller;
        before(async () => {
          own = await envoy(layer, 'app', 'testing', sidecar.address('inbound'));
          caller = new Caller(own.address);
        });
        after(() => caller?.close());

        const cases = layer === 'http' ? casesIn(mode) : CASES;
        for (const one of cases) it(one.name, () => one.run(caller));

        it('the service gets the identity of the caller', async () => {
          assert.equal((await metadataSeen(caller))['outrider-caller'], 'app');
        });

        it('a caller that no intention allows is refused by us, call by call', async () => {
          const stranger = await envoy(layer, 'stranger', 'testing', sidecar.address('inbound'));
          await refusesCalls(stranger.address, suite.service);
        });

        it('it refuses us where we are not the service it looks for', async () => {
          const other = await envoy(layer, 'app', 'ledger', sidecar.address('inbound'));
          await cannotReach(other.address, suite.service);
          assert.ok((await other.stat('cluster.peer.ssl.fail_verify_san')) > 0);
        });
      });
    }
  });
}
