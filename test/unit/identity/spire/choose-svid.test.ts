import assert from 'node:assert/strict';
import { createPrivateKey } from 'node:crypto';
import fc from 'fast-check';
import { MessageWriter } from '../../../../sidecar/codec/protobuf.js';
import { MappedIds } from '../../../../sidecar/identity/mapped-ids.js';
import { isProblem } from '../../../../sidecar/identity/spiffe.js';
import { chooseSvid } from '../../../../sidecar/identity/spire/choose-svid.js';
import { certificatesFromPem } from '../../../../sidecar/identity/x509/pem.js';
import { spiffeUri, TestAuthority, TRUST_DOMAIN } from '../../../kit/identity/certificates.js';

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

  describe('of many SVIDs', () => {
    const wanted = { trustDomain: TRUST_DOMAIN, service: 'web' };

    /** A response with the same good SVID, or a bad one, so often. */
    async function many(count: number, spiffeId = spiffeUri('web')): Promise<MessageWriter> {
      const leaf = await (await TestAuthority.root()).leaf();
      const der = (pem: string) => Buffer.concat(certificatesFromPem(pem));
      const writer = new MessageWriter();
      for (let i = 0; i < count; i++)
        writer.message(
          1,
          new MessageWriter()
            .text(1, spiffeId)
            .bytes(2, der(leaf.certChainPem))
            .bytes(3, createPrivateKey(leaf.keyPem).export({ format: 'der', type: 'pkcs8' }))
            .bytes(4, der(leaf.rootsPem)),
        );
      return writer;
    }

    it('judges none behind the first that can be used', async () => {
      let judged = 0;
      const ids = new (class extends MappedIds {
        override binds(service: string): boolean {
          judged++;
          return super.binds(service);
        }
      })({});
      const judge = async (count: number): Promise<number> => {
        judged = 0;
        const found = chooseSvid((await many(count)).finish(), { ...wanted, ids }, Date.now());
        assert.ok(!isProblem(found));
        return judged;
      };
      assert.equal(await judge(5), await judge(1));
    });

    it('says how many it has not read where none can be used', async () => {
      const found = chooseSvid((await many(103, spiffeUri('other'))).finish(), wanted, Date.now());
      assert.ok(isProblem(found));
      assert.match(found.problem, /\(3 SVIDs after the first 100 are not read\)$/);
    });

    it('says how many bundles it has not read', async () => {
      const writer = await many(1);
      for (let i = 0; i < 102; i++)
        writer.message(3, new MessageWriter().text(1, `spiffe://td-${i}`).bytes(2, Buffer.from('garbage')));
      const found = chooseSvid(writer.finish(), wanted, Date.now());
      assert.ok(!isProblem(found));
      assert.equal(
        found.leftOut.at(-1),
        '2 bundles of other trust domains are left out: at most 100 are read',
      );
    });
  });
});
