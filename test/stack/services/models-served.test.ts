/** The models that `npm run models` makes, asked as a client asks them: through the real server and a stock gRPC client. */
import assert from 'node:assert/strict';
import { gzipSync } from 'node:zlib';
import { protocols } from '../../../proto/load.js';
import type { ModelInferResponse } from '../../../proto/messages.js';
import { PARAPHRASES } from '../../../services/embed/samples.js';
import { SAMPLES } from '../../../services/langid/samples.js';
import { requireModels } from '../../kit/service/made-models.js';
import { type Harness, startHarness } from '../../kit/service/model-server.js';
import { seeded } from '../../kit/time/seeded-random.js';

const { inference } = protocols();

/** A server over one model, for the tests of one describe block. */
function serving(name: string): { readonly harness: () => Harness } {
  let harness: Harness;
  before(async function () {
    harness = await startHarness(requireModels(this, name));
    assert.ok(
      harness.log.some((line) => line.includes('golden input matched')),
      harness.log.join('\n'),
    );
  });
  after(() => harness?.stop());
  return { harness: () => harness };
}

const textInput = (model: string, ...texts: readonly string[]) => ({
  model_name: model,
  inputs: [
    {
      name: 'text',
      datatype: 'BYTES',
      shape: [texts.length],
      contents: { bytes_contents: texts.map((text) => Buffer.from(text)) },
    },
  ],
});

const rawOf = (answer: ModelInferResponse, name: string): Buffer => {
  const at = answer.outputs!.findIndex((output) => output.name === name);
  return Buffer.from(answer.raw_output_contents[at]!);
};
const floatsOf = (answer: ModelInferResponse, name: string): Float32Array =>
  new Float32Array(new Uint8Array(rawOf(answer, name)).buffer);
/** The first text of a BYTES output: four bytes of length, then the text. */
const firstText = (answer: ModelInferResponse, name: string): string => {
  const raw = rawOf(answer, name);
  return raw.toString('utf8', 4, 4 + raw.readUInt32LE());
};

function noise(bytes: number): Uint8Array {
  const random = seeded(3);
  return Uint8Array.from({ length: bytes }, () => random() * 256);
}

describe('langid, served', () => {
  const { harness } = serving('langid');

  it('puts single texts of many callers into few runs, and answers each as it is', async () => {
    const { client } = harness();
    const alone = new Map<string, number>();
    for (const [, text] of SAMPLES.slice(0, 32))
      alone.set(text, floatsOf(await client.infer(textInput('langid', text)), 'probabilities')[0]!);
    const counts = async () =>
      (await client.call(inference.ModelStatistics, { name: 'langid' })).model_stats[0]!;
    const before = await counts();
    const texts = [...alone.keys()].flatMap((text) => [text, text, text, text]);
    const answers = await Promise.all(texts.map((text) => client.infer(textInput('langid', text))));
    answers.forEach((answer, i) => {
      assert.ok(Math.abs(floatsOf(answer, 'probabilities')[0]! - alone.get(texts[i]!)!) < 1e-5);
    });
    const after = await counts();
    const runs = Number(after.execution_count) - Number(before.execution_count);
    assert.equal(Number(after.inference_count) - Number(before.inference_count), texts.length);
    assert.ok(runs < texts.length / 2, `${runs} runs of ${texts.length} requests`);
  });

  it('tells where it comes from in its metadata', async () => {
    const { properties } = await harness().client.call(inference.ModelMetadata, { name: 'langid' });
    assert.deepEqual([properties!['source'], properties!['licence']], ['npm lande 1.0.10', 'MIT']);
  });
});

describe('embed, served', () => {
  const { harness } = serving('embed');

  it('answers texts of several callers at once as it does one after the other', async () => {
    const { client } = harness();
    const texts = PARAPHRASES.slice(0, 8).flat();
    const together = await Promise.all(texts.map((text) => client.infer(textInput('embed', text))));
    for (const [i, text] of texts.entries()) {
      const one = floatsOf(await client.infer(textInput('embed', text)), 'embedding');
      const other = floatsOf(together[i]!, 'embedding');
      assert.equal(other.length, 384);
      assert.ok(one.every((value, d) => Math.abs(value - other[d]!) < 1e-4));
    }
  });

  it('says that a text was longer than it reads', async () => {
    const answer = await harness().client.infer(textInput('embed', 'word '.repeat(300)));
    assert.equal(String(answer.parameters?.['truncated']?.int64_param), '1');
  });
});

describe('filetype, served', () => {
  const { harness } = serving('filetype');

  it('tells the kind of a file of five megabytes, sent as raw bytes', async () => {
    const content = gzipSync(noise(5 << 20), { level: 1 });
    const answer = await harness().client.infer({
      model_name: 'filetype',
      inputs: [{ name: 'content', datatype: 'UINT8', shape: [content.length] }],
      raw_input_contents: [content],
    });
    assert.equal(answer.outputs!.find(({ name }) => name === 'probabilities')!.shape.join(), '1,214');
    assert.equal(firstText(answer, 'label'), 'gzip');
  });

  it('tells its own source as what it is', async () => {
    const content = Buffer.from(
      'export const a: number = 1;\nimport { b } from "./b.js";\ninterface C { d: string }\n',
    );
    const answer = await harness().client.infer({
      model_name: 'filetype',
      inputs: [{ name: 'content', datatype: 'UINT8', shape: [content.length] }],
      raw_input_contents: [content],
    });
    assert.equal(firstText(answer, 'label'), 'typescript');
    assert.equal(firstText(answer, 'mime_type'), 'application/typescript');
  });
});
