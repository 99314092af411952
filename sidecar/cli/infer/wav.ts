/** Sound of one channel. */
export interface Sound {
  /** Samples a second. */
  readonly rate: number;
  /** From −1 to 1. */
  readonly samples: Float32Array;
}

/** The sound cannot be used; the message says what was found and what is expected. */
class WavError extends Error {}

const PCM = 1;
/** The format stands in the first two bytes of a GUID. */
const EXTENSIBLE = 0xfffe;
/** Zero crossings of the filter to each side: enough that what is above the new rate is not heard as something else. */
const CROSSINGS = 16;

/**
 * Reads a WAV file (RIFF, 16-bit PCM); several channels are mixed to one.
 * Source: Multimedia Programming Interface and Data Specifications 1.0 (RIFF), WAVEFORMATEXTENSIBLE.
 *
 * @throws WavError
 */
export function decodeWav(bytes: Buffer): Sound {
  let format: { kind: number; channels: number; rate: number; bits: number } | undefined;
  for (let at = 12; at + 8 <= bytes.length; ) {
    const id = bytes.toString('latin1', at, at + 4);
    const size = bytes.readUInt32LE(at + 4);
    const body = bytes.subarray(at + 8, at + 8 + size);
    if (id === 'fmt ' && body.length >= 16) {
      const tag = body.readUInt16LE(0);
      const kind = tag === EXTENSIBLE && body.length >= 26 ? body.readUInt16LE(24) : tag;
      format = {
        kind,
        channels: body.readUInt16LE(2),
        rate: body.readUInt32LE(4),
        bits: body.readUInt16LE(14),
      };
    } else if (id === 'data') {
      if (format === undefined) throw new WavError('it has no header (fmt) before its samples');
      if (format.kind !== PCM || format.bits !== 16)
        throw new WavError(
          `found ${format.bits} bits in format ${format.kind}, expected 16-bit PCM (format 1)`,
        );
      if (format.channels === 0 || format.rate === 0)
        throw new WavError(
          `found ${format.channels} channels at ${format.rate} Hz, expected one of each at least`,
        );
      return { rate: format.rate, samples: mixed(body, format.channels) };
    }
    at += 8 + size + (size & 1);
  }
  throw new WavError('it has no samples (data): it is cut off');
}

function mixed(body: Buffer, channels: number): Float32Array {
  const frames = Math.floor(body.length / (2 * channels));
  return Float32Array.from({ length: frames }, (_, frame) => {
    let sum = 0;
    for (let c = 0; c < channels; c++) sum += body.readInt16LE(2 * (frame * channels + c));
    return sum / channels / 32_768;
  });
}

/** The sound at another rate: a windowed sinc, cut off at the lower of the two rates. */
export function resampled({ rate, samples }: Sound, to: number): Float32Array {
  if (rate === to) return samples;
  const cut = Math.min(1, to / rate);
  const reach = CROSSINGS / cut;
  const length = Math.max(1, Math.round((samples.length * to) / rate));
  return Float32Array.from({ length }, (_, i) => {
    const centre = (i * rate) / to;
    let sum = 0;
    let weights = 0;
    const last = Math.min(samples.length - 1, Math.floor(centre + reach));
    for (let n = Math.max(0, Math.ceil(centre - reach)); n <= last; n++) {
      const x = n - centre;
      const sinc = x === 0 ? 1 : Math.sin(Math.PI * cut * x) / (Math.PI * cut * x);
      const weight = sinc * (0.5 + 0.5 * Math.cos((Math.PI * x) / reach));
      sum += weight * samples[n]!;
      weights += weight;
    }
    return weights === 0 ? 0 : sum / weights;
  });
}
