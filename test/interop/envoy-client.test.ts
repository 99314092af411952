/** Envoy beside the caller, with Connect's certificates and Consul's names, calls a service behind our sidecar. */

import assert from 'node:assert/strict';
import { cannotReach, casesIn, metadataSeen, refusesCalls } from '../kit/interop/calls.js';
import { clientResources, Envoy, LAYER_TITLES, LAYERS, type Layer } from '../kit/interop/envoy.js';
import { TRIED_MODES } from '../kit/interop/mesh.js';
import { suiteCaller, suiteMesh } from '../kit/interop/suites.js';
import type { SidecarProcess } from '../kit/process/sidecars.js';

for (const mode of TRIED_MODES) {
  describe(`interop, Envoy calls our sidecar with ${mode.name}`, () => {
    const suite = suiteMesh(mode, ['testing'], 'envoy');
    let sidecar: SidecarProcess;
    before(async () => {
      sidecar = await suite.mesh.serve('testing', suite.service.address);
    });

    /** Beside `from`, and takes our sidecar for `to`. */
    const envoy = async (layer: Layer, from: string, to: string): Promise<Envoy> => {
      const leaf = await suite.mesh.leaf(from);
      const resources = clientResources(layer, suite.mesh, leaf, to, [sidecar.address('inbound')]);
      return Envoy.start(suite.mesh, suite.binary, `envoy-${layer}-${from}-${to}`, resources);
    };

    for (const layer of LAYERS) {
      describe(LAYER_TITLES[layer], () => {
        const client = suiteCaller(casesIn(mode, layer), async () => {
          return (await envoy(layer, 'app', 'testing')).address;
        });

        it('the service gets the identity of the caller', async () => {
          assert.equal((await metadataSeen(client.caller))['outrider-caller'], 'app');
        });

        it('a caller that no intention allows is refused by us, call by call', async () => {
          const stranger = await envoy(layer, 'stranger', 'testing');
          await refusesCalls(stranger.address, suite.service);
        });

        it('it refuses us where we are not the service it looks for', async () => {
          const other = await envoy(layer, 'app', 'ledger');
          await cannotReach(other.address, suite.service);
          assert.ok((await other.stat('cluster.peer.ssl.fail_verify_san')) > 0);
        });
      });
    }
  });
}
