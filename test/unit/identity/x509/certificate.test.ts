import assert from 'node:assert/strict';
import { X509Certificate } from 'node:crypto';
import fc from 'fast-check';
import { isProblem } from '../../../../sidecar/identity/spiffe.js';
import { verifyPeer } from '../../../../sidecar/identity/tls/peer-verification.js';
import {
  type CertificateFacts,
  ExtendedKeyUsage,
  KeyUsage,
  readCertificate,
} from '../../../../sidecar/identity/x509/certificate.js';
import { spiffeUri, TestAuthority, type TestLeaf, trustIn } from '../../../kit/identity/certificates.js';
import { runs } from '../../../kit/mocha/effort.js';

function facts(der: Uint8Array): CertificateFacts {
  const read = readCertificate(der);
  if (isProblem(read)) throw new Error(read.problem);
  return read;
}

describe('the facts of a certificate', () => {
  let root: TestAuthority;
  let leaf: TestLeaf;
  before(async () => {
    root = await TestAuthority.root({ pathLength: 2 });
    leaf = await root.leaf({ uris: [spiffeUri('web'), 'https://x.example/'], dnsNames: ['web.local'] });
  });

  it('are those that OpenSSL reads', () => {
    for (const der of [leaf.leafDer, root.der]) {
      const openssl = new X509Certificate(der);
      const own = facts(der);
      assert.equal(own.serial, openssl.serialNumber.toLowerCase());
      assert.equal(own.notBeforeMs, Date.parse(openssl.validFrom));
      assert.equal(own.notAfterMs, Date.parse(openssl.validTo));
      assert.equal(own.isCa, openssl.ca);
    }
  });

  it('hold every URI name in order, and no other kind of name', () => {
    assert.deepEqual(facts(leaf.leafDer).uris, [spiffeUri('web'), 'https://x.example/']);
  });

  it('hold the usages of the key, plain and extended', () => {
    const own = facts(leaf.leafDer);
    assert.equal(own.keyUsage, KeyUsage.digitalSignature);
    assert.deepEqual(own.extendedKeyUsages, [ExtendedKeyUsage.clientAuth, ExtendedKeyUsage.serverAuth]);
    const { keyUsage, extendedKeyUsages, pathLength } = facts(root.der);
    assert.equal(keyUsage, KeyUsage.digitalSignature | KeyUsage.keyCertSign | KeyUsage.crlSign);
    assert.deepEqual([extendedKeyUsages, pathLength], [undefined, 2]);
  });

  it('after 2049 are read from the longer form of time', async () => {
    const notAfterMs = Date.UTC(2051, 4, 6, 7, 8, 9);
    assert.equal(facts((await root.leaf({ notAfterMs })).leafDer).notAfterMs, notAfterMs);
  });

  it('with the same extension twice are refused', async () => {
    const again = [{ oid: '2.5.29.15', critical: true, der: Buffer.from([0x03, 0x02, 0x07, 0x80]) }];
    const twice = readCertificate((await root.leaf({ extra: again })).leafDer);
    assert.ok(isProblem(twice) && /twice/.test(twice.problem));
  });

  it('of every truncation and extension are a fault', () => {
    for (let length = 0; length < leaf.leafDer.length; length++)
      assert.ok(isProblem(readCertificate(leaf.leafDer.subarray(0, length))), `length ${length}`);
    assert.ok(isProblem(readCertificate(Buffer.concat([leaf.leafDer, Buffer.from([0])]))));
  });

  it('in a longer encoding than DER allows are a fault', () => {
    const [tag, form] = leaf.leafDer;
    assert.deepEqual([tag, form], [0x30, 0x82]);
    const longer = Buffer.concat([Buffer.from([0x30, 0x83, 0x00]), leaf.leafDer.subarray(2)]);
    const read = readCertificate(longer);
    assert.ok(isProblem(read) && /shortest/.test(read.problem));
  });

  it('of something huge, or nested without end, are a fault at once', () => {
    assert.ok(isProblem(readCertificate(Buffer.alloc(1_000_000, 0x30))));
    const nested = Buffer.alloc(60_000, 0x30);
    for (let i = 1; i < nested.length; i += 2) nested[i] = 0x80;
    assert.ok(isProblem(readCertificate(nested)));
    const lengths = [
      [0x30, 0x84, 0xff, 0xff, 0xff, 0xff],
      [0x30, 0x80, 0x00, 0x00],
      [0x30, 0x81, 0x05, 1, 2, 3, 4, 5],
      [0x1f, 0x81, 0x01, 0x00],
      [0x30, 0xff],
    ];
    for (const bytes of lengths) assert.ok(isProblem(readCertificate(Buffer.from(bytes))));
  });
});

describe('a mutated certificate', () => {
  let root: TestAuthority;
  let leaf: TestLeaf;
  before(async () => {
    root = await TestAuthority.root();
    leaf = await root.leaf();
  });

  /** Any verdict will do but acceptance, and any outcome but an exception. */
  function assertRefused(der: Uint8Array): void {
    void readCertificate(der);
    const verdict = verifyPeer({ leafDer: der, chainDer: [der, root.der] }, trustIn(root), Date.now());
    assert.equal(verdict.kind, 'rejected');
  }

  it('is never accepted and never throws, whichever bytes are changed', () => {
    const edit = fc.record({ at: fc.nat(leaf.leafDer.length - 1), to: fc.integer({ min: 0, max: 255 }) });
    fc.assert(
      fc.property(fc.array(edit, { minLength: 1, maxLength: 4 }), (edits) => {
        const der = Buffer.from(leaf.leafDer);
        for (const { at, to } of edits) der[at] = to;
        if (!der.equals(leaf.leafDer)) assertRefused(der);
      }),
      { numRuns: runs(200) },
    );
  });

  it('is never accepted and never throws, whatever is cut out or put in', () => {
    const at = fc.nat(leaf.leafDer.length - 1);
    const splice = fc.record({ at, remove: fc.nat(40), insert: fc.uint8Array({ maxLength: 40 }) });
    fc.assert(
      fc.property(splice, ({ at, remove, insert }) => {
        const { leafDer } = leaf;
        const der = Buffer.concat([leafDer.subarray(0, at), insert, leafDer.subarray(at + remove)]);
        if (!der.equals(leafDer)) assertRefused(der);
      }),
      { numRuns: runs(100) },
    );
  });

  it('may be nothing but noise', () => {
    fc.assert(fc.property(fc.uint8Array({ maxLength: 2_000 }), assertRefused), { numRuns: runs(100) });
  });
});
