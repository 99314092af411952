import assert from 'node:assert/strict';
import fc from 'fast-check';
import { messageOf } from './protocol.js';
import { StampReader, stamped } from './stamp.js';

describe('stamps in messages', () => {
  it('are read back whatever the frame borders', () => {
    const times = fc.array(fc.double({ noNaN: true }), { minLength: 1, maxLength: 20 });
    fc.assert(
      fc.property(times, fc.array(fc.integer({ min: 1, max: 60 })), (stamps, cuts) => {
        const bytes = Buffer.concat(stamps.map((ms) => stamped(messageOf(40), ms)));
        const reader = new StampReader();
        const seen: number[] = [];
        let at = 0;
        for (const cut of [...cuts, bytes.length]) {
          const end = Math.min(bytes.length, at + cut);
          reader.push(bytes, at, end, 40, (ms) => seen.push(ms));
          at = end;
        }
        assert.deepEqual(seen, stamps);
      }),
    );
  });
});
