import assert from 'node:assert/strict';
import type tls from 'node:tls';
import { verifyPeerSocket } from '../../../sidecar/identity/tls/peer-verification.js';
import {
  clientConnectOptions,
  clientCredentials,
  serverTlsOptions,
} from '../../../sidecar/identity/tls/tls-options.js';
import { TestAuthority, type TestLeaf, trustIn } from '../../kit/identity/certificates.js';
import { type LeafKind, leafKinds, servable } from '../../kit/identity/leaf-kinds.js';
import { TlsHarness, VERSIONS } from '../../kit/identity/tls-harness.js';

/** Either side as careless software has it: tickets on, no peer refused. */
function ticketed(leaf: TestLeaf, version: tls.SecureVersion): tls.TlsOptions & tls.ConnectionOptions {
  const careless = { requestCert: true, rejectUnauthorized: false, ALPNProtocols: ['h2'] };
  return { cert: leaf.certChainPem, key: leaf.keyPem, ...careless, maxVersion: version };
}

describe('a resumed session', () => {
  const harness = new TlsHarness();
  let root: TestAuthority;
  let kinds: LeafKind[];
  let good: TestLeaf;

  before(async () => {
    root = await TestAuthority.root();
    kinds = await leafKinds(root);
    good = await root.leaf();
  });
  afterEach(() => harness.close());

  for (const version of VERSIONS) {
    it(`of a client is judged as the table of leaves says (${version})`, async () => {
      const server = await harness.listen(ticketed(good, version));
      const judgeClient = (socket: tls.TLSSocket) => verifyPeerSocket(socket, trustIn(root), Date.now());
      for (const { name, leaf, expected, resumed } of kinds) {
        const client = ticketed(leaf, version);
        const first = await harness.handshake({ server: {}, client, judgeClient }, server);
        const again = { ...client, session: first.session! };
        const second = await harness.handshake({ server: {}, client: again, judgeClient }, server);
        assert.equal(second.resumed.server, true, `${name}: not resumed`);
        assert.deepEqual(second.server, resumed ? { reason: resumed } : expected, name);
      }
    });

    it(`of a server is never believed: its certificate is not known again (${version})`, async () => {
      const judgeServer = (socket: tls.TLSSocket) => verifyPeerSocket(socket, trustIn(root), Date.now());
      for (const { name, leaf, expected } of kinds.filter((kind) => servable(kind, version))) {
        const server = await harness.listen(ticketed(leaf, version));
        const client = ticketed(good, version);
        const first = await harness.handshake({ server: {}, client, judgeServer }, server);
        assert.deepEqual(first.client, expected, name);
        const again = { ...client, session: first.session! };
        const second = await harness.handshake({ server: {}, client: again, judgeServer }, server);
        assert.equal(second.resumed.client, true, `${name}: not resumed`);
        assert.deepEqual(second.client, { reason: 'no-certificate' }, name);
      }
    });

    it(`is refused once the leaf has expired or its root was removed (${version})`, async () => {
      const strict = { ...ticketed(good, version), ca: root.pem, rejectUnauthorized: true };
      const server = await harness.listen(strict);
      const client = ticketed(good, version);
      const { session } = await harness.handshake({ server: {}, client }, server);
      const otherTrust = trustIn(await TestAuthority.root());
      const seen: unknown[] = [];
      const judgeClient = (socket: tls.TLSSocket) => {
        for (const verdict of [
          verifyPeerSocket(socket, trustIn(root), Date.now()),
          verifyPeerSocket(socket, trustIn(root), good.notAfterMs),
          verifyPeerSocket(socket, trustIn(root), good.notAfterMs + 1),
          verifyPeerSocket(socket, otherTrust, Date.now()),
        ]) {
          seen.push(verdict.kind === 'accepted' ? 'accepted' : verdict.reason);
        }
        return verifyPeerSocket(socket, trustIn(root), Date.now());
      };
      const again = { ...client, session: session! };
      const second = await harness.handshake({ server: {}, client: again, judgeClient }, server);
      assert.equal(second.resumed.server, true);
      assert.deepEqual(seen, ['accepted', 'accepted', 'clock-expired', 'untrusted']);
    });

    it(`does not come about with our server, whatever the client keeps (${version})`, async () => {
      const ours = serverTlsOptions(await root.identity('api'));
      const server = await harness.listen({ ...ours, maxVersion: version });
      const client = ticketed(good, version);
      const first = await harness.handshake({ server: {}, client }, server);
      assert.deepEqual(first.server, { service: 'any' });
      const kept = first.session ? { session: first.session } : {};
      const second = await harness.handshake({ server: {}, client: { ...client, ...kept } }, server);
      assert.deepEqual(second.resumed, { server: false, client: false });
    });

    it(`does not come about with our client, whatever the server offers (${version})`, async () => {
      const server = await harness.listen(ticketed(good, version));
      const credentials = clientCredentials(await root.identity('api'));
      for (let i = 0; i < 3; i++) {
        const client = clientConnectOptions(credentials, 'web', Date.now);
        const result = await harness.handshake({ server: {}, client }, server);
        assert.deepEqual(result.resumed, { server: false, client: false });
        assert.deepEqual(result.client, { service: 'any' });
      }
    });
  }
});
