import assert from 'node:assert/strict';
import { generateKeyPair } from '../../../../sidecar/identity/ca/certificate-builder.js';
import { MappedIds } from '../../../../sidecar/identity/mapped-ids.js';
import { type ExpectedPeer, verifyPeer } from '../../../../sidecar/identity/tls/peer-verification.js';
import { TestAuthority, TRUST_DOMAIN, trustIn } from '../../../kit/identity/certificates.js';
import { type LeafKind, leafKinds } from '../../../kit/identity/leaf-kinds.js';

describe('the verdict on a peer', () => {
  let root: TestAuthority;
  let kinds: LeafKind[];
  before(async () => {
    root = await TestAuthority.root();
    kinds = await leafKinds(root);
  });

  it('is as the table of leaves says, for every kind', () => {
    for (const { name, leaf, expected } of kinds) {
      const verdict = verifyPeer(leaf, trustIn(root), Date.now());
      const found =
        verdict.kind === 'accepted' ? { service: verdict.id.service } : { reason: verdict.reason };
      assert.deepEqual(found, expected, `${name}: ${JSON.stringify(verdict)}`);
    }
  });

  it('is as the table says however the intermediates are ordered, repeated or mixed with rubbish', () => {
    for (const { name, leaf, expected } of kinds.filter((kind) => kind.leaf.chainDer.length > 0)) {
      const rubbish = [Buffer.alloc(0), Buffer.from('not a certificate'), leaf.leafDer];
      const chainDer = [...rubbish, ...[...leaf.chainDer].reverse(), ...leaf.chainDer];
      const verdict = verifyPeer({ leafDer: leaf.leafDer, chainDer }, trustIn(root), Date.now());
      assert.equal(verdict.kind === 'accepted', 'service' in expected, name);
    }
  });

  it('takes a peer of any datacenter of the trust domain, and only the one that is named', async () => {
    const uris = [`spiffe://${TRUST_DOMAIN}/ns/default/dc/dc2/svc/web`];
    const leaf = await root.leaf({ uris });
    const verdict = (expected?: ExpectedPeer | string) => {
      const found = verifyPeer(leaf, trustIn(root), Date.now(), expected);
      return found.kind === 'accepted' ? found.id.datacenter : found.reason;
    };
    for (const expected of [undefined, 'web', { service: 'web' }, { service: 'web', datacenter: 'dc2' }])
      assert.equal(verdict(expected), 'dc2');
    assert.equal(verdict({ service: 'web', datacenter: 'dc1' }), 'wrong-datacenter');
    assert.equal(verdict({ service: 'api', datacenter: 'dc2' }), 'wrong-service');
  });

  describe('with mapped ids', () => {
    const ids = new MappedIds({
      [`spiffe://${TRUST_DOMAIN}/ns/ml/sa/digits-sa`]: 'digits',
      [`spiffe://${TRUST_DOMAIN}/ns/web/sa/*`]: 'web',
    });
    /** The service of a leaf with this id, or why there is none. */
    const verdict = async (uri: string, expected?: ExpectedPeer, mapped: MappedIds | undefined = ids) => {
      const leaf = await root.leaf({ uris: [uri] });
      const found = verifyPeer(leaf, { ...trustIn(root), ids: mapped }, Date.now(), expected);
      return found.kind === 'accepted' ? found.id.service : found.reason;
    };
    const ofDomain = (path: string) => `spiffe://${TRUST_DOMAIN}${path}`;

    it('takes the ids of the map for their services, as callers and as servers', async () => {
      assert.equal(await verdict(ofDomain('/ns/ml/sa/digits-sa')), 'digits');
      assert.equal(await verdict(ofDomain('/ns/web/sa/frontend')), 'web');
      assert.equal(await verdict(ofDomain('/ns/ml/sa/digits-sa'), { service: 'digits' }), 'digits');
      assert.equal(
        await verdict(ofDomain('/ns/ml/sa/digits-sa'), { service: 'digits', datacenter: 'dc1' }),
        'digits',
      );
      assert.equal(await verdict(ofDomain('/ns/ml/sa/digits-sa'), { service: 'web' }), 'wrong-service');
    });

    it('takes ids that name a service which is not in the map', async () => {
      assert.equal(await verdict(ofDomain('/ns/default/dc/dc1/svc/ocr')), 'ocr');
      assert.equal(await verdict(ofDomain('/ns/other/dc/dc1/svc/ocr')), 'wrong-namespace');
    });

    it('refuses an id that names a service of the map in its path, unless the map has it too', async () => {
      const named = ofDomain('/ns/default/dc/dc1/svc/digits');
      assert.equal(await verdict(named), 'unmapped-id');
      assert.equal(await verdict(named, { service: 'digits' }), 'unmapped-id');
      const both = new MappedIds({
        [ofDomain('/ns/ml/sa/digits-sa')]: 'digits',
        [ofDomain('/ns/default/dc/*/svc/digits')]: 'digits',
      });
      assert.equal(await verdict(named, undefined, both), 'digits');
      assert.equal(await verdict(ofDomain('/ns/default/dc/dc1/svc/ocr'), undefined, both), 'ocr');
    });

    it('refuses an id that is not in the map, of another namespace, of a part of a name or longer', async () => {
      for (const path of [
        '/ns/ml/sa/digits',
        '/ns/ml/sa/digits-sa/x',
        '/ns/evil/sa/digits-sa',
        '/ns/web/sa/a/b',
        '/ns/web/sa/%66rontend',
        '/ns/web/sa/..',
        '/ns/web/sa/',
        '/agent/server/dc/dc1',
        '',
      ])
        assert.equal(await verdict(ofDomain(path)), 'unmapped-id', path);
    });

    it('refuses the ids of the map in another trust domain, though a root of ours signed them', async () => {
      assert.equal(await verdict('spiffe://other.example/ns/ml/sa/digits-sa'), 'wrong-trust-domain');
      assert.equal(
        await verdict('spiffe://other.example/ns/default/dc/dc1/svc/digits'),
        'wrong-trust-domain',
      );
    });

    it('refuses the ids of the map that another authority signed', async () => {
      const stranger = await TestAuthority.root({ commonName: 'Stranger' });
      const leaf = await stranger.leaf({ uris: [ofDomain('/ns/ml/sa/digits-sa')] });
      const found = verifyPeer(leaf, { ...trustIn(root), ids }, Date.now());
      assert.equal(found.kind === 'rejected' && found.reason, 'untrusted');
    });

    it('without a map such an id is none', async () => {
      const leaf = await root.leaf({ uris: [ofDomain('/ns/ml/sa/digits-sa')] });
      const found = verifyPeer(leaf, trustIn(root), Date.now());
      assert.equal(found.kind === 'rejected' && found.reason, 'bad-spiffe-id');
    });
  });

  it('refuses a chain of more than ten certificates', async () => {
    const { leafDer } = await root.leaf();
    const chain = (length: number) => ({ leafDer, chainDer: Array.from({ length }, () => root.der) });
    assert.equal(verifyPeer(chain(10), trustIn(root), Date.now()).kind, 'accepted');
    const verdict = verifyPeer(chain(11), trustIn(root), Date.now());
    assert.equal(verdict.kind === 'rejected' && verdict.reason, 'chain-too-long');
  });

  it('costs no more for intermediates that all vouch for one another', async () => {
    // Same name, same key: every one issues every other, and the paths among ten of them number millions.
    const keys = await generateKeyPair({ extractable: true });
    const same = Array.from({ length: 10 }, () => TestAuthority.root({ commonName: 'Ring', keys }));
    const ring = await Promise.all(same);
    const { leafDer } = await ring[0]!.leaf();
    const chain = { leafDer, chainDer: ring.map((authority) => authority.der) };
    const startedMs = performance.now();
    const verdict = verifyPeer(chain, trustIn(root), Date.now());
    assert.equal(verdict.kind === 'rejected' && verdict.reason, 'untrusted');
    assert.ok(performance.now() - startedMs < 1_000);
  });

  it('takes a root with no id or with that of its domain, and none that has the id of a service', async () => {
    const verdict = async (...uris: readonly string[]) => {
      const authority = await TestAuthority.root({ uris });
      return verifyPeer(await authority.leaf(), trustIn(authority), Date.now());
    };
    assert.equal((await verdict()).kind, 'accepted');
    assert.equal((await verdict(`spiffe://${TRUST_DOMAIN}`)).kind, 'accepted');
    const refused = await verdict(`spiffe://${TRUST_DOMAIN}/ns/default/dc/dc1/svc/web`);
    const detail = 'its issuer has the id of a workload, which may sign nothing';
    assert.deepEqual(refused, { kind: 'rejected', reason: 'untrusted', detail });
  });

  it('refuses every peer when the clock is no number', async () => {
    const verdict = verifyPeer(await root.leaf(), trustIn(root), Number.NaN);
    assert.equal(verdict.kind === 'rejected' && verdict.reason, 'clock-expired');
  });

  it('on a certificate of a removed root turns at once', async () => {
    const next = await TestAuthority.root({ commonName: 'Next root' });
    const leaf = await root.leaf();
    assert.equal(verifyPeer(leaf, trustIn(next, root), Date.now()).kind, 'accepted');
    const verdict = verifyPeer(leaf, trustIn(next), Date.now());
    assert.equal(verdict.kind === 'rejected' && verdict.reason, 'untrusted');
  });

  it('quotes what came from the peer in one printable line', async () => {
    const uri = `spiffe://x\n\u001b[31m${'y'.repeat(500)}`;
    const verdict = verifyPeer(await root.leaf({ uris: [uri] }), trustIn(root), Date.now());
    assert.ok(verdict.kind === 'rejected' && verdict.reason === 'bad-spiffe-id');
    assert.ok(verdict.detail.length < 400);
    assert.ok(!/\p{Cc}/u.test(verdict.detail));
  });
});
