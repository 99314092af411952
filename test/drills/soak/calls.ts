/** What is asked of the mesh of a soak: digits, bytes from 100 B to 4 MB that have to come back, and streams of characters. */

import { classIn } from '../../../sidecar/cli/chaos/load/pictures.js';
import type { Random } from '../../../sidecar/runtime/random.js';
import { seeded } from '../../kit/time/seeded-random.js';
import { characterStreams } from '../faults/characters.js';
import { digitOf, digitRequest } from '../faults/digit-load.js';
import type { LoadOptions } from '../faults/load.js';
import { type Kinds, MixedLoad } from '../faults/mixed-load.js';
import { ECHO } from './mesh-file.js';

const DEADLINE_MS = 60_000;
const STREAM_DEADLINE_MS = 120_000;
const SIZES = { least: 100, most: 4_000_000 };
/** Of each kind, at `--rate 20`. */
const PER_SECOND = { digits: 10, echo: 9, streams: 0.3 };
/** Digits of 100 that the model has to read: it reads about 97. */
const LEAST_READ = 0.9;

type Kind = keyof typeof PER_SECOND;

/** Calls of all kinds, until `stop`. */
export class SoakCalls extends MixedLoad<Kind> {
  private constructor(
    kinds: Kinds<Kind>,
    private readonly read: { digits: number },
  ) {
    super(kinds);
  }

  /** @param rate calls a second of all kinds together */
  static start(target: string, rate: number, seed: number): Promise<SoakCalls> {
    const read = { digits: 0 };
    const of = (kind: Kind) => ({
      ...{ target, deadlineMs: DEADLINE_MS, perSecond: (PER_SECOND[kind] * rate) / 20 },
    });
    const calls = new SoakCalls(
      {
        digits: {
          ...{ ...of('digits'), request: digitRequest },
          judge: (answer, n) => {
            if (classIn(answer) === digitOf(n).label) read.digits++;
            return undefined;
          },
        },
        echo: { ...of('echo'), what: 'of 100 B to 4 MB', ...echoes(seeded(seed)) },
        streams: { ...of('streams'), ...characterStreams(STREAM_DEADLINE_MS) },
      },
      read,
    );
    return calls.begin();
  }

  override get failures(): readonly string[] {
    const failed = super.failures;
    const { answered } = this.of('digits');
    const isBlind = answered > 100 && this.read.digits < LEAST_READ * answered;
    return isBlind ? [...failed, `${this.read.digits} of ${answered} digits were read`] : failed;
  }
}

/** Bytes, each size as likely as its double, that have to come back. */
function echoes(sizes: Random) {
  const { least, most } = SIZES;
  const sent = new Map<number, Uint8Array>();
  return {
    request: (n) => {
      // The nth call has a pattern of its own.
      const length = Math.round(least * (most / least) ** sizes());
      const bytes = new Uint8Array(length).map((_, i) => (i * 31 + n * 7 + (i >> 8)) & 255);
      sent.set(n, bytes);
      const inputs = [{ name: 'x', datatype: 'UINT8', shape: [String(length)] }];
      return { model_name: ECHO, inputs, raw_input_contents: [bytes] };
    },
    judge: ({ raw_output_contents: [raw] }, n) => {
      const expected = sent.get(n)!;
      sent.delete(n);
      return raw !== undefined && Buffer.from(raw).equals(expected) ? undefined : 'other bytes came back';
    },
  } satisfies Partial<LoadOptions>;
}
