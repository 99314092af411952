/** `outrider init` and `outrider golden` as commands, on tiny models of every kind. */
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { cpSync, existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { parseCard } from '../../../services/model-server/models/card.js';
import { EFFORT } from '../../kit/mocha/effort.js';
import {
  DIGITS_MODELS,
  type Outcome,
  outcomeOf,
  REPOSITORY,
  Scratch,
  startOutrider,
} from '../../kit/process/outrider.js';
import { SEVEN } from '../../kit/process/suite-mesh.js';
import {
  arithmeticModel,
  type ElementType,
  identityModel,
  lookupModel,
  memoryHogModel,
  mixingModel,
  unknownOperatorModel,
  windowModel,
} from '../../kit/service/tiny-models.js';

describe('outrider init', function () {
  this.timeout(60_000);
  let scratch: Scratch;
  beforeEach(() => {
    scratch = new Scratch();
  });
  afterEach(() => scratch.remove());

  const run = (...args: string[]): Promise<Outcome> => outcomeOf(startOutrider(args, {}, scratch.path));
  const init = (bytes: Uint8Array, ...more: string[]): Promise<Outcome> => {
    scratch.write('given.onnx', bytes);
    return run('init', 'mine', '--model', 'given.onnx', ...more);
  };
  const cardText = (): string => readFileSync(join(scratch.path, 'models/mine/1/model.yaml'), 'utf8');
  /** What the refused command said, once it is sure that it left nothing. */
  const refusal = async ({ code, stderr, stdout }: Outcome): Promise<string> => {
    assert.equal(code, 1, stdout);
    assert.ok(!existsSync(join(scratch.path, 'mine.yaml')));
    const models = join(scratch.path, 'models');
    assert.deepEqual(existsSync(models) ? readdirSync(models) : [], []);
    return stderr;
  };

  it('writes the model, its card and a valid mesh file, and says what to type next', async () => {
    const { code, stdout, stderr } = await init(arithmeticModel());
    assert.deepEqual([code, stderr], [0, '']);
    const card = parseCard(cardText());
    assert.deepEqual(card.golden.inputs['a']!.shape, [1, 2]);
    assert.equal(card.golden.outputs['sum']!.values.length, 2);
    assert.match(card.sha256!, /^[0-9a-f]{64}$/);
    assert.match(cardText(), /^# input {2}a FP32 \[rows,2\]$/m);
    assert.deepEqual(readFileSync(join(scratch.path, 'models/mine/1/model.onnx')), arithmeticModel());
    assert.match(stdout, /^ {2}node \S+main\.js up mine\.yaml$/m);
    assert.match(
      stdout,
      /node \S+main\.js infer mine --input 'a=\[\[[\d.,]+\]\]' --input 'b=\S+' --target 127\.0\.0\.1:\d+\n/,
    );
    assert.match((await run('validate', 'mine.yaml')).stdout, /^ok mine\.yaml$/m);
  });

  it('says in JSON what it wrote and what comes next', async () => {
    const { code, stdout } = await init(arithmeticModel(), '--json');
    assert.equal(code, 0);
    const { found, inputs, call, admin, next, ...files } = JSON.parse(stdout);
    assert.deepEqual(files, {
      model: 'models/mine/1/model.onnx',
      card: 'models/mine/1/model.yaml',
      mesh: 'mine.yaml',
    });
    assert.deepEqual([found.length > 0, inputs.length, next.length], [true, 2, 2]);
    assert.match(`${call} ${admin}`, /^127\.0\.0\.1:\d+ 127\.0\.0\.1:\d+$/);
    const served = await run('serve', '--models', 'models', '--golden', '--json');
    const [golden] = served.stdout.split('\n').map((line) => (line === '' ? undefined : JSON.parse(line)));
    assert.deepEqual(
      [golden.model, golden.version, Object.keys(golden.golden.inputs)],
      ['mine', '1', ['a', 'b']],
    );
  });

  it('gives the same golden block for the same file', async () => {
    const blocks: string[] = [];
    for (const dir of ['a', 'b']) {
      await init(lookupModel(), '--dir', dir);
      blocks.push(readFileSync(join(scratch.path, dir, 'mine/1/model.yaml'), 'utf8').split('\ngolden:')[1]!);
      scratch.removeFile('mine.yaml');
    }
    assert.equal(blocks[0], blocks[1]);
  });

  it('takes a model of any datatype', async () => {
    const some: ElementType[] = ['FP16', 'INT64', 'BOOL', 'BYTES'];
    const others: ElementType[] = ['FP32', 'FP64', 'INT8', 'UINT8', 'UINT64'];
    const types = EFFORT > 1 ? [...some, ...others] : some;
    for (const type of types) {
      scratch.write(`${type}.onnx`, identityModel(type));
      const { code, stderr } = await run('init', type.toLowerCase(), '--model', `${type}.onnx`);
      assert.deepEqual([code, stderr], [0, ''], type);
    }
    const { stdout } = await run('serve', '--models', 'models', '--golden');
    assert.equal(stdout.match(/^# /gm)?.length, types.length);
  });

  it('finds a size that the model takes, and takes the one that is said', async () => {
    await init(windowModel());
    assert.deepEqual(parseCard(cardText()).golden.inputs['x']!.shape, [1, 16]);
    scratch.removeFile('mine.yaml');
    await init(windowModel(), '--dir', 'other', '--size', 'width=48');
    const card = readFileSync(join(scratch.path, 'other/mine/1/model.yaml'), 'utf8');
    assert.deepEqual(parseCard(card).golden.inputs['x']!.shape, [1, 48]);
  });

  it('keeps integers below the end of a table that they index', async () => {
    const { code, stderr } = await init(lookupModel());
    assert.deepEqual([code, stderr], [0, '']);
  });

  it('turns batching off where rows see each other', async () => {
    await init(mixingModel());
    assert.equal(parseCard(cardText()).batching, undefined);
    assert.match(cardText(), /^# batching off: batching: output 'y', element \d/m);
  });

  it('refuses labels that fit no output', async () => {
    const { stderr } = await init(arithmeticModel(), '--labels', 'one,two,three');
    assert.match(
      stderr,
      /--labels: found 3 names, expected as many as the last dimension of an output: sum FP32 \[rows,2\]/,
    );
  });

  it('puts a further version beside the others, and leaves the mesh file as it is', async () => {
    await init(arithmeticModel());
    const mesh = readFileSync(join(scratch.path, 'mine.yaml'), 'utf8');
    const again = await init(arithmeticModel());
    assert.match(again.stderr, /models\/mine exists already; .*; `--version 2` adds a version beside it\n$/);
    const { code, stdout, stderr } = await init(arithmeticModel(), '--version', '2');
    assert.deepEqual([code, stderr], [0, '']);
    assert.match(stdout, /^wrote models\/mine\/2\/model\.onnx and models\/mine\/2\/model\.yaml$/m);
    assert.match(
      stdout,
      /main\.js golden models\/mine\/2 --input 'a=.*\n.*rollout mine --model mine --version 2$/m,
    );
    assert.equal(readFileSync(join(scratch.path, 'mine.yaml'), 'utf8'), mesh);
    assert.match((await init(arithmeticModel(), '--version', '2')).stderr, /models\/mine\/2 exists already/);
    assert.equal((await init(arithmeticModel(), '--version', 'two')).code, 2);
    assert.deepEqual(readdirSync(join(scratch.path, 'models/mine')), ['1', '2']);
  });

  it('gives two models of a folder ports of their own', async () => {
    const calls: string[] = [];
    for (const name of ['one', 'two']) {
      scratch.write('given.onnx', arithmeticModel());
      const { stdout } = await run('init', name, '--model', 'given.onnx', '--json');
      const { call, admin, next } = JSON.parse(stdout);
      assert.ok(next[1].endsWith(` --target ${call}`) && next[1].includes(` infer ${name} `), next[1]);
      calls.push(call, admin);
    }
    assert.equal(new Set(calls).size, 4, calls.join(' '));
  });

  it('refuses what is there already, and leaves it as it is', async () => {
    scratch.write('mine.yaml', 'kept');
    assert.match(
      (await init(arithmeticModel())).stderr,
      /^outrider: mine\.yaml exists already; it is left as it is\n$/,
    );
    assert.equal(readFileSync(join(scratch.path, 'mine.yaml'), 'utf8'), 'kept');
    scratch.removeFile('mine.yaml');
    mkdirSync(join(scratch.path, 'models/mine'), { recursive: true });
    assert.match((await init(arithmeticModel())).stderr, /models\/mine exists already/);
    assert.ok(!existsSync(join(scratch.path, 'mine.yaml')));
  });

  it('refuses a file that is not ONNX, or is missing, and leaves nothing', async () => {
    const noModel = await refusal(await init(Buffer.from('no model')));
    assert.match(
      noModel,
      /^outrider: given\.onnx: it is not an ONNX file, or it is cut off \(.*protobuf.*\)\n$/i,
    );
    assert.match(
      await refusal(await run('init', 'mine', '--model', 'gone.onnx')),
      /gone\.onnx does not exist/,
    );
  });

  it('refuses BF16 with the reason, and an unknown operator with the words of the runtime', async () => {
    assert.match(
      await refusal(await init(identityModel('BF16'))),
      /given\.onnx: it has BF16 inputs or outputs, for which/,
    );
    assert.match(await refusal(await init(unknownOperatorModel())), /it uses an operator .*NoSuchOperator/);
  });

  it('says what a model answers that no made input suits', async () => {
    const text = await refusal(await init(memoryHogModel(), '--size', 'none=1'));
    assert.match(text, /--size: found 'none', expected none: no dimension has a name/);
  });

  it('refuses a name that no service can have, and a size that is none', async () => {
    for (const [args, says] of [
      [['init', 'My Model', '--model', 'a.onnx'], /NAME: found 'My Model', expected lower-case letters/],
      [['init', 'a', '--model', 'given.onnx', '--size', 'n=x'], /--size: found 'n=x', expected NAME=N/],
    ] as const) {
      scratch.write('given.onnx', arithmeticModel());
      const { code, stderr } = await run(...args);
      assert.equal(code, 2);
      assert.match(stderr, says);
    }
  });
});

describe('outrider golden', function () {
  this.timeout(60_000);
  let scratch: Scratch;
  let file: string;
  beforeEach(() => {
    scratch = new Scratch();
    file = join(scratch.path, 'models/digits/1/model.yaml');
    scratch.copy(DIGITS_MODELS, 'models');
  });
  afterEach(() => scratch.remove());

  const golden = (...args: string[]): Promise<Outcome> =>
    outcomeOf(startOutrider(['golden', ...args], {}, scratch.path));

  it('writes a real input and its answer in place of the block, keeps the rest, and says the answer', async () => {
    const before = readFileSync(file, 'utf8');
    const { code, stdout, stderr } = await golden('models/digits', '--input', `@${SEVEN}`);
    assert.deepEqual([code, stderr], [0, '']);
    assert.match(
      stdout,
      /^7 {2}\(\d+\.\d %\)\nwrote the block golden of models\/digits\/1\/model\.yaml: is that answer right\?\n$/,
    );
    const after = readFileSync(file, 'utf8');
    const headOf = (text: string): string => text.slice(0, text.indexOf('golden:'));
    assert.equal(headOf(after), headOf(before));
    const probabilities = parseCard(after).golden.outputs['probabilities']!.values.map(Number);
    assert.equal(probabilities.indexOf(Math.max(...probabilities)), 7);
  });

  it('takes another model.onnx with its sum, after which a server serves it', async () => {
    const onnx = join(scratch.path, 'models/digits/1/model.onnx');
    cpSync(join(REPOSITORY, 'services/digits/lite/models/digits/1/model.onnx'), onnx);
    const served = await outcomeOf(
      startOutrider(['serve', '--models', 'models', '--golden'], {}, scratch.path),
    );
    assert.match(
      served.stderr,
      /model\.onnx has sha256 \w+, expected \w+ of model\.yaml: .*`outrider golden`/,
    );
    const { code, stdout } = await golden('models/digits', '--input', `@${SEVEN}`);
    assert.equal(code, 0);
    assert.match(stdout, /model\.onnx is another file .*\nwrote the block golden and sha256 of models/);
    const { sha256 } = parseCard(readFileSync(file, 'utf8'));
    assert.equal(sha256, createHash('sha256').update(readFileSync(onnx)).digest('hex'));
    const again = await golden('models/digits', '--input', `@${SEVEN}`);
    assert.match(again.stdout, /\nwrote the block golden of/);
  });

  it('says the answer in JSON', async () => {
    const { code, stdout } = await golden('models/digits', '--input', `@${SEVEN}`, '--json');
    assert.equal(code, 0);
    const { file: path, model, outputs } = JSON.parse(stdout);
    assert.deepEqual(
      [path, model, outputs[0].name],
      ['models/digits/1/model.yaml', 'digits', 'probabilities'],
    );
  });

  it('makes a card servable that has no golden block yet', async () => {
    writeFileSync(file, '# mine\nlabels: ["0", "1", "2", "3", "4", "5", "6", "7", "8", "9"]\n');
    const { code } = await golden(
      'models/digits/1',
      '--input',
      `pixels=${JSON.stringify(new Array(784).fill(0))}`,
    );
    assert.equal(code, 0);
    assert.equal(parseCard(readFileSync(file, 'utf8')).golden.inputs['pixels']!.values.length, 784);
    assert.match(readFileSync(file, 'utf8'), /^# mine\n/);
  });

  it('changes nothing for an input that is wrong, and says which one, what was found and what was expected', async () => {
    const before = readFileSync(file, 'utf8');
    const wrong = await golden('models/digits', '--input', 'pixels=[1,2,3]');
    assert.equal(wrong.code, 2);
    assert.match(wrong.stderr, /input 'pixels': found 3 values in shape \[3\], expected shape \[-1,784\]/);
    const unknown = await golden('models/digits', '--input', 'x=1');
    assert.match(unknown.stderr, /found input 'x', expected pixels/);
    assert.match(
      (await golden('models/none', '--input', 'x=1')).stderr,
      /models\/none: found no model\.yaml, expected/,
    );
    assert.equal(readFileSync(file, 'utf8'), before);
  });

  it('renews the block of a model in code, whose optional inputs may be left out', async () => {
    scratch.copy(join(REPOSITORY, 'services/tokens/models'), 'code');
    const card = join(scratch.path, 'code/tokens/1/model.yaml');
    const code = join(REPOSITORY, 'dist/services/tokens/tokens.js');
    const before = readFileSync(card, 'utf8').replace(/^code: .*$/m, `code: ${code}`);
    writeFileSync(card, before.slice(0, before.indexOf('golden:')));
    const { code: exit, stderr } = await golden(
      'code/tokens',
      '--input',
      'prompt=Call me ',
      '--input',
      'max_tokens=5',
    );
    assert.deepEqual([exit, stderr], [0, '']);
    const renewed = parseCard(readFileSync(card, 'utf8')).golden;
    assert.deepEqual(Object.keys(renewed.inputs), ['prompt', 'max_tokens']);
    assert.equal(renewed.outputs['token']!.values.length, 5);
  });
});
