/** What is asked of the mesh of a soak: digits, bytes from 100 B to 4 MB that have to come back, and streams of characters. */

import type { ModelInferRequest, ModelInferResponse } from '../../../proto/messages.js';
import { classIn } from '../../../sidecar/cli/chaos/load/pictures.js';
import type { Random } from '../../../sidecar/runtime/random.js';
import { seeded } from '../../kit/time/seeded-random.js';
import { askCharacters } from '../faults/characters.js';
import { digitOf, digitRequest } from '../faults/digit-load.js';
import { Load, type SentCall } from '../faults/load.js';
import { ECHO } from './mesh-file.js';

const DEADLINE_MS = 60_000;
const STREAM_DEADLINE_MS = 120_000;
const SIZES = { least: 100, most: 4_000_000 };
/** Of each kind, at `--rate 20`. */
const PER_SECOND = { digits: 10, echo: 9, streams: 0.3 };
/** Digits of 100 that the model has to read: it reads about 97. */
const LEAST_READ = 0.9;

/** Calls of all kinds, until `stop`. */
export class SoakCalls {
  private read = 0;

  private constructor(
    private readonly sizes: Random,
    private readonly loads: Record<keyof typeof PER_SECOND, Load>,
  ) {}

  /** @param rate calls a second of all kinds together */
  static async start(target: string, rate: number, seed: number): Promise<SoakCalls> {
    const calls = new SoakCalls(seeded(seed), {} as Record<keyof typeof PER_SECOND, Load>);
    const of = (kind: keyof typeof PER_SECOND) => ({
      ...{ target, deadlineMs: kind === 'streams' ? STREAM_DEADLINE_MS : DEADLINE_MS },
      perSecond: (PER_SECOND[kind] * rate) / 20,
    });
    const { loads } = calls;
    loads.digits = await Load.start({ ...of('digits'), request: digitRequest, judge: calls.judgeDigit });
    const sent = new Map<number, Uint8Array>();
    loads.echo = await Load.start({
      ...of('echo'),
      request: (n) => {
        const bytes = calls.bytesOf(n);
        sent.set(n, bytes);
        return echoRequest(bytes);
      },
      judge: ({ raw_output_contents: [raw] }, n) => {
        const expected = sent.get(n)!;
        sent.delete(n);
        return raw !== undefined && Buffer.from(raw).equals(expected) ? undefined : 'other bytes came back';
      },
    });
    loads.streams = await Load.start({
      ...of('streams'),
      ask: (client, n, done) => askCharacters(client, n, STREAM_DEADLINE_MS, done),
      judge: (wrong) => wrong as unknown as string | undefined,
    });
    return calls;
  }

  get sent(): number {
    return this.all.reduce((sum, { sent }) => sum + sent, 0);
  }

  /** A line each. */
  get failures(): readonly string[] {
    const line = (kind: string) => (call: SentCall) =>
      `${kind}: ${call.failure}, after ${Math.round(call.endMs - call.startMs)} ms`;
    const ended = Object.entries(this.loads).flatMap(([kind, load]) => load.failures.map(line(kind)));
    const { digits } = this.loads;
    const isBlind = digits.answered > 100 && this.read < LEAST_READ * digits.answered;
    return isBlind ? [...ended, `${this.read} of ${digits.answered} digits were read`] : ended;
  }

  get summary(): string {
    const { digits, echo, streams } = this.loads;
    return `${digits.sent} digits, ${echo.sent} of 100 B to 4 MB, ${streams.sent} streams`;
  }

  /** Waits for the ends of all that is under way. */
  async stop(): Promise<void> {
    await Promise.all(this.all.map((load) => load.stop()));
  }

  private get all(): readonly Load[] {
    return Object.values(this.loads);
  }

  private readonly judgeDigit = (answer: ModelInferResponse, n: number): undefined => {
    if (classIn(answer) === digitOf(n).label) this.read++;
  };

  /** As many as chance says, each size as likely as its double; the nth call has a pattern of its own. */
  private bytesOf(n: number): Uint8Array {
    const { least, most } = SIZES;
    const bytes = Math.round(least * (most / least) ** this.sizes());
    return new Uint8Array(bytes).map((_, i) => (i * 31 + n * 7 + (i >> 8)) & 255);
  }
}

function echoRequest(bytes: Uint8Array): ModelInferRequest {
  const inputs = [{ name: 'x', datatype: 'UINT8', shape: [String(bytes.length)] }];
  return { model_name: ECHO, inputs, raw_input_contents: [bytes] };
}
