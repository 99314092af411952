import assert from 'node:assert/strict';
import { SilentStreams } from '../../../../sidecar/core/admission/silent-streams.js';

describe('Silent streams', () => {
  const make = (holder: object, n: number) => Array.from({ length: n }, (_, i) => ({ holder, i }));
  const [a, b] = [{}, {}];

  it('go in the order in which they fell silent, from who has most', () => {
    const streams = new SilentStreams<{ holder: object; i: number }>();
    const [many, few] = [make(a, 6), make(b, 3)];
    for (const each of [...many, ...few]) streams.add(each);
    assert.equal(streams.overShare(12), many[0]);
    streams.delete(many[0]!);
    assert.equal(streams.overShare(12), many[1]);
  });

  it('go down to a share of the places, of which those that wait have one', () => {
    const streams = new SilentStreams<{ holder: object; i: number }>();
    for (const each of make(a, 6)) streams.add(each);
    let n = 0;
    for (let one = streams.overShare(8); one !== null; one = streams.overShare(8)) {
      streams.delete(one);
      n++;
    }
    assert.equal(n, 2);
  });

  it('stay where a holder has a single one, or there are none', () => {
    const streams = new SilentStreams<{ holder: object; i: number }>();
    assert.equal(streams.overShare(1), null);
    const [one] = make(a, 1);
    streams.add(one!);
    assert.equal(streams.overShare(1), null);
    streams.delete(one!);
    streams.delete(one!);
    assert.equal(streams.overShare(0), null);
  });
});
