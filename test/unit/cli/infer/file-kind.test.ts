import assert from 'node:assert/strict';
import { fileKind, unreadKind } from '../../../../sidecar/cli/infer/file-kind.js';

const bytes = (text: string) => Buffer.from(text, 'latin1');

describe('the kind of a file', () => {
  for (const [kind, head] of [
    ['PNG', '\x89PNG\r\n\x1a\n\0\0\0\rIHDR'],
    ['NumPy', '\x93NUMPY\x01\0'],
    ['WAV', 'RIFF\x24\0\0\0WAVEfmt '],
  ] as const)
    it(`is ${kind} by its first bytes`, () => {
      assert.equal(fileKind(bytes(head)), kind);
      assert.equal(unreadKind(bytes(head)), undefined);
    });

  for (const [kind, head, says] of [
    [
      'JPEG',
      '\xff\xd8\xff\xe0\0\x10JFIF\0',
      /^found a JPEG picture, expected a PNG; make one, as with: magick FILE/,
    ],
    ['GIF', 'GIF89a\x01\0\x01\0', /found a GIF picture/],
    ['WebP, which begins as WAV does', 'RIFF\x24\0\0\0WEBPVP8 ', /found a WebP picture/],
    ['BMP', 'BM\x36\0\x0c\0\0\0\0\0\x36\0\0\0', /found a BMP picture/],
    ['HEIF', '\0\0\0\x18ftypheic', /found a HEIF picture/],
    [
      'MP3',
      'ID3\x04\0',
      /^found MP3 sound, expected a WAV file; make one, as with: ffmpeg -i FILE -ac 1 -ar 16000/,
    ],
    ['FLAC', 'fLaC\0\0\0\x22', /found FLAC sound/],
    ['M4A', '\0\0\0\x20ftypM4A ', /found MPEG-4 sound/],
  ] as const)
    it(`of ${kind} is not read, and a command is named that makes one that is`, () => {
      assert.equal(fileKind(bytes(head)), undefined);
      assert.match(unreadKind(bytes(head))!, says);
    });

  for (const text of ['', 'II', 'BMW builds cars', '[1, 2]', 'RIFF', 'GIFT', 'plain text of a line'])
    it(`of '${text}' is text`, () => {
      assert.equal(fileKind(bytes(text)) ?? unreadKind(bytes(text)), undefined);
    });
});
