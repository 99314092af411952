/** The REST half of the inference protocol, by plain HTTP. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { Agent, get, request as httpRequest, type IncomingMessage } from 'node:http';
import { connect, type Socket } from 'node:net';
import { join } from 'node:path';
import { status } from '@grpc/grpc-js';
import { protocols } from '../../../proto/load.js';
import { type Call, unary } from '../../../services/model-server/protocol/call.js';
import { startRest } from '../../../services/model-server/transport/rest/server.js';
import { packageRoot } from '../../kit/process/package-root.js';
import { until } from '../../kit/process/processes.js';
import {
  failure,
  type Harness,
  spawnService,
  startHarness,
  temporaryDirectory,
} from '../../kit/service/model-server.js';
import { Gate } from '../../kit/service/queue-jobs.js';
import { identityModel } from '../../kit/service/tiny-models.js';

interface Answer {
  readonly code: number;
  readonly headers: Readonly<Record<string, string | string[] | undefined>>;
  readonly body: Buffer;
  /** The body, parsed. */
  readonly json: Record<string, never> & { error?: string };
}

describe('the REST half of the protocol', () => {
  let models: string;
  let harness: Harness;

  function call(method: string, path: string, body?: unknown, headers = {}): Promise<Answer> {
    const [host, port] = harness.server.restTarget!.split(':');
    const bytes = Buffer.isBuffer(body) ? body : body === undefined ? undefined : JSON.stringify(body);
    return new Promise((resolve, reject) => {
      const request = httpRequest({ host, port, method, path, headers }, (response) => {
        const chunks: Buffer[] = [];
        response.on('data', (chunk: Buffer) => chunks.push(chunk));
        response.on('end', () => {
          const whole = Buffer.concat(chunks);
          const isJson = response.headers['content-type'] === 'application/json';
          const json = isJson ? JSON.parse(whole.toString()) : {};
          resolve({ code: response.statusCode!, headers: response.headers, body: whole, json });
        });
      });
      request.on('error', reject);
      request.end(bytes);
    });
  }

  before(async () => {
    models = temporaryDirectory();
    for (const type of ['FP32', 'INT64', 'BOOL', 'BYTES'] as const) {
      const directory = join(models, type.toLowerCase(), '1');
      mkdirSync(directory, { recursive: true });
      writeFileSync(join(directory, 'model.onnx'), identityModel(type));
      const value = { FP32: '1.5', INT64: '7', BOOL: 'true', BYTES: 'a' }[type];
      const golden = `{inputs: {x: {shape: [1], values: [${value}]}}, outputs: {y: {values: [${value}]}}}`;
      writeFileSync(join(directory, 'model.yaml'), `golden: ${golden}\n`);
    }
    harness = await startHarness(models, [], {
      rest: { kind: 'tcp', host: '127.0.0.1', port: 0 },
      restHosts: ['models.example'],
      control: 'explicit',
    });
  });
  after(async () => {
    await harness.stop();
    rmSync(models, { recursive: true, force: true });
  });

  /** A body that is announced as longer than the server takes; what comes back before its end. */
  function longBody(): Promise<{ socket: Socket; whole: string }> {
    const [host, port] = harness.server.restTarget!.split(':');
    return new Promise((resolve, reject) => {
      const socket = connect(Number(port), host);
      const chunk = Buffer.alloc(1 << 20, 0x20);
      let whole = '';
      let sent = 0;
      const write = () => {
        while (whole === '' && sent++ < 100) if (!socket.write(chunk)) return socket.once('drain', write);
      };
      socket.on('error', reject);
      socket.on('data', (bytes: Buffer) => {
        whole += bytes.toString();
        if (whole.includes('}')) resolve({ socket, whole });
      });
      socket.write(
        `POST /v2/models/fp32/infer HTTP/1.1\r\nhost: localhost\r\ncontent-length: ${100 << 20}\r\n\r\n`,
      );
      write();
    });
  }

  const infer = (model: string, data: unknown, more = {}) =>
    call('POST', `/v2/models/${model}/infer`, { inputs: [{ name: 'x', data, ...more }] });
  const outputOf = ({ json }: Answer) => (json['outputs'] as unknown as object[])[0];

  it('tells health, server, models, configuration, statistics and repository', async () => {
    assert.deepEqual((await call('GET', '/v2/health/live')).json, { live: true });
    assert.deepEqual((await call('GET', '/v2/health/ready')).json, { ready: true });
    assert.equal((await call('GET', '/v2')).json['name'], 'outrider');
    assert.equal((await call('GET', '/v2/models/fp32/ready')).code, 200);
    const metadata = await call('GET', '/v2/models/fp32/versions/1');
    assert.deepEqual(metadata.json['inputs'], [{ name: 'x', datatype: 'FP32', shape: [-1] }]);
    assert.equal((await call('GET', '/v2/models/fp32/config')).json['platform'], 'onnxruntime_onnx');
    const stats = (await call('GET', '/v2/models/fp32/stats')).json['model_stats'] as unknown as object[];
    assert.equal(stats.length, 1);
    const index = (await call('POST', '/v2/repository/index')).json as unknown as object[];
    assert.equal(index.length, 4);
  });

  for (const [title, model, data, more, expected] of [
    ['a list', 'fp32', [1, 2.5], { datatype: 'FP32', shape: [2] }, [2, [1, 2.5]]],
    ['a list without shape and datatype', 'fp32', [1, 2.5], {}, [2, [1, 2.5]]],
    ['a single value', 'fp32', 3, {}, [1, [3]]],
    [
      '64-bit integers as text where JSON would round them',
      'int64',
      ['9007199254740993'],
      {},
      [1, ['9007199254740993']],
    ],
    ['booleans', 'bool', [true, false], {}, [2, [true, false]]],
    ['text', 'bytes', ['grüß', ''], {}, [2, ['grüß', '']]],
  ] as const)
    it(`takes and gives ${title}`, async () => {
      const answer = await infer(model, data, more);
      assert.equal(answer.code, 200, answer.json.error);
      const { shape, data: values } = outputOf(answer) as { shape: number[]; data: unknown };
      assert.deepEqual([shape[0], values], expected);
    });

  it('takes and gives binary tensor data', async () => {
    const raw = Buffer.from(Float32Array.of(1, 2, 3).buffer);
    const head = Buffer.from(
      JSON.stringify({
        inputs: [{ name: 'x', datatype: 'FP32', shape: [3], parameters: { binary_data_size: 12 } }],
        outputs: [{ name: 'y', parameters: { binary_data: true } }],
      }),
    );
    const answer = await call('POST', '/v2/models/fp32/infer', Buffer.concat([head, raw]), {
      'inference-header-content-length': head.length,
    });
    assert.equal(answer.code, 200);
    const length = Number(answer.headers['inference-header-content-length']);
    const json = JSON.parse(answer.body.subarray(0, length).toString());
    assert.deepEqual(json.outputs[0].parameters, { binary_data_size: 12 });
    assert.ok(answer.body.subarray(length).equals(raw));
  });

  for (const [title, body, code, says] of [
    ['no JSON', Buffer.from('{'), 400, /found 1 bytes that are no JSON/],
    ['no inputs', {}, 400, /inputs: found none, expected a list/],
    ['ragged lists', { inputs: [{ name: 'x', data: [[1], [1, 2]] }] }, 400, /lists of different sizes/],
    [
      'a wrong count',
      { inputs: [{ name: 'x', shape: [3], data: [1] }] },
      400,
      /found 1 values, expected 3 for shape/,
    ],
    ['a wrong type', { inputs: [{ name: 'x', data: [null] }] }, 400, /found null, expected a value/],
    ['an unknown input', { inputs: [{ name: 'q', datatype: 'FP32', data: [1] }] }, 400, /found input 'q'/],
    [
      'an unknown parameter',
      { parameters: { q: 1 }, inputs: [{ name: 'x', data: [1] }] },
      400,
      /parameter 'q'/,
    ],
  ] as const)
    it(`refuses ${title}, and says what was expected`, async () => {
      const answer = await call('POST', '/v2/models/fp32/infer', body);
      assert.equal(answer.code, code);
      assert.match(answer.json.error!, says);
    });

  it('answers an unknown model and an unknown path with 404', async () => {
    assert.match((await infer('none', [1])).json.error!, /Request for unknown model: 'none' is not found/);
    for (const [verb, path] of [
      ['GET', '/v1/models/fp32'],
      ['PUT', '/v2/models/fp32/infer'],
      ['GET', '//['],
    ] as const)
      assert.equal((await call(verb, path)).code, 404);
  });

  it('refuses a parameter of a load that is not served, instead of ignoring it', async () => {
    const answer = await call('POST', '/v2/repository/models/fp32/load', { parameters: { config: '{}' } });
    assert.equal(answer.code, 501);
    assert.match(answer.json.error!, /found parameter 'config', which is not served/);
  });

  it('refuses JSON beyond its limits before it is parsed', async () => {
    const deep = Buffer.from(`{"inputs":${'['.repeat(1 << 20)}`);
    const answer = await call('POST', '/v2/models/fp32/infer', deep);
    assert.equal(answer.code, 400);
    assert.match(answer.json.error!, /more than 64 levels of nesting, expected at most so many/);
    const index = await call('POST', '/v2/repository/index', deep);
    assert.equal(index.code, 400);
  });

  it('is not ready, and neither is its model, once the last one is unloaded, until it is loaded again', async () => {
    const names = ['fp32', 'int64', 'bool', 'bytes'];
    const command = (name: string, verb: string) => call('POST', `/v2/repository/models/${name}/${verb}`);
    for (const name of names) {
      assert.equal((await call('GET', '/v2/health/ready')).code, 200);
      assert.equal((await command(name, 'unload')).code, 200);
      assert.equal((await call('GET', `/v2/models/${name}/ready`)).code, 404);
    }
    assert.deepEqual(
      [(await call('GET', '/v2/health/ready')).code, (await call('GET', '/v2/health/live')).code],
      [400, 200],
    );
    const { health } = protocols();
    for (const service of ['', 'fp32'])
      assert.equal((await harness.client.call(health.Check, { service })).status, 'NOT_SERVING');
    for (const name of names) assert.equal((await command(name, 'load')).code, 200);
    assert.equal((await call('GET', '/v2/health/ready')).code, 200);
    assert.equal((await harness.client.call(health.Check, { service: '' })).status, 'SERVING');
  });

  describe('and web pages', () => {
    const path = '/v2/repository/models/fp32/unload';
    for (const [title, headers] of [
      ['a name that resolves to this server', { host: 'evil.example' }],
      ['such a name with a port', { host: 'evil.example:8000' }],
      ['a name that begins as an address', { host: '[::1]evil.example' }],
      ['a name that begins as localhost', { host: 'localhost.evil.example' }],
      ['a form of another page', { origin: 'http://evil.example' }],
      ['a form of a page without origin', { origin: 'null' }],
      ['a page on another port', { host: '127.0.0.1:8000', origin: 'http://127.0.0.1:3000' }],
      ['what a browser says is cross-site', { 'sec-fetch-site': 'cross-site' }],
    ] as const)
      it(`refuses ${title}`, async () => {
        const answer = await call('POST', path, undefined, headers);
        assert.equal(answer.code, 403);
        assert.ok(answer.json.error);
        assert.equal((await call('GET', '/v2/models/fp32/ready')).code, 200, 'it is still there');
      });

    it('refuses two Host headers', async () => {
      const [host, port] = harness.server.restTarget!.split(':');
      const socket = connect(Number(port), host);
      socket.write(`GET /v2 HTTP/1.1\r\nhost: localhost\r\nhost: evil.example\r\n\r\n`);
      const [bytes] = (await once(socket, 'data')) as [Buffer];
      socket.destroy();
      assert.match(bytes.toString(), /^HTTP\/1\.1 403 /);
    });

    for (const host of [
      '127.0.0.1',
      'localhost:1234',
      '[::1]:80',
      'Models.Example',
      'models.example:80',
      '10.1.2.3',
    ])
      it(`serves a client that says ${host}`, async () => {
        assert.equal((await call('GET', '/v2/models/fp32/ready', undefined, { host })).code, 200);
        const origin = { host, origin: `http://${host}` };
        assert.equal((await call('GET', '/v2/models/fp32/ready', undefined, origin)).code, 200);
      });

    it('serves a link that is followed', async () => {
      const headers = {
        'sec-fetch-site': 'cross-site',
        'sec-fetch-mode': 'navigate',
        'sec-fetch-dest': 'document',
      };
      assert.equal((await call('GET', '/v2', undefined, headers)).code, 200);
      assert.equal((await call('POST', path, undefined, headers)).code, 403);
    });
  });

  it('loads and unloads on command only where that is asked for', async () => {
    const other = await startHarness(models, ['fp32'], { rest: { kind: 'unix', path: join(models, 'r') } });
    try {
      const { inference } = protocols();
      for (const method of [inference.RepositoryModelUnload, inference.RepositoryModelLoad]) {
        const { code, details } = await failure(other.client.call(method, { model_name: 'fp32' }));
        assert.equal(code, status.FAILED_PRECONDITION);
        assert.match(details, /not allowed: found --control none, expected --control explicit/);
      }
      const request = httpRequest({
        socketPath: join(models, 'r'),
        host: 'anything',
        method: 'POST',
        path: '/v2/repository/models/fp32/unload',
      });
      const [response] = (await once(request.end(), 'response')) as [IncomingMessage];
      assert.equal(response.resume().statusCode, 400);
      assert.equal((await other.client.call(inference.ModelReady, { name: 'fp32' })).ready, true);
    } finally {
      await other.stop();
    }
  });

  it('answers a body that is too long with 413 while it comes, and goes on serving', async () => {
    const { socket, whole } = await longBody();
    socket.destroy();
    assert.match(whole, /^HTTP\/1\.1 413 /);
    assert.match(whole, /found more than 68157440 bytes, expected at most so many/);
    assert.equal((await infer('fp32', [1])).code, 200);
  });

  it('ends its connections with the call in flight once it is told to stop, however busy their callers are', async () => {
    const gate = new Gate();
    let begun = () => {};
    const hasBegun = new Promise<void>((resolve) => {
      begun = resolve;
    });
    const { ServerLive } = protocols().inference;
    const live = unary(ServerLive, (_request, _call, reply) => {
      begun();
      void gate.wait().then(() => reply(undefined, { live: true }));
    });
    const inputsOf = () => [];
    const server = await startRest(
      { methods: [live], memoryBytes: 1 << 20, hosts: [], inputsOf },
      { kind: 'tcp', host: '127.0.0.1', port: 0 },
    );
    const [host, port] = server.target.split(':');
    const agent = new Agent({ keepAlive: true });
    const answer = new Promise<IncomingMessage>((resolve, reject) =>
      get({ host, port, agent, path: '/v2/health/live' }, resolve).on('error', reject),
    );
    await hasBegun;
    const stopping = server.stop();
    gate.release();
    const { headers, statusCode } = (await answer).resume();
    assert.deepEqual([statusCode, headers.connection], [200, 'close']);
    await stopping;
  });

  it('cancels the calls of a caller that goes, also one that was pipelined behind another', async () => {
    const cancelled: string[] = [];
    const headers: unknown[] = [];
    let begun = 0;
    const { ServerLive, ServerReady } = protocols().inference;
    const held = (name: string) => (_request: unknown, call: Call) => {
      begun++;
      headers.push(call.header('outrider-caller'), call.header('x-own'));
      call.onCancelled(() => void cancelled.push(name));
    };
    const server = await startRest(
      {
        methods: [unary(ServerLive, held('live')), unary(ServerReady, held('ready'))],
        memoryBytes: 1 << 20,
        hosts: [],
        inputsOf: () => [],
      },
      { kind: 'tcp', host: '127.0.0.1', port: 0 },
    );
    const [host, port] = server.target.split(':');
    const socket = connect(Number(port), host);
    const own = 'host: localhost\r\noutrider-caller: root\r\nx-own: 1\r\n\r\n';
    socket.write(`GET /v2/health/live HTTP/1.1\r\n${own}GET /v2/health/ready HTTP/1.1\r\n${own}`);
    await until('both are asked', () => begun === 2);
    socket.destroy();
    await until('both are cancelled', () => cancelled.length === 2);
    assert.deepEqual(cancelled, ['live', 'ready']);
    // What a sidecar says of a caller is not a caller's to say.
    assert.deepEqual(headers, [undefined, '1', undefined, '1']);
    await server.stop();
  });

  it('opens no port beside a socket that a sidecar stands in front of', async () => {
    const socket = `unix:${join(models, 's')}`;
    const service = spawnService([
      '--models',
      join(packageRoot, 'services/digits/models'),
      '--listen',
      socket,
      '--rest',
      '127.0.0.1:0',
    ]);
    assert.equal(await service.exited, 2);
    assert.match(service.stderr(), /--rest: found '127.0.0.1:0', expected unix:\/path as for --listen/);
  });
});
