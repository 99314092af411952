import assert from 'node:assert/strict';
import { rmSync } from 'node:fs';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { Metadata, Server, ServerCredentials, type ServiceDefinition, status } from '@grpc/grpc-js';
import { PNG } from 'pngjs';
import { protocols } from '../../../../proto/load.js';
import { heldOut } from '../../../../services/digits/dataset.js';
import { renderDigit } from '../../../../services/digits/render.js';
import { type InferOptions, inferCommand } from '../../../../sidecar/cli/infer/infer.js';
import { afterTest } from '../../../kit/mocha/after-test.js';
import { runs } from '../../../kit/mocha/effort.js';
import { scratchForTest } from '../../../kit/mocha/scratch.js';
import { packageRoot } from '../../../kit/process/package-root.js';
import { type Harness, startHarness, temporaryDirectory } from '../../../kit/service/model-server.js';
import {
  arithmeticModel,
  type ElementType,
  identityModel,
  putLoopModel,
  putModel,
} from '../../../kit/service/tiny-models.js';

async function run(options: Partial<InferOptions> & Pick<InferOptions, 'model' | 'inputs'>) {
  let [out, err] = ['', ''];
  const code = await inferCommand({
    stdin: (async function* () {})(),
    stdout: { write: (text: string) => (out += text) },
    stderr: { write: (text: string) => (err += text) },
    ...options,
  });
  return { code, out, err };
}

/** An .npy file, version 1. */
function npy(descr: string, shape: string, data: Uint8Array): Buffer {
  const header = `{'descr': '${descr}', 'fortran_order': False, 'shape': (${shape}), }\n`;
  const prefix = Buffer.from([0x93, ...Buffer.from('NUMPY'), 1, 0, header.length, 0]);
  return Buffer.concat([prefix, Buffer.from(header), data]);
}

/** A WAV file of one channel. */
function wav(samples: Int16Array, rate: number): Buffer {
  const header = Buffer.alloc(44);
  header.write('RIFF', 0, 'latin1');
  header.writeUInt32LE(36 + samples.byteLength, 4);
  header.write('WAVEfmt ', 8, 'latin1');
  header.writeUInt32LE(16, 16);
  header.writeUInt16LE(1, 20);
  header.writeUInt16LE(1, 22);
  header.writeUInt32LE(rate, 24);
  header.writeUInt32LE(2 * rate, 28);
  header.writeUInt16LE(2, 32);
  header.writeUInt16LE(16, 34);
  header.write('data', 36, 'latin1');
  header.writeUInt32LE(samples.byteLength, 40);
  return Buffer.concat([header, new Uint8Array(samples.buffer)]);
}

