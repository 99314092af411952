/** Near misses. */
import assert from 'node:assert/strict';
import { nearest } from '../../../sidecar/config/suggest.js';

const KNOWN = ['max_waiting', 'max_waiting_bytes', 'concurrency', 'listen', 'on', 'unavailable', 'unknown'];

describe('did you mean', () => {
  for (const [word, meant] of [
    ['max_wating', 'max_waiting'],
    ['maxWaiting', 'max_waiting'],
    ['max-waiting-bytes', 'max_waiting_bytes'],
    ['CONCURRENCY', 'concurrency'],
    ['concurency', 'concurrency'],
    ['lisetn', 'listen'],
    ['unavail', 'unavailable'],
    ['no', 'on'],
  ])
    it(`finds ${meant} for ${word}`, () => assert.equal(nearest(word!, KNOWN), meant));

  for (const word of ['', 'zzz', 'unrelated_thing', '_', 'x'.repeat(10_000)])
    it(`finds nothing for ${JSON.stringify(word.slice(0, 20))}`, () =>
      assert.equal(nearest(word, KNOWN), undefined));

  it('finds nothing among nothing', () => assert.equal(nearest('listen', []), undefined));
});
