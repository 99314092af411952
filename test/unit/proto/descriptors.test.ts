import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { fileDescriptors, madeDescriptors } from '../../../proto/descriptors.js';
import { protoFile } from '../../../proto/load.js';
import { WireReader } from '../../../proto/wire.js';

describe('the descriptors of the .proto files', () => {
  it('are what `npm run generate` makes of them', () =>
    assert.equal(readFileSync(protoFile('descriptors.json'), 'utf8'), madeDescriptors()));

  it('have no imports and no extensions, which reflection knows nothing of', () => {
    for (const file of fileDescriptors()) {
      const reader = new WireReader(file);
      const fields = new Set<number>();
      for (; reader.next(); reader.skip()) fields.add(reader.field);
      // dependency and extension
      assert.deepEqual([fields.has(3), fields.has(7)], [false, false]);
    }
  });
});
