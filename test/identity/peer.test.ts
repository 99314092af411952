import assert from 'node:assert/strict';
import { verifyPeer } from '../../sidecar/identity/peer.js';
import { TestAuthority, trustIn } from '../support/certificates.js';
import { type LeafKind, leafKinds } from './leaf-kinds.js';

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
});
