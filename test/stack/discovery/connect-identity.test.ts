/** Our identity from a real Connect CA: two services that shake hands, and a root that is replaced under them. */
import assert from 'node:assert/strict';
import { createPrivateKey } from 'node:crypto';
import { ConnectIdentity } from '../../../sidecar/discovery/consul/connect/identity.js';
import { generateKeyPair, privateKeyToPem } from '../../../sidecar/identity/ca/certificate-builder.js';
import type { Identity } from '../../../sidecar/identity/identity.js';
import { verifyPeerSocket } from '../../../sidecar/identity/tls/peer-verification.js';
import { TlsRotation } from '../../../sidecar/identity/tls/rotation.js';
import { serverTlsOptions } from '../../../sidecar/identity/tls/tls-options.js';
import { ConsulServer, consulOrSkip } from '../../kit/consul/consul.js';
import { type RealKit, realKit, serviceToken } from '../../kit/consul/real-agent.js';
import { TestAuthority } from '../../kit/identity/certificates.js';
import { TlsHarness } from '../../kit/identity/tls-harness.js';
import { until } from '../../kit/process/processes.js';

/** Leafs follow a new root at once; by default agents spread that over half a minute. */
const PROMPT = { connect: { enabled: true, test_ca_leaf_root_change_spread: '1ns' } };
const DAY_MS = 24 * 3_600_000;

class Party {
  readonly problems: string[] = [];
  readonly seen: Identity[] = [];
  readonly source: ConnectIdentity;
  readonly rotation: TlsRotation;

  constructor(
    readonly kit: RealKit,
    service: string,
  ) {
    const onProblem = (problem: string) => void this.problems.push(problem);
    this.source = new ConnectIdentity(kit.watches, { ...kit.deps, service, onProblem });
    this.rotation = new TlsRotation(this.source, Date.now);
    this.source.subscribe((next) => this.seen.push(next));
  }

  get identity(): Identity {
    return this.source.current()!;
  }

  close(): void {
    this.rotation.close();
    this.source.close();
    this.kit.close();
  }
}

describe('An identity from a real Consul', function () {
  this.timeout(120_000);
  const harness = new TlsHarness();
  let server: ConsulServer;
  let web: Party;
  let digits: Party;

  before(async function () {
    await consulOrSkip(this);
    server = await ConsulServer.start({ acl: true, config: PROMPT });
    web = new Party(realKit(server, { token: await serviceToken(server, 'web') }), 'web');
    digits = new Party(realKit(server, { token: await serviceToken(server, 'digits') }), 'digits');
    const both = async () => web.source.current() !== undefined && digits.source.current() !== undefined;
    await until('both have an identity', both, 30_000);
  });
  afterEach(() => harness.close());
  after(async () => {
    web?.close();
    digits?.close();
    await server?.stop();
  });

  /** `digits` serves with `own`, `web` calls. */
  const shake = async (
    own: Identity,
    client = web.rotation.clientOptions({ service: 'digits', datacenter: 'dc1' })!,
  ) =>
    harness.handshake({
      server: serverTlsOptions(own),
      client,
      judgeClient: (socket) => verifyPeerSocket(socket, digits.rotation.trust!, Date.now()),
      judgeServer: (socket) => verifyPeerSocket(socket, web.rotation.trust!, Date.now(), 'digits'),
    });

  it('an identity from Consul is the service’s own, of the cluster’s trust domain, and good for three days', async () => {
    const { id, notAfterMs } = web.identity;
    const { TrustDomain } = await server.api<{ TrustDomain: string }>('GET', '/connect/ca/roots');
    assert.equal(`${id.service} ${id.datacenter} ${id.trustDomain}`, `web dc1 ${TrustDomain}`);
    assert.match(id.trustDomain, /^[0-9a-f-]{36}\.consul$/);
    const days = (notAfterMs - Date.now()) / DAY_MS;
    assert.ok(days > 2.9 && days <= 3, `${days} days`);
    assert.deepEqual([web.problems, web.source.status().problem], [[], undefined]);
  });

  it('an identity from Consul lets two services talk, and names the peer in Consul’s form', async () => {
    const result = await shake(digits.identity);
    assert.deepEqual([result.server, result.client], [{ service: 'web' }, { service: 'digits' }]);
    assert.equal(result.servername, `digits.default.dc1.internal.${web.identity.id.trustDomain}`);
  });

  it('an identity from Consul outlives a new root: old and new leafs are believed, both ways, and every leaf follows', async () => {
    const old = { digits: digits.identity, client: web.rotation.clientOptions('digits')! };
    const keys = await generateKeyPair({ extractable: true });
    const uris = [`spiffe://${web.identity.id.trustDomain}`];
    const notAfterMs = Date.now() + 365 * DAY_MS;
    const root = await TestAuthority.root({ commonName: 'Second root', keys, uris, notAfterMs });
    const key = createPrivateKey(await privateKeyToPem(keys.privateKey));
    const PrivateKey = key.export({ type: 'sec1', format: 'pem' });
    const Config = { PrivateKey, RootCert: root.pem, LeafCertTTL: '72h' };
    await server.api('PUT', '/connect/ca/configuration', { Provider: 'consul', Config });
    const bothRoots = ({ identity }: Party) => identity.rootsPem.split('BEGIN CERTIFICATE').length === 3;
    await until('both trust both roots', async () => bothRoots(web) && bothRoots(digits), 10_000);
    const isNew = ({ identity }: Party, before: Identity) => identity.serial !== before.serial;
    await until('a new leaf', async () => isNew(digits, old.digits), 60_000);
    // The active root is the first.
    assert.ok(web.identity.rootsPem.startsWith(root.pem.trim()));
    assert.deepEqual((await shake(old.digits)).client, { service: 'digits' });
    // A peer without the new root is led to the old one by the cross-signed intermediate.
    assert.deepEqual((await shake(digits.identity, old.client)).client, { service: 'digits' });
    await until(
      'the other leaf too',
      async () => web.seen.some(({ certChainPem }) => certChainPem !== web.seen[0]!.certChainPem),
      60_000,
    );
    const result = await shake(digits.identity);
    assert.deepEqual([result.server, result.client], [{ service: 'web' }, { service: 'digits' }]);
    assert.deepEqual([web.problems, digits.problems], [[], []]);
  });

  it('an identity from Consul writes neither token nor key', () => {
    for (const { kit, seen } of [web, digits]) {
      const output = kit.log.join('');
      const keys = seen.map(({ keyPem }) => keyPem.split('\n')[1]!);
      for (const secret of [...keys, 'PRIVATE KEY', server.token!])
        assert.equal(output.includes(secret), false);
    }
  });
});
