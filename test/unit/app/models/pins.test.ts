/** Which revisions are served where versions change by rollouts only. */
import assert from 'node:assert/strict';
import { Pins } from '../../../../sidecar/app/models/pins.js';

describe('pinned revisions', () => {
  const revision = (version: string, fingerprint = version, name = 'digits') => ({
    name,
    version,
    fingerprint,
  });
  const versions = (pins: Pins) => pins.wanted.map(({ name, fingerprint }) => `${name}/${fingerprint}`);

  it('stay whatever comes, with a candidate beside them that takes their place or goes', () => {
    const pins = new Pins();
    pins.begin([revision('1'), revision('4', '4', 'words')]);
    assert.deepEqual(versions(pins), ['digits/1', 'words/4']);
    pins.offer(revision('2'));
    assert.deepEqual(versions(pins), ['digits/1', 'words/4', 'digits/2']);
    assert.equal(pins.servedOf('digits')?.version, '1');
    assert.equal(pins.isCandidate(revision('2')), true);
    assert.equal(pins.isCandidate(revision('2', 'other files')), false);
    pins.withdraw('digits');
    assert.deepEqual(versions(pins), ['digits/1', 'words/4']);
    pins.offer(revision('2'));
    pins.commit('digits');
    pins.commit('digits');
    assert.deepEqual(versions(pins), ['digits/2', 'words/4']);
    assert.deepEqual(pins.versions, { digits: '2', words: '4' });
    assert.equal(pins.candidateOf('digits'), undefined);
    assert.equal(pins.servedOf('other'), undefined);
  });

  it('tell changed files of a version from the ones that are served', () => {
    const pins = new Pins();
    pins.begin([revision('1', 'a')]);
    pins.offer(revision('1', 'b'));
    pins.commit('digits');
    assert.deepEqual(versions(pins), ['digits/b']);
  });
});
