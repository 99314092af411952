import assert from 'node:assert/strict';
import type tls from 'node:tls';
import type { Identity } from '../../../sidecar/identity/identity.js';
import { type PeerTrust, verifyPeerSocket } from '../../../sidecar/identity/tls/peer-verification.js';
import {
  clientConnectOptions,
  clientCredentials,
  serverTlsOptions,
} from '../../../sidecar/identity/tls/tls-options.js';
import { TestAuthority, type TestLeaf, trustIn } from '../../kit/identity/certificates.js';
import { type LeafKind, leafKinds, servable } from '../../kit/identity/leaf-kinds.js';
import { type Seen, TlsHarness, VERSIONS } from '../../kit/identity/tls-harness.js';

/** OpenSSL refuses these before our code sees them, under a name that says less. By kind. */
const COARSE: Readonly<Record<string, string>> = {
  'unknown critical extension': 'untrusted',
  'issuer that is no CA but may sign': 'key-usage',
};

/** A peer that checks no certificate, with this leaf. */
function careless(leaf: TestLeaf): tls.ConnectionOptions & tls.TlsOptions {
  return { cert: leaf.certChainPem, key: leaf.keyPem, rejectUnauthorized: false, ALPNProtocols: ['h2'] };
}

function assertSeen(seen: Seen, expected: Seen, kind: string): void {
  const allowed = 'reason' in expected ? [expected.reason, COARSE[kind]] : [expected.service];
  const found = 'reason' in seen ? seen.reason : seen.service;
  assert.ok(allowed.includes(found), `${kind}: saw ${JSON.stringify(seen)}`);
  assert.equal('reason' in seen, 'reason' in expected, kind);
}

describe('a handshake', () => {
  const harness = new TlsHarness();
  let root: TestAuthority;
  let own: Identity;
  let trust: PeerTrust;
  let kinds: LeafKind[];
  const judge = (socket: tls.TLSSocket) => verifyPeerSocket(socket, trust, Date.now());

  before(async () => {
    root = await TestAuthority.root();
    own = await root.identity('api');
    trust = trustIn(root);
    kinds = await leafKinds(root);
  });
  afterEach(() => harness.close());

  for (const version of VERSIONS) {
    it(`gets from our server what the table of leaves says (${version})`, async () => {
      const server = await harness.listen(serverTlsOptions(own));
      for (const { name, leaf, expected } of kinds) {
        const client = { ...careless(leaf), maxVersion: version };
        const result = await harness.handshake({ server: {}, client, judgeClient: judge }, server);
        assertSeen(result.server, expected, name);
      }
    });

    it(`gets from our client what the table of leaves says (${version})`, async () => {
      const credentials = clientCredentials(own);
      for (const { name, leaf, expected } of kinds.filter((kind) => servable(kind, version))) {
        const service = 'service' in expected ? expected.service : 'web';
        const client = clientConnectOptions(credentials, service, Date.now);
        const server = { ...careless(leaf), maxVersion: version };
        const result = await harness.handshake({ server, client, judgeServer: judge });
        assertSeen(result.client, expected, name);
      }
    });

    it(`is refused by our server when the client has no certificate (${version})`, async () => {
      const client = { rejectUnauthorized: false, ALPNProtocols: ['h2'], maxVersion: version };
      const result = await harness.handshake({ server: serverTlsOptions(own), client, judgeClient: judge });
      assert.deepEqual(result.server, { reason: 'no-certificate' });
    });

    it(`succeeds between our own server and client, both verified (${version})`, async () => {
      const server = { ...serverTlsOptions(await root.identity('web')), maxVersion: version };
      const client = clientConnectOptions(clientCredentials(own), 'web', Date.now);
      const result = await harness.handshake({ server, client, judgeClient: judge, judgeServer: judge });
      assert.deepEqual([result.server, result.client], [{ service: 'api' }, { service: 'web' }]);
      assert.equal(result.protocol, version);
    });
  }

  for (const [service, what] of [
    ['billing', 'the server is another service of the mesh'],
    ['web/admin', 'the other service only sounds alike once unescaped'],
  ] as const) {
    it(`is refused by our client when ${what}`, async () => {
      const server = serverTlsOptions(await root.identity(service));
      const client = clientConnectOptions(clientCredentials(own), 'web', Date.now);
      const result = await harness.handshake({ server, client });
      assert.deepEqual(result.client, { reason: 'wrong-service' });
    });
  }

  it('of a stranger never reaches the code behind our server', async () => {
    const server = await harness.listen(serverTlsOptions(own));
    let reached = 0;
    server.on('secureConnection', () => void reached++);
    const strangers = kinds.filter(
      ({ expected, isOurs }) => 'reason' in expected && expected.reason === 'untrusted' && !isOurs,
    );
    for (const { leaf } of strangers) await harness.handshake({ server: {}, client: careless(leaf) }, server);
    assert.equal(reached, 0);
    assert.ok(strangers.length > 5);
  });

  it('names the clock, both times and the remedy when a leaf has expired', async () => {
    const expired = kinds.find((kind) => kind.name === 'expired')!.leaf;
    const server = await harness.listen({ ...careless(await root.leaf()), requestCert: true });
    let detail = '';
    const judgeClient = (socket: tls.TLSSocket) => {
      const verdict = judge(socket);
      if (verdict.kind === 'rejected') detail = verdict.detail;
      return verdict;
    };
    await harness.handshake({ server: {}, client: careless(expired), judgeClient }, server);
    const says =
      /^valid until \d{4}-.*Z, the clock here says \d{4}-.*Z: renew the certificate, or set the clock/;
    assert.match(detail, says);
  });
});
