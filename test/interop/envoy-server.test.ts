/** Our sidecar beside the caller calls a service behind Envoy, which has Connect's certificates and enforces intentions. */

import assert from 'node:assert/strict';
import { Metadata, status } from '@grpc/grpc-js';
import type { Address } from '../../sidecar/config/model.js';
import { casesIn, metadataSeen, soon } from '../kit/interop/calls.js';
import { CASES } from '../kit/interop/cases.js';
import { Caller } from '../kit/interop/client.js';
import { Envoy, type Layer, serverResources } from '../kit/interop/envoy.js';
import { ConnectMesh, MODES } from '../kit/interop/mesh.js';
import { afterTest } from '../kit/mocha/after-test.js';
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
          const names = ['testing', 'ledger'];
          const leaf = await mesh.leaf('testing');
          const options = { allowed: ['app'], local: service.address, names };
          const resources = serverResources(layer, mesh, leaf, options);
          envoy = await Envoy.start(mesh, binary, `envoy-${layer}-testing`, resources);
          caller = await callerOf('app', 'testing', envoy.address);
        });
        after(async () => {
          caller?.close();
          await mesh?.close();
        });

        /** A client whose sidecar is `from` and calls `to`, of which `at` is the one instance. */
        async function callerOf(from: string, to: string, at: Address): Promise<Caller> {
          await mesh.register(to, at);
          return new Caller((await mesh.call(from, to, [at])).target);
        }

        const cases = layer === 'http' ? casesIn(mode) : CASES;
        for (const one of cases) it(one.name, () => one.run(caller));

        it('metadata for our sidecar alone does not reach the service', async () => {
          const seen = Object.keys(await metadataSeen(caller));
          assert.deepEqual(
            seen.filter((name) => name.startsWith('outrider-')),
            [],
          );
        });

        it('a caller that no intention allows is refused by it', async () => {
          const stranger = await callerOf('stranger', 'testing', envoy.address);
          afterTest(() => stranger.close());
          const before = service.stats.started;
          const reply = await stranger.empty(new Metadata(), soon());
          const expected = layer === 'http' ? status.PERMISSION_DENIED : status.UNAVAILABLE;
          assert.equal(reply.code, expected, reply.details);
          assert.equal(service.stats.started, before);
          const denials = layer === 'http' ? 'http.in.rbac.denied' : 'connect_authz.rbac.denied';
          assert.ok((await envoy.stat(denials)) > 0);
        });

        it('we refuse it where it is not the service we look for', async () => {
          const misled = await callerOf('app', 'ledger', envoy.address);
          afterTest(() => misled.close());
          const before = service.stats.started;
          const reply = await misled.empty(new Metadata(), soon());
          assert.equal(reply.code, status.UNAVAILABLE, reply.details);
          assert.match(reply.details, /expected the service "ledger", found .*\/svc\/testing/);
          assert.equal(service.stats.started, before);
        });
      });
    }
  });
}
