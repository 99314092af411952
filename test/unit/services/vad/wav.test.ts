import assert from 'node:assert/strict';
import { samplesOfWav } from '../../../../services/vad/wav.js';

interface Content {
  readonly samples?: readonly number[];
  readonly rate?: number;
  readonly channels?: number;
  readonly before?: readonly Buffer[];
}

function wav({ samples = [], rate = 16_000, channels = 1, before = [] }: Content): Buffer {
  const format = Buffer.alloc(16);
  format.writeUInt16LE(1, 0);
  format.writeUInt16LE(channels, 2);
  format.writeUInt32LE(rate, 4);
  format.writeUInt16LE(16, 14);
  const data = Buffer.alloc(2 * samples.length);
  for (const [i, sample] of samples.entries()) data.writeInt16LE(sample, 2 * i);
  return Buffer.concat([
    Buffer.from('RIFF\0\0\0\0WAVE', 'latin1'),
    ...before,
    chunk('fmt ', format),
    chunk('data', data),
  ]);
}

function chunk(name: string, content: Buffer): Buffer {
  const head = Buffer.from(`${name}\0\0\0\0`, 'latin1');
  head.writeUInt32LE(content.length, 4);
  return Buffer.concat([head, content, Buffer.alloc(content.length % 2)]);
}

describe('samples of a WAV file', () => {
  it('are numbers from −1 to 1', () => {
    const samples = samplesOfWav(wav({ samples: [0, 16_384, -32_768] }), 16_000);
    assert.deepEqual([...samples], [0, 0.5, -1]);
  });

  it('are found behind other chunks, of odd length too', () => {
    const before = [chunk('LIST', Buffer.from('abc'))];
    assert.deepEqual([...samplesOfWav(wav({ samples: [8192], before }), 16_000)], [0.25]);
  });

  it('are refused with what was found and expected', () => {
    assert.throws(
      () => samplesOfWav(wav({ rate: 8000 }), 16_000),
      /^Error: rate: found 8000, expected 16000$/,
    );
    assert.throws(() => samplesOfWav(wav({ channels: 2 }), 16_000), /channels: found 2, expected 1/);
    assert.throws(() => samplesOfWav(Buffer.from('ID3'), 16_000), /expected a WAV file/);
    const whole = wav({});
    assert.throws(() => samplesOfWav(whole.subarray(0, whole.length - 8), 16_000), /found no chunk 'data'/);
  });
});
