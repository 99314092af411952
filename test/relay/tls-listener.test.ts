/** A TLS listener on real sockets: how many connections it takes, and what becomes of handshakes under way. */
import assert from 'node:assert/strict';
import net from 'node:net';
import tls from 'node:tls';
import type { Address } from '../../sidecar/config/model.js';
import { DEFAULT_LOCAL_SETTINGS } from '../../sidecar/http2/settings.js';
import { serverTlsOptions } from '../../sidecar/identity/tls.js';
import { Listener } from '../../sidecar/relay/listener.js';
import { until } from '../app/kit.js';
import { TestAuthority } from '../support/certificates.js';
import { Stack } from './kit/stack.js';

describe('A TLS listener', () => {
  const sockets: net.Socket[] = [];
  let stack: Stack;
  let listener: Listener;
  let address: Address & { kind: 'tcp' };
  let options: tls.TlsOptions;
  let credentials: tls.ConnectionOptions;

  before(async () => {
    const authority = await TestAuthority.root();
    options = serverTlsOptions(await authority.identity('digits'));
    const leaf = await authority.leaf({ service: 'app' });
    credentials = {
      cert: leaf.certChainPem,
      key: leaf.keyPem,
      rejectUnauthorized: false,
      ALPNProtocols: ['h2'],
    };
  });

  beforeEach(async () => {
    stack = new Stack();
    const limits = { maxConnections: 3, handshakeTimeoutMs: 5000, handshakesPerSecond: 500 };
    const secure = {
      options,
      attach: () => () => {},
      admit: () => ({ identity: null }),
      fault: () => 'tls-error',
      alsoPlaintext: false,
    };
    listener = new Listener(
      {
        address: { kind: 'tcp', host: '127.0.0.1', port: 0 },
        settings: DEFAULT_LOCAL_SETTINGS,
        limits,
        tls: secure,
        onStream() {},
      },
      stack.relay,
    );
    address = (await listener.listen()) as typeof address;
  });

  afterEach(() => {
    listener.stop();
    for (const socket of sockets.splice(0)) socket.destroy();
  });

  const keep = <S extends net.Socket>(socket: S): S => {
    sockets.push(socket);
    socket.on('error', () => {});
    return socket;
  };
  const secureClient = (): tls.TLSSocket =>
    keep(tls.connect({ ...credentials, host: address.host, port: address.port }));
  const silentClient = (): net.Socket => keep(net.connect(address.port, address.host));

  it('takes as many connections as its limit says, and one more when one has gone', async () => {
    for (let i = 1; i <= 3; i++) {
      secureClient();
      await until(`connection ${i}`, () => listener.links.size === i);
    }
    const refused = secureClient();
    await until('it is refused', () => refused.destroyed);
    assert.equal(stack.relay.tally.limits.get('connections'), 1);
    sockets[0]!.destroy();
    await until('one is gone', () => listener.links.size === 2);
    secureClient();
    await until('another one comes', () => listener.links.size === 3);
  });

  it('counts those that have not said who they are', async () => {
    const silent = [silentClient(), silentClient(), silentClient()];
    await until('they are connected', () => silent.every(({ pending }) => !pending));
    const refused = secureClient();
    await until('it is refused', () => refused.destroyed);
    assert.equal(listener.links.size, 0);
  });

  it('lets nobody in whose handshake ends after the drain began', async () => {
    const late = silentClient();
    await until('it is connected', () => !late.pending);
    await new Promise(setImmediate);
    await listener.drain();
    const secured = keep(tls.connect({ ...credentials, socket: late }));
    await until('it is let go', () => secured.destroyed);
    assert.equal(listener.links.size, 0);
  });

  it('when stopped ends handshakes under way too', async () => {
    const silent = silentClient();
    await until('it is connected', () => !silent.pending);
    await new Promise(setImmediate);
    listener.stop();
    await until('it is let go', () => silent.destroyed);
  });
});
