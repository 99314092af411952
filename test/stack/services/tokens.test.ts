import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { parse } from 'yaml';
import { SourceMissing } from '../../../services/fetch/packages.js';
import type { ModelAnswer, ModelCode } from '../../../services/model-server/code/model-code.js';
import { RequestError } from '../../../services/model-server/code/model-code.js';
import { Network } from '../../../services/tokens/network.js';
import { open } from '../../../services/tokens/tokens.js';
import { alone, requestFor, textOf } from '../../../services/tokens/training/alone.js';
import { readBook } from '../../../services/tokens/training/book.js';
import { bitsPerByte } from '../../../services/tokens/training/evaluate.js';
import { bitsPerByteOfNgrams } from '../../../services/tokens/training/ngrams.js';
import type { Prose } from '../../../services/tokens/training/prose.js';
import { Vocabulary } from '../../../services/tokens/vocabulary.js';
import { packageRoot } from '../../kit/process/package-root.js';

const directory = join(packageRoot, 'services/tokens/models/tokens/1');
const card = parse(readFileSync(join(directory, 'model.yaml'), 'utf8'));
const vocabulary = new Vocabulary(Buffer.from(card.settings.vocabulary, 'hex'));

const outputsOf = (answer: ModelAnswer | Error | undefined) => {
  assert.ok(answer !== undefined && !(answer instanceof Error), String(answer));
  return answer.outputs;
};

