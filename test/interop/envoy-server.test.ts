/** Our sidecar beside the caller calls a service behind Envoy, which has Connect's certificates and enforces intentions. */

import assert from 'node:assert/strict';
import { status } from '@grpc/grpc-js';
import type { Address } from '../../sidecar/config/model.js';
import { cannotReach, casesIn, metadataSeen } from '../kit/interop/calls.js';
import { CASES } from '../kit/interop/cases.js';
import { Caller } from '../kit/interop/client.js';
import { Envoy, type Layer, serverResources } from '../kit/interop/envoy.js';
import { ConnectMesh, MODES } from '../kit/interop/mesh.js';
import { toolOrSkip } from '../kit/process/tools.js';
import { startTestService, type TestService } from '../kit/service/test-service.js';

const RULES = [{ from: 'app', to: 'testing', action: 'allow' }] as const;
const LAYERS: readonly Layer[] = ['http', 'tcp'];

for (const mode of MODES) {
  describe(`interop, our sidecar with ${mode.name} calls Envoy`, () => {
    let binary: string;
    let service: TestService;

    before(async function () {
      binary = await toolOrSkip(this, 'envoy');
      service = await startTestService();
    });
    after(() => service?.close());

    for (const layer of LAYERS) {
      describe(layer === 'http' ? 'as an HTTP/2 proxy' : 'as a TCP proxy, without ALPN', () => {
        let mesh: ConnectMesh;
        let envoy: Envoy;
        let caller: Caller;
        before(async function () {
          mesh = await ConnectMesh.open(this, mode, RULES);
          const options = { allowed: ['app'], local: service.address, names: ['testing', 'ledger'] };
          const resources = serverResources(layer, mesh, await mesh.leaf('testing'), options);
          envoy = await Envoy.start(mesh, binary, `envoy-${layer}-testing`, resources);
          caller = new Caller(await targetOf('app', 'testing'));
        });
        after(async () => {
          caller?.close();
          await mesh?.close();
        });

        /** Where the application of `from` calls `to`, of which Envoy is the one instance. */
        async function targetOf(from: string, to: string): Promise<Address> {
          await mesh.register(to, envoy.address);
          return (await mesh.call(from, to, [envoy.address])).target;
        }

        const cases = layer === 'http' ? casesIn(mode) : CASES;
        for (const one of cases) it(one.name, () => one.run(caller));

        it('metadata for our sidecar alone does not reach the service', async () => {
          const seen = Object.keys(await metadataSeen(caller));
          assert.ok(!seen.some((name) => name.startsWith('outrider-')), `${seen}`);
        });

        it('a caller that no intention allows is refused by it', async () => {
          const code = layer === 'http' ? status.PERMISSION_DENIED : status.UNAVAILABLE;
          await cannotReach(await targetOf('stranger', 'testing'), service, { code });
          const denials = layer === 'http' ? 'http.in.rbac.denied' : 'connect_authz.rbac.denied';
          assert.ok((await envoy.stat(denials)) > 0);
        });

        it('we refuse it where it is not the service we look for', async () => {
          const says = /expected the service "ledger", found .*\/svc\/testing/;
          await cannotReach(await targetOf('app', 'ledger'), service, { says });
        });
      });
    }
  });
}
