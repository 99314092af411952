/** Names of callers from real certificates, which may hold any character, on their way into header fields. */
import assert from 'node:assert/strict';
import tls from 'node:tls';
import { TlsIdentity } from '../../../sidecar/app/tls-identity.js';
import { DEFAULT_LOCAL_SETTINGS } from '../../../sidecar/http2/settings.js';
import type { Caller } from '../../../sidecar/inbound/caller.js';
import { systemTimers } from '../../../sidecar/runtime/time/timers.js';
import { FlushScheduler } from '../../../sidecar/transport/flush-scheduler.js';
import { Listener } from '../../../sidecar/transport/listener.js';
import { TestAuthority } from '../../kit/identity/certificates.js';
import { ManualSource } from '../../kit/identity/manual-source.js';
import { afterTest } from '../../kit/mocha/after-test.js';
import { anAppContext } from '../../kit/stack/app-context.js';
import { ANY, until } from '../../kit/stack/sidecar-in-memory.js';
import { Stack } from '../../kit/stack/stack.js';

describe('The certificate of a caller', () => {
  for (const service of ['データ', 'naïve', '100%', 'web/admin', 'two words'])
    it(`may name the service ${service}`, async () => {
      const stack = new Stack();
      const shared = anAppContext(stack);
      // OpenSSL compares the validity of certificates with the clock of the system.
      const clock = { now: () => stack.clock.now(), wallNow: () => Date.now() };
      const context = { ...shared, deps: { ...shared.deps, clock } };
      const authority = await TestAuthority.root();
      const identity = new TlsIdentity(new ManualSource(await authority.identity('digits')), context);
      const flushes = new FlushScheduler((fn) => void setImmediate(fn), systemTimers);
      const listener = new Listener(
        {
          address: ANY,
          settings: DEFAULT_LOCAL_SETTINGS,
          limits: { maxConnections: 8, handshakeTimeoutMs: 5000, handshakesPerSecond: 50 },
          tls: identity.serverTls({ alsoPlaintext: false }),
          onStream: () => {},
        },
        { ...stack.context, flushes },
      );
      const address = await listener.listen();
      assert.equal(address.kind, 'tcp');
      const { certChainPem: cert, keyPem: key } = await authority.leaf({ service });
      const { host, port } = address as { host: string; port: number };
      const client = tls.connect({
        ...{ host, port, cert, key, rejectUnauthorized: false, ALPNProtocols: ['h2'] },
      });
      client.on('error', () => {});
      afterTest(() => {
        client.destroy();
        listener.stop();
        identity.close();
      });
      await until('it is accepted', () => listener.sessions.size === 1);
      const [session] = listener.sessions;
      const caller = session!.identity as Caller;
      assert.equal(caller.service, service);
      assert.equal(decodeURIComponent(caller.field.value), service);
      assert.match(caller.field.value, /^[!-~]+$/);
    });
});
