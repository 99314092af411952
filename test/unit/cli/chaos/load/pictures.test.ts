import assert from 'node:assert/strict';
import {
  digitsRequest,
  markedPicture,
  readPictures,
} from '../../../../../sidecar/cli/chaos/load/pictures.js';

describe('Pictures of a drill', () => {
  it('are one of each class, and the marked one differs from all of them in one pixel', () => {
    const pictures = readPictures();
    assert.deepEqual(
      pictures.map(({ label }) => label),
      Array.from({ length: 10 }, (_, i) => i),
    );
    for (const picture of pictures) {
      const marked = markedPicture(picture);
      assert.equal(marked.label, picture.label);
      assert.deepEqual(marked.pixels.subarray(4), Buffer.from(picture.pixels.subarray(4)));
      assert.notDeepEqual([...marked.pixels.subarray(0, 4)], [...picture.pixels.subarray(0, 4)]);
      const [sent] = digitsRequest(marked, 'a').raw_input_contents!;
      assert.ok(pictures.every(({ pixels }) => Buffer.compare(pixels, sent!) !== 0));
    }
  });
});
