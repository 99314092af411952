/** A repository that changes while it is served, with real processes and under load: no call fails, whatever comes. */
import assert from 'node:assert/strict';
import {
  appendFileSync,
  cpSync,
  mkdirSync,
  readFileSync,
  renameSync,
  rmSync,
  truncateSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { fieldsOf, MessageWriter } from '../../../sidecar/codec/protobuf.js';
import { REPOSITORY_INDEX, REPOSITORY_LOAD, REPOSITORY_UNLOAD } from '../../../sidecar/codec/repository.js';
import type { ModelReport } from '../../../sidecar/telemetry/reports.js';
import {
  DIGITS_MODELS,
  Mesh,
  reportOf,
  Scratch,
  type SidecarFacts,
  type UpFacts,
} from '../../kit/process/outrider.js';
import { until } from '../../kit/process/processes.js';
import { ModelLoad } from '../../kit/service/model-load.js';
import { failure, TestClient } from '../../kit/service/model-server.js';

describe('a repository that is polled', function () {
  this.timeout(120_000);

  let scratch: Scratch;
  let models: string;
  let mesh: Mesh;
  let facts: UpFacts;
  let replica: SidecarFacts;
  let client: TestClient;
  let load: ModelLoad;

  before(async () => {
    scratch = new Scratch();
    models = join(scratch.path, 'models');
    cpSync(join(DIGITS_MODELS, 'digits'), join(models, 'digits'), { recursive: true });
    mesh = Mesh.start(`
services:
  mine: { models: ${models}, repository: { control: poll, poll: 500ms } }
caller: { name: app, admin: 127.0.0.1:0, upstreams: { mine: { listen: 127.0.0.1:0 } } }
intentions: [{ from: app, to: mine, action: allow }]
`);
    facts = await mesh.ready();
    replica = facts.sidecars.find(({ role }) => role === 'replica')!;
    client = new TestClient(facts.call['mine']!);
  });
  after(async () => {
    client?.close();
    await mesh.discard();
    scratch.remove();
  });
  beforeEach(async () => {
    load = ModelLoad.start(client, { callers: 2 });
    await until('calls go through', () => load.ok > 10);
  });
  afterEach(() => load.stop());

  const reports = async (): Promise<readonly ModelReport[]> => {
    const { models: all, model } = await reportOf(replica.admin);
    return all ?? [model!];
  };
  const states = async (): Promise<string[]> =>
    (await reports()).map(({ version, state }) => `${version} ${state}`);
  const version = (n: number): string => join(models, 'digits', String(n));
  const put = (n: number): void => cpSync(version(1), version(n), { recursive: true });
  /** The load goes on, and nothing of it has failed. */
  const goesOn = async (): Promise<void> => {
    const { ok } = load;
    await until('calls go on', () => load.ok > ok + 20);
    assert.deepEqual(load.failures, []);
  };

  it('serves a new version as soon as that is ready, and drains and stops the old one', async () => {
    const [before] = await reports();
    put(2);
    await until('version 2 answers', () => load.versions.includes('2'), 30_000);
    await until('version 1 is gone', async () => (await states()).join() === '2 ready', 30_000);
    await goesOn();
    assert.deepEqual(load.versions, ['1', '2']);
    assert.throws(() => process.kill(before!.pid!, 0), /ESRCH/);
  });

  it('gives no call to a version whose golden output differs, and goes on with the one it has', async () => {
    put(3);
    const card = join(version(3), 'model.yaml');
    writeFileSync(card, readFileSync(card, 'utf8').replace(/(outputs:[\s\S]*?values: \|\s+)\S+/, '$112345'));
    await until('version 3 has failed', async () => (await states()).join() === '2 ready,3 failed', 30_000);
    await goesOn();
    assert.deepEqual(load.versions, ['2']);
    const refused = await failure(infer('3'));
    assert.equal(refused.code, 14);
    assert.match(refused.details, /golden/);
    rmSync(version(3), { recursive: true });
    await until('it is forgotten', async () => (await states()).join() === '2 ready', 30_000);
  });

  it('does not load a version while it is being copied, and says why one that stays truncated is not served', async () => {
    const model = join(version(1), 'model.onnx');
    const bytes = readFileSync(model);
    mkdirSync(version(4));
    cpSync(join(version(1), 'model.yaml'), join(version(4), 'model.yaml'));
    const copy = join(version(4), 'model.onnx');
    writeFileSync(copy, bytes.subarray(0, 1_000));
    for (let i = 1; i <= 6; i++) {
      const { ok } = load;
      await until('a while passes', () => load.ok > ok + 20);
      appendFileSync(copy, bytes.subarray(i * 1_000, (i + 1) * 1_000));
    }
    await until('version 4 has failed', async () => (await states()).join() === '2 ready,4 failed', 30_000);
    assert.match((await failure(infer('4'))).details, /sha256|protobuf|model\.onnx/i);
    writeFileSync(copy, bytes);
    await until('version 4 is whole and serves', async () => (await states()).join() === '4 ready', 30_000);
    await goesOn();
    assert.deepEqual(load.versions, ['2', '4']);
  });

  it('keeps serving what it has loaded while the files of it change', async () => {
    const pid = (await reports())[0]!.pid;
    truncateSync(join(version(4), 'model.onnx'), 100);
    await until('the change has failed', async () => (await states()).join() === '4 ready,4 failed', 30_000);
    await goesOn();
    assert.equal((await reports())[0]!.pid, pid);
    cpSync(join(version(1), 'model.onnx'), join(version(4), 'model.onnx'));
    await until(
      'it is loaded again',
      async () => (await reports()).every((each) => each.pid !== pid),
      30_000,
    );
    await goesOn();
  });

  it('goes on when its directory cannot be read', async () => {
    renameSync(models, `${models}.away`);
    await goesOn();
    renameSync(`${models}.away`, models);
    await goesOn();
    assert.deepEqual(await states(), ['4 ready']);
  });

  const infer = (of: string) =>
    client.infer({
      model_name: 'digits',
      model_version: of,
      inputs: [{ name: 'pixels', datatype: 'FP32', shape: [1, 784] }],
      raw_input_contents: [Buffer.alloc(784 * 4)],
    });

  it('answers a version that is not there in the words of the protocol, with what there is', async () => {
    assert.equal((await infer('4')).model_version, '4');
    const unknown = await failure(infer('7'));
    assert.equal(unknown.code, 5);
    assert.equal(unknown.details, "Request for unknown model: 'digits' version 7 is not found; served: 4");
  });
});

describe('a repository on command', function () {
  this.timeout(120_000);

  let scratch: Scratch;
  let models: string;
  let mesh: Mesh;
  let client: TestClient;
  let load: ModelLoad;

  before(async () => {
    scratch = new Scratch();
    models = join(scratch.path, 'models');
    for (const name of ['digits', 'other'])
      cpSync(join(DIGITS_MODELS, 'digits'), join(models, name), { recursive: true });
    mesh = Mesh.start(`
services:
  mine: { models: ${models}, repository: { control: explicit } }
  fixed: { models: ${DIGITS_MODELS} }
caller: { name: app, admin: 127.0.0.1:0, upstreams: { mine: { listen: 127.0.0.1:0 }, fixed: { listen: 127.0.0.1:0 } } }
intentions: [{ from: app, to: '*', action: allow, control_methods: [${REPOSITORY_LOAD}, ${REPOSITORY_UNLOAD}] }]
`);
    const facts = await mesh.ready();
    client = new TestClient(facts.call['mine']!);
    fixed = new TestClient(facts.call['fixed']!);
    load = ModelLoad.start(client, { callers: 2, pauseMs: 50 });
  });
  let fixed: TestClient;
  after(async () => {
    await load.stop();
    client?.close();
    fixed?.close();
    await mesh.discard();
    scratch.remove();
  });

  const ask = (by: TestClient, path: string, message: Buffer): Promise<Buffer> =>
    by.bytes({ path, responseDeserialize: (bytes: Buffer) => bytes }, message) as Promise<Buffer>;
  /** `name version STATE` of each line, and its reason where there is one. */
  const index = async (by = client): Promise<string[]> => {
    const answer = await ask(by, REPOSITORY_INDEX, Buffer.alloc(0));
    return [...fieldsOf(answer)].map((line) =>
      [...fieldsOf(line.value as Buffer)].map((field) => String(field.value)).join(' '),
    );
  };
  const command = (path: string, model: string, by = client): Promise<Buffer> =>
    ask(by, path, new MessageWriter().text(2, model).finish());
  const version = (n: number): string => join(models, 'digits', String(n));

  it('lists every version with its state', async () => {
    assert.deepEqual(await index(), ['digits 1 READY', 'other 1 READY']);
  });

  it('is not watched: a new version is served when it is asked for, and no call fails meanwhile', async () => {
    cpSync(version(1), version(2), { recursive: true });
    const { ok } = load;
    await until('a while passes', () => load.ok > ok + 40);
    assert.deepEqual(load.versions, ['1']);
    await command(REPOSITORY_LOAD, 'digits');
    await until('version 2 answers', () => load.versions.includes('2'));
    await until(
      'version 1 is unloaded',
      async () => (await index())[0] === 'digits 1 UNAVAILABLE unloaded',
      30_000,
    );
    assert.deepEqual((await index()).slice(1), ['digits 2 READY', 'other 1 READY']);
    assert.deepEqual(load.failures, []);
  });

  it('says why a version could not be loaded, to the command and in the index', async () => {
    cpSync(version(1), version(3), { recursive: true });
    writeFileSync(join(version(3), 'model.onnx'), 'not a model');
    const { code, details } = await failure(command(REPOSITORY_LOAD, 'digits'));
    assert.equal(code, 3);
    assert.match(details, /^load failed for model 'digits': version 3 is at UNAVAILABLE state: .*sha256/);
    assert.match((await index())[2]!, /^digits 3 UNAVAILABLE .*sha256/);
    assert.deepEqual(load.failures, []);
    cpSync(join(version(1), 'model.onnx'), join(version(3), 'model.onnx'));
    await command(REPOSITORY_LOAD, 'digits');
    await until('version 3 answers', () => load.versions.includes('3'));
    assert.deepEqual(load.failures, []);
  });

  it('unloads a model, whose calls get NOT_FOUND in the words of the protocol, and loads it again', async () => {
    const inputs = [{ name: 'pixels', datatype: 'FP32', shape: [1, 784] }];
    const other = () =>
      client.infer({ model_name: 'other', inputs, raw_input_contents: [Buffer.alloc(784 * 4)] });
    await other();
    await command(REPOSITORY_UNLOAD, 'other');
    const { code, details } = await failure(other());
    assert.deepEqual([code, details], [5, "Request for unknown model: 'other' is not found"]);
    await until(
      'it is stopped',
      async () => (await index()).includes('other 1 UNAVAILABLE unloaded'),
      30_000,
    );
    await command(REPOSITORY_LOAD, 'other');
    await other();
    assert.deepEqual(load.failures, []);
  });

  it('knows no models that are not there', async () => {
    const unknown = await failure(command(REPOSITORY_LOAD, 'letters'));
    assert.deepEqual(
      [unknown.code, unknown.details],
      [5, "failed to load 'letters', failed to poll from model repository"],
    );
    const unload = await failure(command(REPOSITORY_UNLOAD, 'letters'));
    assert.deepEqual([unload.code, unload.details], [5, "Request for unknown model: 'letters' is not found"]);
  });

  it('refuses what cannot be read, and parameters that it does not serve', async () => {
    const parameter = new MessageWriter().text(1, 'config').bytes(2, Buffer.alloc(0));
    const asked = new MessageWriter().text(2, 'digits').message(3, parameter).finish();
    const config = await failure(ask(client, REPOSITORY_LOAD, asked));
    assert.deepEqual([config.code, /parameter 'config'/.test(config.details)], [12, true]);
    const broken = await failure(ask(client, REPOSITORY_LOAD, Buffer.from([0x12, 0x7f])));
    assert.equal(broken.code, 3);
    const large = await failure(ask(client, REPOSITORY_LOAD, Buffer.alloc(200_000)));
    assert.equal(large.code, 8);
  });

  it('takes commands only where the configuration says so, and lists its models everywhere', async () => {
    assert.deepEqual((await index(fixed))[0]!.split(' ')[0], 'digits');
    for (const path of [REPOSITORY_LOAD, REPOSITORY_UNLOAD]) {
      const { code, details } = await failure(command(path, 'digits', fixed));
      assert.equal(code, 12);
      assert.match(details, /^found repository.control: none; expected explicit/);
    }
  });
});
