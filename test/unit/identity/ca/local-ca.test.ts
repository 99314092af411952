import assert from 'node:assert/strict';
import { X509Certificate } from 'node:crypto';
import { LocalCa } from '../../../../sidecar/identity/ca/local-ca.js';
import type { IdentityParts } from '../../../../sidecar/identity/identity.js';
import { isProblem } from '../../../../sidecar/identity/spiffe.js';
import {
  createPeerTrust,
  type PeerVerification,
  verifyPeer,
} from '../../../../sidecar/identity/tls/peer-verification.js';
import { readCertificate } from '../../../../sidecar/identity/x509/certificate.js';
import { certificatesFromPem } from '../../../../sidecar/identity/x509/pem.js';

const TRUST_DOMAIN = 'local.outrider';
const NOW_MS = Date.UTC(2027, 0, 1);

function create(): Promise<LocalCa> {
  return LocalCa.create({ trustDomain: TRUST_DOMAIN, datacenter: 'dc1', wallNow: () => NOW_MS });
}

/** What a sidecar with these roots says of that leaf. */
function verdict(leaf: IdentityParts, rootsPem: string, wallNowMs = NOW_MS): PeerVerification {
  const trust = createPeerTrust(TRUST_DOMAIN, rootsPem);
  if (isProblem(trust)) throw new Error(trust.problem);
  const [leafDer, ...chainDer] = certificatesFromPem(leaf.certChainPem);
  return verifyPeer({ leafDer: leafDer!, chainDer }, trust, wallNowMs);
}

describe('the local CA', () => {
  it('issues leaves that pass every check of ours and of OpenSSL', async () => {
    const ca = await create();
    const leaf = await ca.issueLeaf('digits');
    assert.equal(verdict(leaf, ca.rootsPem).kind, 'accepted');
    const [openssl, root] = [new X509Certificate(leaf.certChainPem), new X509Certificate(ca.rootsPem)];
    assert.ok(openssl.verify(root.publicKey) && openssl.checkIssued(root));
    assert.equal(openssl.subjectAltName, 'URI:spiffe://local.outrider/ns/default/dc/dc1/svc/digits');
    assert.equal(root.subjectAltName, 'URI:spiffe://local.outrider');
  });

  it('gives a leaf its lifetime to the second, an hour when not told, and a minute of the past', async () => {
    const ca = await create();
    assert.equal((await ca.issueLeaf('web')).notAfterMs, NOW_MS + 3_600_000);
    const short = await ca.issueLeaf('web', 240_000);
    const accepted = (ms: number) => verdict(short, ca.rootsPem, NOW_MS + ms).kind === 'accepted';
    assert.deepEqual([-60_000, 240_000, 240_001, -60_001].map(accepted), [true, true, false, false]);
  });

  it('has a root that is valid before and after a clock that was wrong is set', async () => {
    for (const [from, to] of [
      [60_000, NOW_MS],
      [NOW_MS, Date.UTC(2001, 0, 1)],
      [NOW_MS, Date.UTC(2070, 0, 1)],
    ] as const) {
      let nowMs: number = from;
      const ca = await LocalCa.create({ trustDomain: TRUST_DOMAIN, datacenter: 'dc1', wallNow: () => nowMs });
      nowMs = to;
      assert.equal(verdict(await ca.issueLeaf('digits'), ca.rootsPem, to).kind, 'accepted', `${from} ${to}`);
    }
  });

  it('gives each leaf a key and a serial of its own', async () => {
    const ca = await create();
    const leaves = await Promise.all(Array.from({ length: 20 }, () => ca.issueLeaf('web')));
    const serials = leaves.map((leaf) => {
      const facts = readCertificate(certificatesFromPem(leaf.certChainPem)[0]!);
      if (isProblem(facts)) throw new Error(facts.problem);
      assert.equal(facts.serial.length, 32);
      return facts.serial;
    });
    assert.equal(new Set(serials).size, 20);
    assert.equal(new Set(leaves.map((leaf) => leaf.keyPem)).size, 20);
  });

  it('names services with unusual characters so that they come back the same', async () => {
    const ca = await create();
    for (const service of ['web/admin', 'größe', 'a b', 'x'.repeat(200)]) {
      const result = verdict(await ca.issueLeaf(service), ca.rootsPem);
      assert.equal(result.kind === 'accepted' && result.id.service, service);
    }
  });

  it('is a stranger to another CA of the same name', async () => {
    const [one, other] = [await create(), await create()];
    const result = verdict(await one.issueLeaf('web'), other.rootsPem);
    assert.equal(result.kind === 'rejected' && result.reason, 'untrusted');
  });
});
