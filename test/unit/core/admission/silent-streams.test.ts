import assert from 'node:assert/strict';
import { SilentStreams } from '../../../../sidecar/core/admission/silent-streams.js';

describe('SilentStreams', () => {
  const make = (holder: object, n: number) => Array.from({ length: n }, (_, i) => ({ holder, i }));
  const [a, b] = [{}, {}];
  let streams: SilentStreams<{ holder: object; i: number }>;
  beforeEach(() => {
    streams = new SilentStreams();
  });

  it('gives up streams in the order in which they became idle, of the holder with most', () => {
    const [many, few] = [make(a, 6), make(b, 3)];
    for (const each of [...many, ...few]) streams.add(each);
    assert.equal(streams.overShare(12), many[0]);
    streams.delete(many[0]!);
    assert.equal(streams.overShare(12), many[1]);
  });

  it('gives up streams down to an equal share, the waiting calls counted as one holder', () => {
    for (const each of make(a, 6)) streams.add(each);
    let n = 0;
    for (let one = streams.overShare(8); one !== null; one = streams.overShare(8)) {
      streams.delete(one);
      n++;
    }
    assert.equal(n, 2);
  });

  it('gives up none where a holder has a single one, or there are none', () => {
    assert.equal(streams.overShare(1), null);
    const [one] = make(a, 1);
    streams.add(one!);
    assert.equal(streams.overShare(1), null);
    streams.delete(one!);
    streams.delete(one!);
    assert.equal(streams.overShare(0), null);
  });
});
