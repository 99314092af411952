import assert from 'node:assert/strict';
import { deflateRawSync } from 'node:zlib';
import fc from 'fast-check';
import { zipArchive } from '../../../../../services/engine/zip-archive.js';
import { readZip } from '../../../../../services/openai/tokenizer/zip.js';
import { runs } from '../../../../kit/mocha/effort.js';

const ALL = { wanted: () => true, maxBytes: 10_000 };
const text = (files: Map<string, Buffer>) => [...files].map(([name, bytes]) => [name, bytes.toString()]);
const file = (name: string, content: string, more = {}) => ({ name, content: Buffer.from(content), ...more });

/** Made by Python's zipfile: `a.txt`, deflated, and `b.txt`, stored. */
const BY_PYTHON =
  'UEsDBBQAAAAIAAAAIQBkenCvBgAAAGQAAAAFAAAAYS50eHRLTKQ9AABQSwMEFAAAAAAAAAAhAPnvvnEBAAAAAQAAAAUAAABiLnR4dGJQSwECFAMUAAAACAAAACEAZHpwrwYAAABkAAAABQAAAAAAAAAAAAAAgAEAAAAAYS50eHRQSwECFAMUAAAAAAAAACEA+e++cQEAAAABAAAABQAAAAAAAAAAAAAAgAEpAAAAYi50eHRQSwUGAAAAAAIAAgBmAAAATQAAAAAA';

describe('a ZIP archive', () => {
  it('by Python is read', () => {
    assert.deepEqual(text(readZip(Buffer.from(BY_PYTHON, 'base64'), ALL)), [
      ['a.txt', 'a'.repeat(100)],
      ['b.txt', 'b'],
    ]);
  });

  it('with a comment is read, as far as its files are wanted', () => {
    const archive = zipArchive([file('a', 'one'), file('b', 'two', { isDeflated: false })], 'a comment');
    assert.deepEqual(text(readZip(archive, { ...ALL, wanted: (name) => name === 'b' })), [['b', 'two']]);
  });

  it('that is too large unpacked is refused before it is unpacked', () => {
    const archive = zipArchive([file('a', 'x'.repeat(6_000)), file('b', 'x'.repeat(6_000))]);
    assert.throws(() => readZip(archive, ALL), /more than 10000 bytes/);
  });

  it('that lies about the size of a file is refused', () => {
    const archive = zipArchive([file('a', 'x'.repeat(50_000), { claimedBytes: 10 })]);
    assert.throws(() => readZip(archive, ALL), /larger than|buffer/i);
  });

  it('that is damaged is an error, never anything else', () =>
    fc.assert(
      fc.property(fc.nat(), fc.integer({ min: 0, max: 255 }), fc.nat({ max: 400 }), (at, value, length) => {
        const archive = zipArchive([file('a', 'one'), { name: 'b', content: deflateRawSync('two') }]);
        archive[at % archive.length] = value;
        try {
          readZip(archive.subarray(0, Math.max(length, 22)), ALL);
        } catch (error) {
          assert.ok(error instanceof Error);
        }
      }),
      { numRuns: runs(500) },
    ));

  it('is none without its end', () => assert.throws(() => readZip(Buffer.from('PK'), ALL), /no ZIP archive/));
});
