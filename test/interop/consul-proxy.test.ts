/**
 * Consul's built-in proxy at the other end, in both roles: TLS around plain TCP, certificates and intentions of a real
 * agent.
 */

import assert from 'node:assert/strict';
import { status } from '@grpc/grpc-js';
import type { Address } from '../../sidecar/config/model.js';
import { type BuiltinProxy, builtinClient, builtinServer } from '../kit/interop/builtin-proxy.js';
import { callerUntilEnd, cannotReach, casesIn, metadataSeen, refusesCalls } from '../kit/interop/calls.js';
import { Caller, soon } from '../kit/interop/client.js';
import { TRIED_MODES } from '../kit/interop/mesh.js';
import { portOf } from '../kit/interop/programs.js';
import { suiteCaller, suiteMesh } from '../kit/interop/suites.js';
import { until } from '../kit/process/processes.js';
import type { SidecarProcess } from '../kit/process/sidecars.js';

for (const mode of TRIED_MODES) {
  describe(`interop, Consul's built-in proxy and our sidecar with ${mode.name}`, () => {
    // What we serve, and what it serves.
    const suite = suiteMesh(mode, ['testing', 'elsewhere']);

    describe('it calls us', () => {
      let sidecar: SidecarProcess;
      before(async () => {
        sidecar = await suite.mesh.serve('testing', suite.service.address);
      });
      /** Where `from` calls what it takes for `to`, through its own proxy. */
      const targetOf = async (from: string, to: string): Promise<Address> =>
        (await builtinClient(suite.mesh, from, to)).address;
      /** The proxy listens before it has its certificate, and resets what comes until then. */
      async function readyTarget(): Promise<Address> {
        const address = await targetOf('app', 'testing');
        const caller = new Caller(address);
        await until('it has its certificate', async () => (await caller.empty(soon())).code === status.OK);
        caller.close();
        return address;
      }
      const client = suiteCaller(casesIn(mode), readyTarget);

      it('the service gets the identity of the caller', async () => {
        assert.equal((await metadataSeen(client.caller))['outrider-caller'], 'app');
      });

      it('a caller that no intention allows is refused by us, call by call', async () => {
        await refusesCalls(await targetOf('stranger', 'testing'), suite.service);
      });

      it('a revoked intention ends the next call on the open connection, and a given one lets it through', async () => {
        await suite.mesh.setIntentions([{ from: 'app', to: 'testing', action: 'deny' }]);
        const code = async () => (await client.caller.empty()).code;
        await until('the call is refused', async () => (await code()) === status.PERMISSION_DENIED);
        await suite.mesh.setIntentions([{ from: 'app', to: 'testing', action: 'allow' }]);
        await until('the call is let through', async () => (await code()) === status.OK);
      });

      it('it refuses us where we are not the service it looks for', async () => {
        await suite.mesh.register('ledger', sidecar.address('inbound'));
        await cannotReach(await targetOf('app', 'ledger'), suite.service);
      });
    });

    describe('we call it', () => {
      let proxy: BuiltinProxy;
      before(async () => {
        proxy = await builtinServer(suite.mesh, 'elsewhere', suite.service.address);
      });

      /** Where the application of `from` calls `to`, of which the proxy is the one instance. */
      async function targetOf(from: string, to: string): Promise<Address> {
        await suite.mesh.register(to, proxy.address);
        const { sidecar, target } = await suite.mesh.call(from, to, [proxy.address]);
        if (from === 'app' && to === 'elsewhere') await sidecar.ready();
        return target;
      }

      const client = suiteCaller(casesIn(mode), () => targetOf('app', 'elsewhere'));

      it('a caller that no intention allows is refused by it', async () => {
        await cannotReach(await targetOf('stranger', 'elsewhere'), suite.service);
      });

      it('a caller is let in once an intention allows it', async () => {
        const latecomer = callerUntilEnd(await targetOf('latecomer', 'elsewhere'));
        const code = async () => (await latecomer.empty(soon())).code;
        assert.equal(await code(), status.UNAVAILABLE);
        await suite.mesh.setIntentions([{ from: 'latecomer', to: 'elsewhere', action: 'allow' }]);
        await until('a call goes through', async () => (await code()) === status.OK);
      });

      it('calls go on when it comes back', async () => {
        await proxy.stop();
        const code = async () => (await client.caller.empty(soon())).code;
        assert.equal(await code(), status.UNAVAILABLE);
        proxy = await builtinServer(suite.mesh, 'elsewhere', suite.service.address, portOf(proxy.address));
        await until('a call goes through', async () => (await code()) === status.OK);
      });

      it('we refuse it where it is not the service we look for', async () => {
        const says = /expected the service "ledger", found .*\/svc\/elsewhere/;
        await cannotReach(await targetOf('app', 'ledger'), suite.service, { says });
      });
    });
  });
}
