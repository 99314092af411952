import assert from 'node:assert/strict';
import { X509Certificate } from 'node:crypto';
import { MappedIds } from '../../../../sidecar/identity/mapped-ids.js';
import { assembleIdentity } from '../../../../sidecar/identity/sources/assemble-identity.js';
import { isProblem } from '../../../../sidecar/identity/spiffe.js';
import { certificateToPem } from '../../../../sidecar/identity/x509/pem.js';
import { TestAuthority, TRUST_DOMAIN } from '../../../kit/identity/certificates.js';

const PARTNER = 'partner.example';
const expected = { trustDomain: TRUST_DOMAIN, service: 'web' };

describe('assembleIdentity', () => {
  let root: TestAuthority;
  before(async () => {
    root = await TestAuthority.root();
  });

  it('names the problem of a leaf that OpenSSL cannot read', async () => {
    const leaf = await root.leaf();
    const damaged = Buffer.from(leaf.leafDer);
    // The object identifier of the common name in the subject, the last of the two: its tag is of another type.
    damaged[damaged.lastIndexOf(Buffer.from('0603550403', 'hex'))] = 0x05;
    assert.throws(() => new X509Certificate(damaged));
    const found = assembleIdentity(
      { ...leaf, certChainPem: certificateToPem(damaged) },
      expected,
      Date.now(),
    );
    assert.deepEqual(found, { problem: 'certificate: OpenSSL cannot read it' });
  });

  it('refuses a certificate of a federated trust domain as its own', async () => {
    const partner = await TestAuthority.root({ commonName: 'Partner', uris: [`spiffe://${PARTNER}`] });
    const id = `spiffe://${PARTNER}/ns/ml/sa/web`;
    const leaf = await partner.leaf({ uris: [id] });
    const ids = new MappedIds({ [id]: 'web' });
    const parts = { ...leaf, rootsPem: root.pem, federatedPem: new Map([[PARTNER, partner.pem]]) };
    const found = assembleIdentity(parts, { ...expected, ids }, Date.now());
    assert.ok(isProblem(found));
    assert.match(found.problem, /is not of the trust domain .*\(wrong-trust-domain\)/);
  });
});
