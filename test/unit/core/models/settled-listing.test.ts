/** A repository that changes while it is looked at. */
import assert from 'node:assert/strict';
import { type Revision, SETTLE_MS, SettledListing } from '../../../../sidecar/core/models/settled-listing.js';

describe('the settled listing', () => {
  const at = (version: string, fingerprint = 'a', name = 'digits'): Revision => ({
    name,
    version,
    fingerprint,
  });
  const said = (listing: SettledListing) =>
    listing.revisions().map(({ version, fingerprint }) => `${version}${fingerprint}`);
  let listing: SettledListing;

  beforeEach(() => {
    listing = new SettledListing();
    listing.observe([at('1')], 0);
  });

  it('has at once what is there at the start', () => {
    assert.deepEqual(said(listing), ['1a']);
    assert.equal(listing.isMoving, false);
  });

  it('takes a new version when it has stayed the same for a second, not while it is being copied', () => {
    listing.observe([at('1'), at('2', 'half')], 100);
    assert.deepEqual(said(listing), ['1a']);
    assert.equal(listing.isMoving, true);
    listing.observe([at('1'), at('2', 'more')], 1_050);
    listing.observe([at('1'), at('2', 'more')], 2_000);
    assert.deepEqual(said(listing), ['1a']);
    listing.observe([at('1'), at('2', 'more')], 1_050 + SETTLE_MS);
    assert.deepEqual(said(listing), ['1a', '2more']);
    assert.equal(listing.isMoving, false);
  });

  it('keeps a version as it was while its files change', () => {
    listing.observe([at('1', 'b')], 100);
    assert.deepEqual(said(listing), ['1a']);
    listing.observe([at('1', 'b')], 1_200);
    assert.deepEqual(said(listing), ['1b']);
  });

  it('keeps what is gone for a moment, and drops what stays away', () => {
    listing.observe([], 100);
    assert.deepEqual(said(listing), ['1a'], 'it is being replaced');
    listing.observe([at('1')], 600);
    listing.observe([], 700);
    listing.observe([], 1_600);
    assert.deepEqual(said(listing), ['1a']);
    listing.observe([], 1_700);
    assert.deepEqual(said(listing), []);
    assert.equal(listing.isMoving, false);
  });

  it('forgets a version that came and went without settling', () => {
    listing.observe([at('1'), at('2')], 100);
    listing.observe([at('1')], 200);
    listing.observe([at('1')], 5_000);
    assert.deepEqual(said(listing), ['1a']);
    assert.equal(listing.isMoving, false);
  });

  it('takes what is asked for as it is, and only that model', () => {
    listing.observe([at('1'), at('2'), at('1', 'a', 'lite')], 100);
    listing.accept('digits');
    assert.deepEqual(said(listing), ['1a', '2a']);
    listing.accept('lite');
    assert.equal(listing.revisions().length, 3);
  });
});