describe('outrider infer with the digits model', () => {
  let harness: Harness;
  const samples = join(packageRoot, 'services/digits/samples');

  before(async () => {
    harness = await startHarness(join(packageRoot, 'services/digits/models'));
  });
  after(() => harness.stop());
  const digits = (inputs: string[], more: Partial<InferOptions> = {}) =>
    run({ model: 'digits', inputs, target: harness.server.target, ...more });

  it('prints the digit and its probability for each sample picture', async () => {
    const names = ['zero', 'one', 'two', 'three', 'four', 'five', 'six', 'seven', 'eight', 'nine'];
    for (const [digit, name] of names.entries()) {
      const { code, out, err } = await digits([`@${samples}/${name}.png`]);
      assert.deepEqual([code, err], [0, '']);
      assert.match(out, new RegExp(`^${digit}  \\(\\d+\\.\\d %\\)\\n$`));
    }
  });

  it('prints JSON for programs', async () => {
    const { code, out } = await digits([`pixels=@${samples}/seven.png`], { json: true });
    assert.equal(code, 0);
    const { model, version, guesses, outputs } = JSON.parse(out);
    assert.deepEqual([model, version, guesses.length, guesses[0].label], ['digits', '1', 1, '7']);
    assert.equal(outputs[0].name, 'probabilities');
    assert.deepEqual(outputs[0].shape, [1, 10]);
    assert.equal(guesses[0].score, Math.max(...outputs[0].data));
  });

  it('takes the picture from standard input, and rows of numbers: one answer for each row', async () => {
    const [first, second] = heldOut();
    const picture = renderDigit(first!, { scale: 2, left: 9, top: 3, right: 3, bottom: 3, ink: 'dark' });
    const piped = await digits(['@-'], {
      stdin: (async function* () {
        yield picture.subarray(0, 100);
        yield picture.subarray(100);
      })(),
    });
    assert.match(piped.out, /^\d {2}\(\d/);
    const rows = [first!, second!].map((d) => [...d.pixels]);
    const { out } = await digits([`pixels=${JSON.stringify(rows)}`]);
    assert.equal(out.trim().split('\n').length, 2);
  });

  it('reads rendered pictures of any size about as well as the data set itself', async () => {
    const scratch = scratchForTest();
    const some = heldOut().slice(0, runs(15));
    let right = 0;
    for (const [i, digit] of some.entries()) {
      const place = { scale: 0.8 + (i % 12), left: i, top: 60 - (i % 60), right: 5, bottom: 17 };
      const picture = renderDigit(digit, { ...place, ink: i % 2 ? 'dark' : 'light' });
      const { out } = await digits([`@${scratch.write('d.png', picture)}`]);
      if (out.startsWith(`${digit.label} `)) right++;
    }
    assert.ok(right >= Math.floor(0.85 * some.length), `${right} of ${some.length}`);
  });

  it('says in one line what is wrong with an input, and exits 2 for the command line, 1 for a file', async () => {
    const scratch = scratchForTest();
    const directory = scratch.path;
    scratch.write('bad.png', Buffer.concat([Buffer.from('\x89PNG\r\n\x1a\n', 'latin1'), Buffer.alloc(40)]));
    scratch.write('bad.npy', npy('>f4', '1, 784', Buffer.alloc(3136)));
    const texts = JSON.stringify(new Array(784).fill('x'));
    const wrong: [string[], number, RegExp][] = [
      [[], 2, /--input is missing for pixels \(FP32 \[-1,784\]\)/],
      [['pixel=1'], 2, /found input 'pixel', expected pixels \(FP32 \[-1,784\]\)/],
      [['pixels'], 2, /expected NAME=VALUE or @FILE/],
      [['pixels=seven'], 2, /found seven, expected JSON/],
      [['pixels=[1,2]'], 2, /found 2 values in shape \[2\], expected shape \[-1,784\]/],
      [['pixels=[[1,2],[3]]'], 2, /rows of different lengths/],
      [['pixels={"a":1}'], 2, /expected numbers, text, true or false/],
      [[`pixels=${texts}`], 2, /FP32 element 0: found x, expected a number/],
      [[`@${directory}/none.png`], 1, /none.png does not exist/],
      [[`@${directory}`], 1, /cannot be read: EISDIR/],
      [[`@${directory}/bad.png`], 1, /bad.png: .*PNG/],
      [[`@${directory}/bad.npy`], 1, /bad.npy: found dtype '>f4', expected FP32/],
    ];
    for (const [inputs, code, says] of wrong) {
      const result = await digits(inputs);
      assert.equal(result.code, code, result.err);
      assert.match(result.err, says);
      assert.match(result.err, /^outrider infer: [^\n]*\n$/);
      assert.equal(result.out, '');
    }
  });

  it('names the status and the reason when the call fails, and what to do when there is no answer', async () => {
    const unknown = await run({ model: 'letters', inputs: [], target: harness.server.target });
    assert.equal(unknown.code, 1);
    assert.equal(
      unknown.err,
      "outrider infer: NOT_FOUND: Request for unknown model: 'letters' is not found; a model has the name of its folder, which need not be that of the service (`outrider check` lists them)\n",
    );
    const version = await digits([], { version: '9' });
    assert.match(version.err, /NOT_FOUND: Request for unknown model: 'digits' version 9[^;]*\n$/);
    const nowhere = await run({ model: 'digits', inputs: [], target: 'unix:/nowhere.sock' });
    assert.equal(nowhere.code, 1);
    const says =
      /UNAVAILABLE: nothing answers at unix:\/nowhere.sock \(ENOENT\): is `outrider up` running\?.*\n$/;
    assert.match(nowhere.err, new RegExp(`^outrider infer: ${says.source}`));
  });

  it('refuses metadata and deadlines that are none', async () => {
    for (const metadata of ['novalue', '=x', 'a b=c', 'key=\u0000']) {
      const { code, err } = await digits([], { metadata: [metadata] });
      assert.equal(code, 2, err);
      assert.match(err, /--metadata/);
    }
    assert.equal((await digits([], { deadlineMs: 0 })).code, 2);
    assert.equal((await digits([], { deadlineMs: Number.NaN })).code, 2);
  });
});

describe('outrider infer with any model', () => {
  let models: string;
  let harness: Harness;

  before(async () => {
    models = temporaryDirectory();
    putLoopModel(models);
    const row = { shape: [1, 2], values: [1, 2] };
    const golden = { inputs: { a: row, b: row }, outputs: { sum: { values: [2, 4] } } };
    putModel(models, 'pair', arithmeticModel(), { golden });
    for (const [name, datatype, value] of [
      ['long', 'INT64', 1],
      ['text', 'BYTES', 't'],
      ['half', 'FP16', 1],
      ['flag', 'BOOL', true],
    ] as const) {
      const golden = { inputs: { x: { shape: [1], values: [value] } }, outputs: { y: { values: [value] } } };
      putModel(models, name, identityModel(datatype), { golden });
    }
    putModel(models, 'broken', Buffer.from('x'), { golden: {} });
    const kinds: readonly [string, ElementType, unknown, object][] = [
      ['bytes', 'UINT8', 1, { input_kind: 'bytes' }],
      ['picture', 'UINT8', 1, { input_kind: 'image/rgb', input_height: 2, input_width: 2 }],
      ['sound', 'FP32', 1, { input_kind: 'audio/16khz', output_kind: 'speech' }],
      ['talk', 'BYTES', 't', { output_kind: 'tokens' }],
    ];
    for (const [name, datatype, value, properties] of kinds) {
      const golden = { inputs: { x: { shape: [1], values: [value] } }, outputs: { y: { values: [value] } } };
      putModel(models, name, identityModel(datatype), { golden, properties });
    }
    putModel(models, 'vectors', arithmeticModel(), { golden, properties: { output_kind: 'embedding' } });
    putModel(models, 'vague', arithmeticModel(), {
      golden,
      labels: ['no', 'yes'],
      properties: { optional_inputs: 'b,c' },
    });
    harness = await startHarness(models);
  });
  after(async () => {
    await harness.stop();
    rmSync(models, { recursive: true });
  });
  const infer = (model: string, inputs: string[], more: Partial<InferOptions> = {}) =>
    run({ model, inputs, target: harness.server.target, ...more });

  it('prints the tensors when there are no labels', async () => {
    const pair = await infer('pair', ['a=[1,2.5]', 'b=[[3,4]]']);
    assert.equal(pair.out, 'sum FP32 [1,2]: 4 6.5\nproduct FP32 [1,2]: 3 10\n');
    assert.equal((await infer('loop', ['n=12'])).out, 'count INT64 []: 12\n');
    assert.equal((await infer('text', ['x=plain words'])).out, 'y BYTES [1]: plain words\n');
    assert.equal((await infer('text', ['x=["a","ü"]'])).out, 'y BYTES [2]: a ü\n');
    assert.equal((await infer('half', ['x=[0.5,65504]'])).out, 'y FP16 [2]: 0.5 65504\n');
    assert.equal((await infer('flag', ['x=[true,false]'])).out, 'y BOOL [2]: 1 0\n');
    const many = await infer('long', [`x=[${new Array(100).fill(1).join()}]`]);
    assert.match(many.out, /… \(36 more; --json prints all\)\n$/);
  });

  it('loses no bit of a 64-bit integer on the way there and back', async () => {
    const { out } = await infer('long', ['x=[9223372036854775807, -9007199254740993, 5]'], { json: true });
    assert.deepEqual(JSON.parse(out).outputs[0].data, ['9223372036854775807', '-9007199254740993', 5]);
  });

  it('reads .npy, raw and JSON files', async () => {
    const scratch = scratchForTest();
    const longs = new Uint8Array(new BigInt64Array([7n, -1n]).buffer);
    const read = (name: string, content: string | Buffer | Uint8Array) =>
      infer('long', [`@${scratch.write(name, content)}`]);
    const whole = npy('<i8', '2,', longs);
    for (const [name, content] of [
      ['x.npy', whole],
      ['x.raw', longs],
      ['x.json', '[7, -1]\n'],
    ] as const)
      assert.equal((await read(name, content)).out, 'y INT64 [2]: 7 -1\n', name);
    assert.match((await read('x.npy', npy('<i8', '3,', longs))).err, /found 16 bytes of data, expected 24/);
    assert.match((await read('x.npy', whole.subarray(0, 9))).err, /the .npy header is cut off/);
  });

  it('takes a scalar, a list of one and a shape for the same input', async () => {
    for (const value of ['5', '[5]', '{"shape":[],"values":[5]}', '{"values":5}'])
      assert.equal((await infer('loop', [`n=${value}`])).out, 'count INT64 []: 5\n', value);
    const shaped = await infer('pair', ['a={"shape":[2,2],"values":[1,2,3,4]}', 'b=[[1,1],[1,1]]']);
    assert.equal(shaped.out, 'sum FP32 [2,2]: 2 3 4 5\nproduct FP32 [2,2]: 1 2 3 4\n');
    const wrong: [string, RegExp][] = [
      ['{"shape":[3,1],"values":[1,2,3]}', /input 'a': found shape \[3,1\], expected \[-1,2\]/],
      ['{"shape":[1,2],"values":[1]}', /input 'a': found 1 values, expected 2 for shape \[1,2\]/],
      ['{"shape":"x","values":[1]}', /input 'a': found shape "x", expected a list of sizes/],
      ['{"size":[1],"values":[1]}', /input 'a': found the key "size", expected shape and values/],
    ];
    for (const [value, says] of wrong) {
      const { code, err } = await infer('pair', [`a=${value}`, 'b=[[1,2]]']);
      assert.equal(code, 2);
      assert.match(err, says);
    }
  });

  it('takes text as it is, also where it looks like JSON', async () => {
    for (const text of ['null', '5.0', '{"a":1}', '[a', 'true'])
      assert.equal((await infer('text', [`x=${text}`])).out, `y BYTES [1]: ${text}\n`);
  });

  it('makes a batch of several inputs of one name, and of the lines of a file', async () => {
    assert.equal((await infer('text', ['x=one two', 'x=three'])).out, 'y BYTES [2]: one two three\n');
    const rows = await infer('pair', ['a=[1,2]', 'a=[3,4]', 'b=[[0,0],[1,1]]']);
    assert.match(rows.out, /^sum FP32 \[2,2\]: 1 2 4 5\n/);
    const scratch = scratchForTest();
    const lines = scratch.write('lines.txt', 'first line\n\nsecond\r\n');
    assert.equal((await infer('text', [`@${lines}`])).out, 'y BYTES [2]: first line second\n');
    const numbers = scratch.write('rows.jsonl', '[1,2]\n[3,4]\n');
    assert.match(
      (await infer('pair', [`a=@${numbers}`, 'b=[[0,0],[0,0]]'])).out,
      /^sum FP32 \[2,2\]: 1 2 3 4\n/,
    );
    const broken = scratch.write('rows.txt', '[1,2]\n[3\n');
    assert.match(
      (await infer('pair', [`a=@${broken}`, 'b=0'])).err,
      /rows\.txt, line 2: found \[3, expected JSON/,
    );
    const one = await infer('loop', ['n=1', 'n=2']);
    assert.equal(one.code, 2);
    assert.match(
      one.err,
      /input 'n': found 2 values, expected one: its shape \[\] has no free first dimension/,
    );
  });

  it('sends the bytes of any file to a model that takes bytes', async () => {
    const file = scratchForTest().write('x.txt', '[1]\n');
    assert.equal((await infer('bytes', [`@${file}`])).out, 'y UINT8 [4]: 91 49 93 10\n');
    assert.equal((await infer('bytes', ['x=[1,2]'])).out, 'y UINT8 [2]: 1 2\n');
  });

  it('sends a picture in colours, in the size of the model, and refuses a JPEG by name', async () => {
    const png = new PNG({ width: 4, height: 4 });
    for (let i = 0; i < 16; i++) png.data.set(i % 4 < 2 ? [255, 0, 0, 255] : [0, 0, 255, 255], 4 * i);
    const scratch = scratchForTest();
    const { out } = await infer('picture', [`@${scratch.write('x.png', PNG.sync.write(png))}`]);
    assert.equal(out, 'y UINT8 [12]: 255 0 0 0 0 255 255 0 0 0 0 255\n');
    const jpeg = await infer('picture', [
      `@${scratch.write('x.jpg', Buffer.from([0xff, 0xd8, 0xff, 0xe0]))}`,
    ]);
    assert.match(
      jpeg.err,
      /x\.jpg: input 'x': found a JPEG picture, expected a PNG; make one, as with: magick FILE picture\.png/,
    );
  });

  it('shows where a sound has speech', async () => {
    const samples = Int16Array.from({ length: 32_000 }, (_, i) => (i >= 8_000 && i < 24_000 ? 32_000 : 0));
    const file = scratchForTest().write('x.wav', wav(samples, 16_000));
    const { out, err } = await infer('sound', [`@${file}`]);
    assert.equal(err, '');
    assert.match(out, /^\.{15}#{30}\.{15} {2}2\.0 s, 1\.0 s of speech\nspeech {2}0\.50 s to 1\.50 s\n$/);
    const json = JSON.parse((await infer('sound', [`@${file}`], { json: true })).out);
    assert.deepEqual(json.speech, [{ from: 0.5, to: 1.5 }]);
    assert.match(
      (await infer('long', [`@${file}`])).err,
      /found sound; model 'long' does not say that input 'x' is sound/,
    );
  });

  it('shows how similar embeddings are, and text as text', async () => {
    const { out } = await infer('vectors', ['a=[[1,0],[0,1],[2,0]]', 'b=[[0,0],[0,0],[0,0]]']);
    assert.match(out, /^1 +1\.00 +0\.00 +1\.00$/m);
    assert.match((await infer('vectors', ['a=[1,0]', 'b=[0,0]'])).out, /^2 numbers: 1 0/);
    assert.equal((await infer('talk', ['x=["one"," two"]'])).out, 'one two\n');
  });

  it('leaves it to the server whether an input may be missing that the model calls optional', async () => {
    const { code, err } = await infer('vague', ['a=[1,0]']);
    assert.equal(code, 1);
    assert.match(err, /INVALID_ARGUMENT: model 'vague': input 'b' is missing/);
  });

  it('names no label where all scores are equal, and takes rows and columns for scores', async () => {
    const undecided = await infer('vague', ['a=[0,0]', 'b=[0,0]']);
    assert.equal(undecided.out, 'undecided: all scores are equal  (score 0)\n');
    assert.equal((await infer('vague', ['a=[1,3]', 'b=[0,0]'])).out, 'yes  (score 3)\n');
  });

  it('says why a model is not ready, and that a model takes no pictures', async () => {
    const broken = await infer('broken', []);
    assert.equal(broken.code, 1);
    assert.match(broken.err, /^outrider infer: model 'broken' is FAILED: model.yaml: /);
    const picture = await infer('long', [`@${join(packageRoot, 'services/digits/samples/one.png')}`]);
    assert.match(picture.err, /one\.png: found a picture; model 'long' does not say that input 'x' is one/);
    assert.match((await infer('pair', ['@x'])).err, /the model has 2 inputs, expected NAME=@x/);
  });
});

describe('outrider infer with a model that streams text', () => {
  let harness: Harness;
  before(async () => {
    harness = await startHarness(join(packageRoot, 'services/tokens/models'));
  });
  after(() => harness.stop());
  const tokens = (inputs: string[], more: Partial<InferOptions> = {}) =>
    run({ model: 'tokens', inputs: ['prompt=The sea ', ...inputs], target: harness.server.target, ...more });

  it('prints the text as it comes, the same as in one answer, and how fast it came', async () => {
    const whole = await tokens(['max_tokens=20']);
    assert.deepEqual([whole.code, whole.err], [0, '']);
    const pieces: string[] = [];
    const stdout = { write: (text: string) => pieces.push(text) };
    const { code, err } = await tokens(['max_tokens=20'], { stream: true, stdout });
    assert.equal(code, 0, err);
    assert.equal(pieces.length, 21, 'a piece for each character, and the end of the line');
    assert.equal(pieces.join(''), whole.out);
    assert.match(err, /^20 answers, the first after \d+ ms, then \d+ a second\n$/);
  });

  it('prints a line of JSON for each answer', async () => {
    const { out } = await tokens(['max_tokens=3'], { stream: true, json: true });
    const lines = out
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line));
    assert.equal(lines.length, 3);
    for (const line of lines) assert.equal(line.tokens.length, 1);
  });

  it('says what is wrong with a request on the stream', async () => {
    const { code, err } = await tokens(['max_tokens=-1'], { stream: true });
    assert.equal(code, 1);
    assert.match(err, /^outrider infer: .*max_tokens.*found -1/);
  });
});

describe('outrider infer through something that is no model server', () => {
  let server: Server;
  let target: string;
  const failing = (code: status, details: string, reason: string) => {
    const metadata = new Metadata();
    metadata.set('outrider-reason', reason);
    return { code, details, metadata };
  };
  let answer: object;
  let asked = 0;
  let isUp = () => false;

  before(async () => {
    server = new Server();
    const { inference } = protocols();
    server.addService({ ModelMetadata: inference.ModelMetadata } as unknown as ServiceDefinition, {
      ModelMetadata: (_call: unknown, callback: (error: object | null, message?: object) => void) => {
        asked++;
        if (isUp()) callback(null, { name: 'm', versions: [], platform: 'p', inputs: [], outputs: [] });
        else callback(answer);
      },
    });
    const bind = promisify(server.bindAsync.bind(server));
    target = `127.0.0.1:${await bind('127.0.0.1:0', ServerCredentials.createInsecure())}`;
  });
  after(() => server.forceShutdown());

  it('asks again what a model takes while no endpoint is there, and nothing that was answered otherwise', async () => {
    const asks = async (error: object, isUpAfter: number) => {
      [answer, asked] = [error, 0];
      isUp = () => asked > isUpAfter;
      const { err } = await run({ model: 'm', inputs: [], target });
      return { asked, err };
    };
    const gone = failing(status.UNAVAILABLE, 'the process ended', 'upstream-reset');
    const answered = await asks(gone, 2);
    assert.equal(answered.asked, 3);
    assert.match(answered.err, /model 'm' declares no inputs/);
    const never = await asks(gone, 9);
    assert.equal(never.asked, 3);
    assert.match(never.err, /outrider-reason: upstream-reset/);
    for (const other of [
      failing(status.PERMISSION_DENIED, 'no', 'not-allowed'),
      failing(status.UNAVAILABLE, 'says the model', ''),
    ])
      assert.equal((await asks(other, 9)).asked, 1);
  });

  it('repeats the mesh’s reason and says what to do about it', async () => {
    const cases: [object, RegExp][] = [
      [
        failing(status.PERMISSION_DENIED, 'caller may not', 'not-allowed'),
        /PERMISSION_DENIED: caller may not \(outrider-reason: not-allowed\); an intention must allow/,
      ],
      [
        failing(status.RESOURCE_EXHAUSTED, 'queue full', 'overloaded'),
        /RESOURCE_EXHAUSTED: queue full \(outrider-reason: overloaded\); .*try again/,
      ],
      [
        failing(status.UNAVAILABLE, 'no endpoint', 'no-endpoint'),
        /\(outrider-reason: no-endpoint\); `outrider status`/,
      ],
      [
        { code: status.UNIMPLEMENTED, details: 'no such method' },
        /UNIMPLEMENTED: no such method; does .* speak the Open Inference Protocol\?/,
      ],
      [{ code: status.INTERNAL, details: 'two\nlines' }, /^outrider infer: INTERNAL: two lines\n$/],
    ];
    for (const [error, says] of cases) {
      answer = error;
      const { code, err } = await run({ model: 'm', inputs: [], target });
      assert.equal(code, 1);
      assert.match(err, says);
    }
  });

  it('gives up at its deadline', async () => {
    const silent = createServer((socket) => afterTest(() => socket.destroy()));
    afterTest(() => silent.close());
    await new Promise<void>((resolve) => silent.listen(0, '127.0.0.1', resolve));
    const { port } = silent.address() as { port: number };
    const { code, err } = await run({ model: 'm', inputs: [], target: `127.0.0.1:${port}`, deadlineMs: 50 });
    assert.equal(code, 1);
    assert.match(err, /^outrider infer: DEADLINE_EXCEEDED: no answer from 127.0.0.1:\d+ within 50 ms .*\n$/);
  });
});
