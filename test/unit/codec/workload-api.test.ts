import assert from 'node:assert/strict';
import { MessageWriter } from '../../../sidecar/codec/protobuf.js';
import { readSvids } from '../../../sidecar/codec/workload-api.js';

const bundle = (id: string) => new MessageWriter().text(1, id).bytes(2, Buffer.from('roots'));

describe('an X509SVIDResponse', () => {
  const ids = Array.from({ length: 150 }, (_, i) => `spiffe://td-${String(i).padStart(3, '0')}`);

  it('gives the same 100 bundles in whatever order they come, and says how many more there are', () => {
    for (const order of [ids, ids.toReversed()]) {
      const writer = new MessageWriter();
      for (const id of order) writer.message(3, bundle(id));
      const { federated, unread } = readSvids(writer.finish());
      assert.deepEqual([...federated.keys()], ids.slice(0, 100));
      assert.deepEqual(unread, { svids: 0, federated: 50 });
    }
  });

  it('gives the first 100 SVIDs in their order, and says how many more there are', () => {
    const writer = new MessageWriter();
    for (const id of ids.toReversed()) writer.message(1, new MessageWriter().text(1, id));
    const { svids, unread } = readSvids(writer.finish());
    assert.deepEqual(
      svids.map(({ spiffeId }) => spiffeId),
      ids.toReversed().slice(0, 100),
    );
    assert.deepEqual(unread, { svids: 50, federated: 0 });
  });
});