describe('tokens, over its ONNX file', () => {
  const { context, close } = alone(directory, card.settings);
  let runs = 0;
  let model: ModelCode;
  const write = async (...requests: ReturnType<typeof requestFor>[]) => model.execute!(requests);

  before(async () => {
    const session = async (file: string) => {
      const opened = await context.session(file);
      const run: typeof opened.run = (given) => {
        runs++;
        return opened.run(given);
      };
      return { ...opened, run };
    };
    model = await open({ ...context, session });
  });
  beforeEach(() => {
    runs = 0;
  });
  after(close);

  it('writes the golden text of its card', async () => {
    const { inputs, outputs } = card.golden;
    const asked = {
      prompt: inputs.prompt.values[0],
      maxTokens: inputs.max_tokens.values[0],
      seed: BigInt(inputs.seed.values[0]),
      temperature: inputs.temperature.values[0],
    };
    const [answer] = await write(requestFor(asked));
    const found = outputsOf(answer);
    assert.deepEqual(found['token']!.data, outputs.token.values);
    assert.deepEqual(
      found['index']!.data,
      Int32Array.from(outputs.token.values, (_, i) => i),
    );
  });

  it('streams one character an answer, the first one after a run for each byte of the prompt', async () => {
    const asked = { prompt: 'Call me ', maxTokens: 40, seed: 5n };
    const answers = model.stream!(requestFor(asked));
    const characters: string[] = [];
    for (let next = await answers.next(); !next.done; next = await answers.next()) {
      const { token, index } = next.value.outputs;
      assert.deepEqual([token!.dims, index!.dims, [...index!.data]], [[1], [1], [characters.length]]);
      characters.push((token!.data as string[])[0]!);
      if (characters.length === 1) assert.equal(runs, Buffer.byteLength(asked.prompt));
    }
    assert.equal(characters.length, 40);
    assert.equal(characters.join(''), textOf(outputsOf((await write(requestFor(asked)))[0])));
  });

  it('writes the same text alone and beside others, and another one with another seed', async () => {
    const requests = Array.from({ length: 5 }, (_, i) =>
      requestFor({ prompt: 'x'.repeat(i), maxTokens: 30 + 10 * i, seed: BigInt(i % 4) }),
    );
    const together = (await write(...requests)).map((answer) => textOf(outputsOf(answer)));
    for (const [i, request] of requests.entries())
      assert.equal(textOf(outputsOf((await write(request))[0])), together[i]);
    assert.equal(new Set(together.map((text) => text.slice(0, 30))).size, 5);
  });

  it('writes characters of several bytes whole, in text that is well-formed', async () => {
    const prompt = 'said Ahab.\n\n“Aye, aye!” cried Stubb, “';
    const [answer] = await write(requestFor({ prompt, maxTokens: 2000, seed: 2n, temperature: 1 }));
    const characters = outputsOf(answer)['token']!.data as string[];
    assert.ok(characters.every((character) => [...character].length === 1 && character !== '\ufffd'));
    assert.ok(characters.some((character) => Buffer.byteLength(character) === 3));
  });

  it('stops a stream at the signal: no run after it', async () => {
    const controller = new AbortController();
    const answers = model.stream!(requestFor({ prompt: 'a', maxTokens: 4096, signal: controller.signal }));
    for (let i = 0; i < 10; i++) await answers.next();
    const before = runs;
    controller.abort();
    await assert.rejects(() => answers.next(), { name: 'AbortError' });
    assert.equal(runs, before);
    assert.equal((await answers.next()).done, true);
  });

  it('leaves out of a run whose caller has gone, notices it within 64 steps, and finishes the others', async () => {
    const controller = new AbortController();
    const gone = requestFor({ prompt: 'a', maxTokens: 4096, signal: controller.signal });
    setImmediate(() => controller.abort());
    const [first, second] = await write(gone, requestFor({ prompt: 'a', maxTokens: 100 }));
    assert.match(String(first), /abandoned after \d+ characters: its caller has gone/);
    assert.equal(outputsOf(second)['token']!.data.length, 100);
    assert.ok(runs < 200, String(runs));
  });

  for (const [what, asked, message] of [
    ['a long prompt', { prompt: '—'.repeat(342) }, /'prompt': found 1026 bytes, expected 1024 at most/],
    ['no token', { prompt: '', maxTokens: 0 }, /'max_tokens': found 0, expected 1 to 4096/],
    ['many tokens', { prompt: '', maxTokens: 4097 }, /'max_tokens': found 4097, expected 1 to 4096/],
    ['a cold temperature', { prompt: '', temperature: -1 }, /'temperature': found -1, expected 0 to 5/],
    ['no temperature', { prompt: '', temperature: Number.NaN }, /'temperature': found NaN, expected 0 to 5/],
  ] as const) {
    it(`refuses ${what}, in a stream too, and answers what else is in the run`, async () => {
      const [bad, good] = await write(requestFor(asked), requestFor({ prompt: 'b', maxTokens: 3 }));
      assert.ok(bad instanceof RequestError, String(bad));
      assert.match(bad.message, message);
      assert.equal(outputsOf(good)['token']!.data.length, 3);
      await assert.rejects(() => model.stream!(requestFor(asked)).next(), message);
    });
  }

  it('takes the smallest and the largest of each input, and bytes that it does not know', async () => {
    const prompt = 'ж🐋'.repeat(170);
    for (const seed of [-(2n ** 63n), 2n ** 63n - 1n]) {
      const [answer] = await write(requestFor({ prompt, maxTokens: 1, seed, temperature: 5 }));
      assert.equal(outputsOf(answer)['token']!.data.length, 1);
    }
    const [long] = await write(requestFor({ prompt: '', maxTokens: 4096, temperature: 0 }));
    assert.equal(outputsOf(long)['token']!.data.length, 4096);
  });

  it('opens only with the vocabulary that belongs to its network', async () => {
    const openWith = (settings: Record<string, unknown>) => open({ ...context, settings });
    await assert.rejects(() => openWith({}), /settings\.vocabulary: expected bytes in lower-case hex/);
    await assert.rejects(
      () => openWith({ vocabulary: '6162' }),
      /settings\.vocabulary: found 2 bytes, expected 85 for this model\.onnx/,
    );
  });
});

describe('tokens, on the held-out chapters', function () {
  this.timeout(120_000);
  let prose: Prose;

  before(async function () {
    try {
      prose = await readBook(join(packageRoot, '.cache/packages'));
    } catch (error) {
      if (!(error instanceof SourceMissing)) throw error;
      process.stderr.write(`\nSKIPPING TESTS: ${error.message}\n`);
      this.skip();
    }
  });

  it('needs less than 2.2 bits a byte, and less than counted bigrams and trigrams do', async () => {
    const { context, close } = alone(directory, {});
    const network = new Network(await context.session('model.onnx'));
    const bits = await bitsPerByte(network, vocabulary.encode(prose.heldOut));
    await close();
    const counted = [1, 2].map((length) =>
      bitsPerByteOfNgrams(Buffer.from(prose.training), Buffer.from(prose.heldOut), length),
    );
    assert.ok(bits < 2.2, String(bits));
    assert.ok(bits < Math.min(...counted), `${bits}; ${counted.join(' ')}`);
  });

  it('knows every byte of the training text, and no other', () => {
    assert.deepEqual([...vocabulary.bytes], [...Vocabulary.of(prose.training).bytes]);
  });
});
