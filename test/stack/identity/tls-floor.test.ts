import assert from 'node:assert/strict';
import { once } from 'node:events';
import type tls from 'node:tls';
import type { Identity } from '../../../sidecar/identity/identity.js';
import { verifyPeerSocket } from '../../../sidecar/identity/tls/peer-verification.js';
import {
  clientConnectOptions,
  clientCredentials,
  type PeerName,
  serverName,
  serverTlsOptions,
} from '../../../sidecar/identity/tls/tls-options.js';
import { TestAuthority, type TestLeaf, TRUST_DOMAIN, trustIn } from '../../kit/identity/certificates.js';
import { TlsHarness, VERSIONS } from '../../kit/identity/tls-harness.js';

describe('the TLS floor', () => {
  const harness = new TlsHarness();
  let root: TestAuthority;
  let own: Identity;
  let leaf: TestLeaf;
  let peer: { cert: string; key: string; rejectUnauthorized: boolean; ALPNProtocols: string[] };
  before(async () => {
    root = await TestAuthority.root();
    own = await root.identity('api');
    leaf = await root.leaf();
    peer = { cert: leaf.certChainPem, key: leaf.keyPem, rejectUnauthorized: false, ALPNProtocols: ['h2'] };
  });
  afterEach(() => harness.close());

  const judgeClient = (socket: tls.TLSSocket) => verifyPeerSocket(socket, trustIn(root), Date.now());

  function withOurServer(client: tls.ConnectionOptions) {
    return harness.handshake({ server: serverTlsOptions(own), client: { ...peer, ...client }, judgeClient });
  }

  it('refuses TLS 1.0 and 1.1', async () => {
    for (const version of ['TLSv1', 'TLSv1.1'] as const) {
      const old = { minVersion: version, maxVersion: version, ciphers: 'DEFAULT@SECLEVEL=0' };
      const result = await withOurServer(old);
      assert.deepEqual(result.server, { reason: 'ERR_SSL_UNSUPPORTED_PROTOCOL' }, version);
    }
  });

  it('refuses every TLS 1.2 suite without AEAD or forward secrecy, and the short-tag ones', async () => {
    const forward = ['AES128-SHA', 'AES128-SHA256', 'AES256-SHA384', 'AES128-CCM8'];
    const refused = [...forward.map((name) => `ECDHE-ECDSA-${name}`), 'AES128-GCM-SHA256'];
    for (const cipher of refused) {
      const client = { maxVersion: 'TLSv1.2', ciphers: `${cipher}:@SECLEVEL=0` } as const;
      const result = await withOurServer(client);
      assert.deepEqual(result.server, { reason: 'ERR_SSL_NO_SHARED_CIPHER' }, cipher);
    }
  });

  it('takes the AEAD suites of TLS 1.2', async () => {
    for (const cipher of ['ECDHE-ECDSA-AES128-GCM-SHA256', 'ECDHE-ECDSA-CHACHA20-POLY1305']) {
      const result = await withOurServer({ maxVersion: 'TLSv1.2', ciphers: cipher });
      assert.equal(result.cipher, cipher);
      assert.deepEqual(result.server, { service: 'web' });
    }
  });

  it('prefers TLS 1.3 between our own', async () => {
    const client = clientConnectOptions(clientCredentials(await root.identity('web')), 'api', Date.now);
    const result = await harness.handshake({ server: serverTlsOptions(own), client, judgeClient });
    assert.deepEqual([result.protocol, result.alpn], ['TLSv1.3', 'h2']);
  });

  it('does not renegotiate', async () => {
    const server = await harness.listen(serverTlsOptions(own));
    const socket = harness.connect(server, { ...peer, maxVersion: 'TLSv1.2' });
    await once(socket, 'secureConnect');
    const failure = once(socket, 'error');
    socket.renegotiate({}, () => {});
    const [error] = (await failure) as [NodeJS.ErrnoException];
    assert.match(String(error.code), /NO_RENEGOTIATION|ECONNRESET/);
  });

  it('accepts a client that offers no protocol at all', async () => {
    const { ALPNProtocols: _, ...silent } = peer;
    const result = await harness.handshake({ server: serverTlsOptions(own), client: silent, judgeClient });
    assert.deepEqual([result.server, result.alpn], [{ service: 'web' }, false]);
  });

  it('refuses a client that offers other protocols only', async () => {
    const result = await withOurServer({ ALPNProtocols: ['http/1.1', 'h2c'] });
    assert.deepEqual(result.server, { reason: 'wrong-protocol' });
  });

  it('accepts a server that knows no ALPN, and refuses a socket that agreed on another protocol', async () => {
    const { ALPNProtocols: _, ...silent } = { ...peer, requestCert: true };
    const client = clientConnectOptions(clientCredentials(own), 'web', Date.now);
    const judgeServer = (socket: tls.TLSSocket) => verifyPeerSocket(socket, trustIn(root), Date.now(), 'web');
    const result = await harness.handshake({ server: silent, client, judgeServer });
    assert.deepEqual([result.client, result.alpn], [{ service: 'web' }, false]);
    const http1 = { ...peer, ALPNProtocols: ['http/1.1'] };
    const other = await harness.handshake({ server: http1, client: http1, judgeServer });
    assert.deepEqual(other.client, { reason: 'wrong-protocol' });
  });

  it('names the service it wants in the form Consul uses, where that is a host name', async () => {
    const client = clientConnectOptions(clientCredentials(own), 'web', Date.now);
    const server = { ...peer, requestCert: true };
    const result = await harness.handshake({ server, client });
    assert.equal(result.servername, `web.default.dc1.internal.${TRUST_DOMAIN}`);
    assert.equal(serverName({ service: 'web/admin' }, own), undefined);
    assert.equal(serverName({ service: 'w'.repeat(64) }, own), undefined);
  });

  const names: [string, PeerName, string | undefined][] = [
    ['a service', { service: 'web' }, 'web.default.dc1.internal.'],
    ['a subset', { service: 'web', subset: 'v2' }, 'v2.web.default.dc1.internal.'],
    ['another datacenter', { service: 'web', datacenter: 'dc2' }, 'web.default.dc2.internal.'],
    ['a subset there', { service: 'web', datacenter: 'dc2', subset: 'v2' }, 'v2.web.default.dc2.internal.'],
    ['a subset that is no label', { service: 'web', subset: 'v.2' }, undefined],
    ['a datacenter that is no label', { service: 'web', datacenter: '-' }, undefined],
  ];
  for (const [what, name, expected] of names)
    it(`SNI: ${what}`, () => {
      assert.equal(serverName(name, own), expected && `${expected}${TRUST_DOMAIN}`);
    });

  it('a server without an identity fails every handshake, by its certificate and by the authorities it believes', async () => {
    const client = clientConnectOptions(clientCredentials(own), 'web', Date.now);
    for (const version of VERSIONS) {
      const server = { ...serverTlsOptions(undefined), maxVersion: version };
      const result = await harness.handshake({ server, client });
      assert.ok('reason' in result.client, 'the client got in');
    }
  });
});
