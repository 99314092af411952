import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { status } from '@grpc/grpc-js';
import type { ModelInferRequest } from '../../../proto/messages.js';
import { encodeRaw } from '../../../proto/tensors.js';
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
import { failure, type Harness, startHarness } from '../../kit/service/model-server.js';
import { seeded } from '../../kit/time/seeded-random.js';

type Parameters = NonNullable<ModelInferRequest['parameters']>;

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

describe('the model vad in a model server', () => {
  let harness: Harness;
  let recording: Float32Array;

  before(async function () {
    const files = await requirePackage(this, SPEECH);
    recording = decodeWav(readFileSync(files.get(RECORDING)!)).samples;
    harness = await startHarness(requireModels(this, 'vad'));
  });
  after(() => harness?.stop());

  /** Probabilities for a piece; `sequence`: request parameters, none for a whole recording. */
  async function speechIn(samples: Float32Array, sequence: Parameters = {}): Promise<Float32Array> {
    const raw = encodeRaw({ datatype: 'FP32', dims: [samples.length], data: samples });
    const response = await harness.client.infer({
      model_name: 'vad',
      parameters: sequence,
      inputs: [{ name: 'audio', datatype: 'FP32', shape: [samples.length] }],
      raw_input_contents: [raw],
    });
    const bytes = Uint8Array.from(response.raw_output_contents[0]!);
    return new Float32Array(bytes.buffer);
  }

  const piece = (id: string, flags: { start?: boolean; end?: boolean } = {}): Parameters => ({
    sequence_id: { string_param: id },
    sequence_start: { bool_param: flags.start ?? false },
    sequence_end: { bool_param: flags.end ?? false },
  });

  it('is served, for its golden output is what it gives', () => {
    assert.match(harness.log.join('\n'), /^vad version 6: ready in \d+ ms, golden input matched$/);
  });

  it('keeps two recordings apart that come in turn, piece by piece', async () => {
    const whole = await speechIn(recording);
    const found: Record<string, number[]> = { one: [], other: [] };
    for (let from = 0; from < recording.length; from += RATE) {
      const flags = { start: from === 0, end: from + RATE >= recording.length };
      const samples = recording.subarray(from, from + RATE);
      found['one']!.push(...(await speechIn(samples, piece('one', flags))));
      found['other']!.push(
        ...(await speechIn(
          samples.map((s) => s / 4),
          piece('other', flags),
        )),
      );
    }
    assert.equal(found['one']!.length, whole.length);
    found['one']!.forEach((p, i) => {
      assert.ok(Math.abs(p - whole[i]!) < 1e-4, `window ${i}: ${p} and ${whole[i]}`);
    });
    assert.notDeepEqual(found['one'], found['other']);
  });

  it('refuses a piece of a recording whose beginning it has not heard', async () => {
    const { code, details } = await failure(speechIn(recording.subarray(0, RATE), piece('unknown')));
    assert.equal(code, status.FAILED_PRECONDITION);
    assert.match(details, /sequence 'unknown' is not known/);
  });

  it('goes on with a recording after a piece that is no audio', async () => {
    const [first, second] = [recording.subarray(0, RATE), recording.subarray(RATE, 2 * RATE)];
    const undisturbed = [
      ...(await speechIn(first, piece('a', { start: true }))),
      ...(await speechIn(second, piece('a'))),
    ];
    const before = [...(await speechIn(first, piece('b', { start: true })))];
    const refused = await failure(speechIn(Float32Array.of(0, Number.NaN), piece('b')));
    assert.equal(refused.code, status.INVALID_ARGUMENT);
    assert.match(refused.details, /sample 1: found NaN/);
    assert.deepEqual([...before, ...(await speechIn(second, piece('b')))], undisturbed);
  });
});
