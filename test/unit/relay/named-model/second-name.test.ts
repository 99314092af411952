/** A second field 1 is found wherever it stands in a message; the same bytes within another field are not one. */
import assert from 'node:assert/strict';
import { SecondName } from '../../../../sidecar/relay/named-model/second-name.js';

const NAME = [0x0a, 1, 0x62];
const VERSION = [0x12, 1, 0x39];
const NUMBER = [0x20, 0xff, 0x01];
const LARGE = [0x3a, 0x80, 0x08, ...new Array<number>(1_024).fill(0x0a)];
const FIXED = [0x49, 1, 2, 3, 4, 5, 6, 7, 8, 0x55, 1, 2, 3, 4];

/** Fed in reads of this length. */
function found(values: readonly number[], length: number, of: 'names' | 'versions' = 'names'): boolean {
  const second = new SecondName(of);
  const bytes = Buffer.from(values);
  second.begin();
  for (let at = 0; at < bytes.length && !second.isFound; )
    at = second.feed(bytes, at, Math.min(bytes.length, at + length));
  return second.isFound;
}

describe('a second name in a message', () => {
  const others = [...VERSION, ...NUMBER, ...LARGE, ...FIXED, 0x3a, 0];

  for (const length of [1, 2, 3, 7, 4_096]) {
    it(`is found in reads of ${length}, and nothing else is`, () => {
      assert.equal(found(others, length), false);
      assert.equal(found([...others, ...NAME], length), true);
      assert.equal(found([...NAME, ...others], length), true);
      assert.equal(found([...VERSION, 0x8a, 0x00, 1, 0x62], length), true, 'in a longer spelling of its tag');
    });
  }

  it('a version is found where versions matter, and within another field it is none', () => {
    const inner = [0x3a, VERSION.length, ...VERSION];
    for (const length of [1, 3, 4_096]) {
      assert.equal(found([...NUMBER, ...inner, ...LARGE, ...FIXED], length, 'versions'), false);
      assert.equal(found([...NUMBER, ...inner, ...VERSION], length, 'versions'), true);
      assert.equal(found(NAME, length, 'versions'), true);
    }
  });

  it('what is no field counts as one: nothing is known after it', () => {
    const wrapped = [0x8a, 0x80, 0x80, 0x80, 0x10]; // 10 + 2³², which decoders of 32 bits take for field 1
    for (const bytes of [wrapped, [0x00], [0x0b], [0x3c], [0x3f], new Array<number>(11).fill(0xff)])
      assert.equal(found([...bytes, ...VERSION], 4_096), true, bytes.join());
  });

  it('a message that ends within a field is told from one that ends after it', () => {
    const second = new SecondName();
    const ends = (bytes: readonly number[]): boolean => {
      second.begin();
      second.feed(Buffer.from(bytes), 0, bytes.length);
      return second.isBetweenFields;
    };
    assert.deepEqual(
      [ends(others), ends([]), ends([0x3a, 9, 1]), ends([0xba]), ends([0x3a])],
      [true, true, false, false, false],
    );
  });
});
