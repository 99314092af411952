import assert from 'node:assert/strict';
import { ForeignBytes } from '../../../../sidecar/relay/stream/foreign-bytes.js';

describe('Bytes that the present endpoint of a stream did not send', () => {
  it('bytes of the endpoint before give the present one no credit, and those after them do', () => {
    const foreign = new ForeignBytes();
    assert.equal(foreign.own(10), 10);
    foreign.restart(100);
    assert.deepEqual([foreign.own(60), foreign.own(60), foreign.own(60)], [0, 20, 60]);
  });

  it('bytes that the sidecar adds to a message give no credit', () => {
    const foreign = new ForeignBytes();
    foreign.add(3);
    assert.deepEqual([foreign.own(10), foreign.own(10)], [7, 10]);
  });
});
