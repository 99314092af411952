import assert from 'node:assert/strict';
import {
  type ContentTypes,
  mimeTypeOf,
  type VerdictConfig,
  verdictOf,
  verdictOfFew,
} from '../../../../services/filetype/verdict.js';

const config: VerdictConfig = {
  target_labels_space: ['png', 'r', 'randomtxt', 'css'],
  thresholds: { r: 0.9 },
  medium_confidence_threshold: 0.5,
  overwrite_map: { randomtxt: 'txt' },
};
const types: ContentTypes = {
  png: { is_text: false, mime_type: 'image/png' },
  r: { is_text: true, mime_type: null },
  txt: { is_text: true, mime_type: 'text/plain' },
  css: { is_text: true, mime_type: 'text/css' },
  unknown: { is_text: false, mime_type: null },
};

describe('the verdict of filetype', () => {
  const label = (...probabilities: number[]): string =>
    verdictOf(new Float32Array(probabilities), config, types).label;

  it('is the likeliest type, with the score of the network', () => {
    const verdict = verdictOf(new Float32Array([0.25, 0, 0, 0.75]), config, types);
    assert.deepEqual(verdict, { label: 'css', score: 0.75 });
    assert.equal(label(0.5, 0.25, 0.25, 0), 'png');
  });

  it('is text or unknown below the confidence that its type needs', () => {
    assert.equal(label(0.25, 0.125, 0.125, 0.375), 'txt');
    assert.equal(label(0.375, 0.25, 0.25, 0.125), 'unknown');
    assert.equal(label(0.125, 0.875, 0, 0), 'txt');
    assert.equal(label(0.0625, 0.9375, 0, 0), 'r');
  });

  it('is another label where the package has one for it', () => {
    assert.equal(label(0, 0, 0.75, 0.25), 'txt');
  });

  it('of few bytes is empty, text or unknown, of what is in the first block', () => {
    const few = (bytes: readonly number[]): string => verdictOfFew(Uint8Array.from(bytes), 4).label;
    assert.equal(few([]), 'empty');
    assert.equal(few([0x68, 0xc3, 0xbc]), 'txt');
    assert.equal(few([0x68, 0xc3]), 'unknown');
    assert.equal(few([0x20, 0x20, 0x20, 0x20, 0xff]), 'txt');
  });

  it('has a media type, a general one where none is known', () => {
    assert.deepEqual(
      ['png', 'r', 'unknown', 'nothing'].map((name) => mimeTypeOf(name, types)),
      ['image/png', 'text/plain', 'application/octet-stream', 'application/octet-stream'],
    );
  });
});
