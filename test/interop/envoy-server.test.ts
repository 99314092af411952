/** Our sidecar beside the caller calls a service behind Envoy, which has Connect's certificates and enforces intentions. */

import assert from 'node:assert/strict';
import { status } from '@grpc/grpc-js';
import type { Address } from '../../sidecar/config/model.js';
import { cannotReach, casesIn, metadataSeen } from '../kit/interop/calls.js';
import { Envoy, LAYER_TITLES, LAYERS, serverResources } from '../kit/interop/envoy.js';
import { TRIED_MODES } from '../kit/interop/mesh.js';
import { suiteCaller, suiteMesh } from '../kit/interop/suites.js';

for (const mode of TRIED_MODES) {
  describe(`interop, our sidecar with ${mode.name} calls Envoy`, () => {
    for (const layer of LAYERS) {
      describe(LAYER_TITLES[layer], () => {
        const suite = suiteMesh(mode, ['testing'], 'envoy');
        let envoy: Envoy;
        before(async () => {
          const { mesh, service, binary } = suite;
          const options = { allowed: ['app'], local: service.address, names: ['testing', 'ledger'] };
          const resources = serverResources(layer, mesh, await mesh.leaf('testing'), options);
          envoy = await Envoy.start(mesh, binary, `envoy-${layer}-testing`, resources);
        });

        /** Where the application of `from` calls `to`, of which Envoy is the one instance. */
        async function targetOf(from: string, to: string): Promise<Address> {
          await suite.mesh.register(to, envoy.address);
          return (await suite.mesh.call(from, to, [envoy.address])).target;
        }

        const client = suiteCaller(casesIn(mode, layer), () => targetOf('app', 'testing'));

        it('metadata for our sidecar alone does not reach the service', async () => {
          const seen = Object.keys(await metadataSeen(client.caller));
          assert.ok(!seen.some((name) => name.startsWith('outrider-')), `${seen}`);
        });

        it('a caller that no intention allows is refused by it', async () => {
          const code = layer === 'http' ? status.PERMISSION_DENIED : status.UNAVAILABLE;
          await cannotReach(await targetOf('stranger', 'testing'), suite.service, { code });
          const denials = layer === 'http' ? 'http.in.rbac.denied' : 'connect_authz.rbac.denied';
          assert.ok((await envoy.stat(denials)) > 0);
        });

        it('we refuse it where it is not the service we look for', async () => {
          const says = /expected the service "ledger", found .*\/svc\/testing/;
          await cannotReach(await targetOf('app', 'ledger'), suite.service, { says });
        });
      });
    }
  });
}
