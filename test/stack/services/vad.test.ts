import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import {
  RequestError,
  type SequenceState,
  type Tensors,
} from '../../../services/model-server/code/model-code.js';
import { open } from '../../../services/vad/model.js';
import { RECORDING, SPEECH } from '../../../services/vad/speech.js';
import { decodeWav } from '../../../sidecar/cli/infer/wav.js';
import { requireModels, requirePackage } from '../../kit/service/made-models.js';
import { type OpenedModel, openModel, requestOf } from '../../kit/service/model-context.js';
import { seeded } from '../../kit/time/seeded-random.js';

const RATE = 16_000;
/** Pieces of a recording as they might come from a microphone. */
const PIECE = 3001;

describe('the model vad', () => {
  let model: OpenedModel;
  let recording: Float32Array;

  before(async function () {
    const files = await requirePackage(this, SPEECH);
    recording = decodeWav(readFileSync(files.get(RECORDING)!)).samples;
    model = await openModel(open, join(requireModels(this, 'vad'), 'vad/6'));
  });
  after(() => model?.close());

  const audio = (samples: Float32Array): Tensors => ({
    audio: { datatype: 'FP32', dims: [samples.length], data: samples },
  });

  async function speechIn(samples: Float32Array): Promise<Float32Array> {
    return (await model.ask(audio(samples)))['speech']!.data as Float32Array;
  }

  /** One request of a sequence: its outputs, or the Error in their place. */
  async function ask(samples: Float32Array, sequence: SequenceState): Promise<Tensors> {
    const [answer] = await model.code.execute!([{ ...requestOf(audio(samples)), sequence }]);
    if (answer instanceof Error) throw answer;
    return answer!.outputs;
  }

  it('finds each of the six sentences of a recording, and the pauses between them', async function () {
    const speech = await speechIn(recording);
    const marks = [...speech].map((p) => (p > 0.5 ? 'x' : ' ')).join('');
    const sentences = marks.trim().split(/ {6,}/); // six windows are 0.2 s
    const share = [...speech].filter((p) => p > 0.5).length / speech.length;
    this.test!.title += ` (${(100 * share).toFixed(0)} % of ${speech.length} windows are speech)`;
    assert.equal(sentences.length, 6, marks);
    assert.ok(
      sentences.every((sentence) => sentence.length >= 15),
      marks,
    );
  });

  it('finds no speech in silence, noise of any loudness, and tones', async () => {
    const random = seeded(7);
    const seconds = 4 * RATE;
    const sounds = {
      silence: new Float32Array(seconds),
      quiet: Float32Array.from({ length: seconds }, () => 0.02 * (random() - 0.5)),
      loud: Float32Array.from({ length: seconds }, () => 2 * (random() - 0.5)),
      tone: Float32Array.from({ length: seconds }, (_, i) => 0.5 * Math.sin((2 * Math.PI * 440 * i) / RATE)),
    };
    for (const [name, samples] of Object.entries(sounds))
      assert.ok(Math.max(...(await speechIn(samples))) < 0.5, name);
  });

  it('gives for pieces of a sequence what it gives for the whole recording', async () => {
    const whole = await speechIn(recording);
    const sequence = { id: 'a', start: true, end: false, state: undefined as unknown };
    const found: number[] = [];
    for (let from = 0; from < recording.length; from += PIECE) {
      const end = from + PIECE >= recording.length;
      Object.assign(sequence, { start: from === 0, end });
      const { speech, start_sample } = await ask(recording.subarray(from, from + PIECE), sequence);
      assert.equal(start_sample!.data[0], BigInt(512 * found.length));
      found.push(...(speech!.data as Float32Array));
    }
    assert.equal(found.length, whole.length);
    found.forEach((p, i) => {
      assert.ok(Math.abs(p - whole[i]!) < 1e-4, `window ${i}: ${p} and ${whole[i]}`);
    });
  });

  it('keeps the memories of two sequences apart', async () => {
    const [one, other] = ['a', 'b'].map((id) => ({
      id,
      start: true,
      end: false,
      state: undefined as unknown,
    }));
    const piece = recording.subarray(0, RATE);
    const silence = new Float32Array(RATE);
    const alone = await ask(piece, { id: 'c', start: true, end: false, state: undefined });
    await ask(silence, other!);
    const beside = await ask(piece, one!);
    assert.deepEqual(beside, alone);
  });

  it('refuses samples that are no audio, and the sequence is as it was before', async () => {
    const sequence = { id: 'a', start: true, end: false, state: undefined as unknown };
    await ask(recording.subarray(0, RATE), sequence);
    const before = sequence.state;
    const refused = async (sample: number, message: RegExp) => {
      const samples = recording.slice(0, 1000);
      samples[700] = sample;
      const error = await ask(samples, sequence).catch((e: unknown) => e);
      assert.ok(error instanceof RequestError);
      assert.match(error.message, message);
      assert.equal(sequence.state, before);
    };
    await refused(Number.NaN, /^input 'audio', sample 700: found NaN, expected −1 to 1$/);
    await refused(12_000, /found 12000/);
  });

  it('ends a run whose caller has gone, and the sequence is as it was before', async () => {
    const sequence = { id: 'a', start: true, end: false, state: undefined as unknown };
    const [answer] = await model.code.execute!([
      { ...requestOf(audio(recording)), signal: AbortSignal.abort(), sequence },
    ]);
    assert.ok(answer instanceof Error);
    assert.equal(sequence.state, undefined);
  });

  it('answers no audio with no windows', async () => {
    assert.deepEqual([...(await speechIn(new Float32Array(0)))], []);
  });
});
