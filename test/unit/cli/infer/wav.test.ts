import assert from 'node:assert/strict';
import { decodeWav, resampled } from '../../../../sidecar/cli/infer/wav.js';

interface Header {
  readonly channels: number;
  readonly rate: number;
  readonly bits: number;
  readonly format: number;
}

const chunk = (id: string, body: Uint8Array): Buffer => {
  const head = Buffer.alloc(8);
  head.write(id, 0, 'latin1');
  head.writeUInt32LE(body.length, 4);
  return Buffer.concat([head, body, Buffer.alloc(body.length & 1)]);
};
const fmt = (header: Partial<Header>): Buffer => {
  const { channels = 1, rate = 8000, bits = 16, format = 1 } = header;
  const body = Buffer.alloc(16);
  body.writeUInt16LE(format, 0);
  body.writeUInt16LE(channels, 2);
  body.writeUInt32LE(rate, 4);
  body.writeUInt16LE(bits, 14);
  return chunk('fmt ', body);
};
const data = (...samples: number[]): Buffer => chunk('data', new Uint8Array(Int16Array.from(samples).buffer));
const file = (...chunks: Buffer[]): Buffer => Buffer.concat([Buffer.from('RIFF....WAVE'), ...chunks]);

describe('a WAV file', () => {
  it('is read as samples from −1 to 1, past chunks of other kinds', () => {
    const sound = decodeWav(file(fmt({}), chunk('LIST', Buffer.from('odd')), data(0, 16_384, -32_768)));
    assert.equal(sound.rate, 8000);
    assert.deepEqual([...sound.samples], [0, 0.5, -1]);
  });

  it('of two channels is mixed to one', () => {
    assert.deepEqual(
      [...decodeWav(file(fmt({ channels: 2 }), data(16_384, 0, -16_384, 0))).samples],
      [0.25, -0.25],
    );
  });

  it('is refused with what was found and what is expected', () => {
    const wrong: [Buffer, RegExp][] = [
      [file(fmt({ bits: 24 }), data(0)), /found 24 bits in format 1, expected 16-bit PCM/],
      [file(fmt({ format: 3 }), data(0)), /found 16 bits in format 3/],
      [file(fmt({ channels: 0 }), data(0)), /found 0 channels at 8000 Hz/],
      [file(data(0)), /no header \(fmt\) before its samples/],
      [file(fmt({})), /no samples \(data\): it is cut off/],
      [Buffer.from('RIFF'), /cut off/],
    ];
    for (const [bytes, says] of wrong) assert.throws(() => decodeWav(bytes), says);
  });
});

describe('a sound at another rate', () => {
  const tone = (hertz: number, rate: number, length: number): Float32Array =>
    Float32Array.from({ length }, (_, i) => Math.sin((2 * Math.PI * hertz * i) / rate));
  const largest = (samples: Float32Array): number =>
    samples.slice(200, -200).reduce((top, v) => Math.max(top, Math.abs(v)), 0);

  it('is the same sound, up and down', () => {
    for (const rate of [8_000, 44_100, 48_000]) {
      const found = resampled({ rate, samples: tone(440, rate, rate) }, 16_000);
      const expected = tone(440, 16_000, 16_000);
      assert.equal(found.length, 16_000);
      assert.ok(largest(found.map((v, i) => v - expected[i]!)) < 0.01, `${rate}`);
    }
  });

  it('loses what the new rate cannot hold, and does not fold it back', () => {
    assert.ok(largest(resampled({ rate: 48_000, samples: tone(11_000, 48_000, 48_000) }, 16_000)) < 0.02);
  });

  it('is untouched at the same rate', () => {
    const samples = tone(440, 16_000, 10);
    assert.equal(resampled({ rate: 16_000, samples }, 16_000), samples);
  });
});
