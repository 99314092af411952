import assert from 'node:assert/strict';
import fc from 'fast-check';
import { isProblem } from '../../../../sidecar/identity/spiffe.js';
import { chooseSvid } from '../../../../sidecar/identity/spire/choose-svid.js';

describe('chooseSvid', () => {
  it('finds no identity in bytes out of chance, and does not throw', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 400 }), (bytes) => {
        const found = chooseSvid(Buffer.from(bytes), { trustDomain: 'td', service: 'web' }, 0);
        assert.ok(isProblem(found));
      }),
    );
  });

  it('finds none in an SVID whose parts are bytes out of chance', () => {
    const part = fc.uint8Array({ maxLength: 100 });
    fc.assert(
      fc.property(fc.array(part, { minLength: 5, maxLength: 5 }), (parts) => {
        const fields = parts.map((each, i) =>
          Buffer.concat([Buffer.from([((i + 1) << 3) | 2, each.length]), each]),
        );
        const svid = Buffer.concat(fields);
        const length = svid.length < 128 ? [svid.length] : [(svid.length & 0x7f) | 0x80, svid.length >> 7];
        const bytes = Buffer.concat([Buffer.from([10, ...length]), svid]);
        assert.ok(isProblem(chooseSvid(bytes, { trustDomain: 'td', service: 'web' }, 0)));
      }),
    );
  });
});
