import assert from 'node:assert/strict';
import { join } from 'node:path';
import { open } from '../../../services/filetype/model.js';
import { requireModels } from '../../kit/service/made-models.js';
import { type OpenedModel, openModel, requestOf } from '../../kit/service/model-context.js';
import { sampleFiles } from '../../kit/service/sample-files.js';

const PROMISED = 0.99;
const LEAST_KINDS = 10;

const bytes = (content: Uint8Array | string) => {
  const data = Uint8Array.from(Buffer.from(content));
  return { datatype: 'UINT8', dims: [data.length], data } as const;
};

describe('the model filetype', () => {
  let model: OpenedModel;

  before(async function () {
    model = await openModel(open, join(requireModels(this, 'filetype'), 'filetype/1'));
  });
  after(() => model?.close());

  const labelOf = async (content: Uint8Array | string) => {
    const { label, mime_type: type, score } = await model.ask({ content: bytes(content) });
    return [label!.data[0], type!.data[0], score!.data[0]];
  };

  it(`tells the kind of ${100 * PROMISED} % of files`, async function () {
    const files = sampleFiles();
    const kinds = new Set(files.map(({ kind }) => kind));
    assert.ok(kinds.size >= LEAST_KINDS);
    const wrong: string[] = [];
    for (const { kind, name, content } of files) {
      const [label] = await labelOf(content);
      if (label !== kind) wrong.push(`${name}: ${label}`);
    }
    const share = 1 - wrong.length / files.length;
    const told = `${(100 * share).toFixed(1)} % of ${files.length} files of ${kinds.size} kinds`;
    this.test!.title += ` (${told})`;
    assert.ok(share >= PROMISED, `${told}; wrong: ${wrong.join(', ')}`);
  });

  it('answers requests in one run as it does each alone, those of few bytes among them', async () => {
    const contents = [
      ...sampleFiles()
        .filter((_, i) => i % 17 === 0)
        .map(({ content }) => content),
    ];
    contents.splice(2, 0, Buffer.from(''), Buffer.from('a b'));
    const answers = await model.code.execute!(
      contents.map((content) => requestOf({ content: bytes(content) })),
    );
    for (const [i, content] of contents.entries()) {
      const together = answers[i]!;
      if (together instanceof Error) throw together;
      const alone = await model.ask({ content: bytes(content) });
      assert.deepEqual(together.outputs['label'], alone['label']);
      const far = [...(alone['probabilities']!.data as Float32Array)].map((p, c) =>
        Math.abs(p - (together.outputs['probabilities']!.data[c] as number)),
      );
      assert.ok(Math.max(...far) < 1e-4);
    }
  });

  it('does not ask the network about files of nothing, of few bytes, or of white space', async () => {
    assert.deepEqual(await labelOf(''), ['empty', 'inode/x-empty', 1]);
    assert.deepEqual(await labelOf('hello'), ['txt', 'text/plain', 1]);
    assert.deepEqual(await labelOf(Uint8Array.of(0, 0xff, 1)), ['unknown', 'application/octet-stream', 1]);
    assert.deepEqual(await labelOf(' \n'.repeat(4000)), ['txt', 'text/plain', 1]);
  });
});
