/**
 * Samples of a WAV file (RIFF): one channel, 16-bit whole numbers (PCM).
 *
 * @returns from −1 to 1. Throws an Error that says what was found and expected.
 */
export function samplesOfWav(file: Buffer, rate: number): Float32Array {
  if (file.toString('latin1', 0, 4) !== 'RIFF' || file.toString('latin1', 8, 12) !== 'WAVE')
    throw new Error('found no RIFF header, expected a WAV file');
  let format: Buffer | undefined;
  for (let at = 12; at + 8 <= file.length; ) {
    const name = file.toString('latin1', at, at + 4);
    const content = file.subarray(at + 8, at + 8 + file.readUInt32LE(at + 4));
    if (name === 'fmt ') format = content;
    if (name === 'data' && format !== undefined) {
      expectFormat(format, rate);
      return Float32Array.from(
        { length: content.length >> 1 },
        (_, i) => content.readInt16LE(2 * i) / 32_768,
      );
    }
    at += 8 + content.length + (content.length % 2); // chunks begin at even places
  }
  throw new Error("found no chunk 'data' after a chunk 'fmt ', expected both");
}

function expectFormat(format: Buffer, rate: number): void {
  const found = [
    format.readUInt16LE(0),
    format.readUInt16LE(2),
    format.readUInt32LE(4),
    format.readUInt16LE(14),
  ];
  const expected = [1, 1, rate, 16];
  ['coding', 'channels', 'rate', 'bits'].forEach((what, i) => {
    if (found[i] !== expected[i]) throw new Error(`${what}: found ${found[i]}, expected ${expected[i]}`);
  });
}
