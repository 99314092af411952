/**
 * Clients that share no code with the project, through two sidecars with mutual TLS: Python's grpcio and grpcurl,
 * against the interoperability service and against a real model service.
 */

import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import path from 'node:path';
import { targetOf } from '../kit/interop/client.js';
import { type Pair, startPair } from '../kit/process/sidecars.js';
import { ROOT, testFile, toolOrSkip } from '../kit/process/tools.js';
import { testProtoFile } from '../kit/service/test-proto.js';
import { startTestService, type TestService } from '../kit/service/test-service.js';

interface Run {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

function run(command: string, args: readonly string[]): Promise<Run> {
  return new Promise((resolve) => {
    execFile(command, args, { timeout: 60_000, maxBuffer: 16 << 20 }, (error, stdout, stderr) => {
      const code = error === null ? 0 : typeof error.code === 'number' ? error.code : -1;
      resolve({ code, stdout, stderr });
    });
  });
}

const PYTHON_CASES = [
  'empty_unary',
  'large_unary',
  'client_compressed_unary',
  'client_streaming',
  'server_streaming',
  'ping_pong',
  'custom_metadata',
  'status_code_and_message',
  'status_details',
  'unimplemented_method',
  'deadline',
  'cancel_after_first_response',
  'concurrent_unary',
];

const TRITON_CASES = [
  'health_and_metadata',
  'plain_infer',
  'requested_output',
  'classification',
  'sequence',
  'priority',
  'timeout',
  'unknown_parameter',
  'shared_memory',
];

/** Runs cases of the grpcio client in one Python process; the outcome of each by name. */
function python(
  binary: string,
  protoFile: string,
  target: string,
  cases: readonly string[],
): Promise<Map<string, string>> {
  return outcomesOf(binary, [
    testFile('interop', 'python-client.py'),
    ...[path.dirname(protoFile), path.basename(protoFile), target],
    ...cases,
  ]);
}

async function outcomesOf(binary: string, args: readonly string[]): Promise<Map<string, string>> {
  const { stdout, stderr } = await run(binary, args);
  const outcomes = new Map<string, string>();
  for (const line of stdout.split('\n').filter((text) => text.startsWith('{'))) {
    const { case: name, ok, why } = JSON.parse(line) as { case: string; ok: boolean; why?: string };
    outcomes.set(name, ok ? 'ok' : (why ?? 'failed'));
  }
  if (outcomes.size === 0) throw new Error(`the Python client said nothing: ${stderr}`);
  return outcomes;
}

describe('independent clients, through two sidecars with mutual TLS', () => {
  let service: TestService;
  let pair: Pair;

  before(async () => {
    service = await startTestService();
    pair = await startPair({ local: service.address });
  });
  after(async () => {
    await pair?.close();
    service.close();
  });

  describe('Python grpcio', () => {
    let outcomes: ReadonlyMap<string, string>;
    before(async function () {
      const binary = await toolOrSkip(this, 'python');
      outcomes = await python(binary, testProtoFile(), targetOf(pair.target), PYTHON_CASES);
    });
    for (const name of PYTHON_CASES) it(name, () => assert.equal(outcomes.get(name), 'ok'));
  });

  describe('grpcurl', () => {
    let grpcurl: string;
    let target: string;
    before(async function () {
      grpcurl = await toolOrSkip(this, 'grpcurl');
      target = targetOf(pair.target);
    });

    it('lists the services by reflection', async () => {
      const { stdout, stderr } = await run(grpcurl, ['-plaintext', target, 'list']);
      assert.ok(stdout.split('\n').includes('grpc.testing.TestService'), stderr);
    });

    it('describes a method by reflection', async () => {
      const { stdout, stderr } = await run(grpcurl, [
        ...['-plaintext', target, 'describe', 'grpc.testing.TestService.FullDuplexCall'],
      ]);
      assert.match(stdout, /stream .*StreamingOutputCallRequest .*returns \( stream/, stderr);
    });

    it('calls a unary method it knows only by reflection', async () => {
      const { code, stdout, stderr } = await run(grpcurl, [
        ...['-plaintext', '-d', '{"response_size": 3}', target, 'grpc.testing.TestService/UnaryCall'],
      ]);
      assert.equal(code, 0, stderr);
      assert.deepEqual(JSON.parse(stdout), { payload: { body: 'AAAA' } });
    });

    it('streams both ways', async () => {
      const message = '{"response_parameters": [{"size": 1}]}';
      const { code, stdout, stderr } = await run(grpcurl, [
        ...['-plaintext', '-d', `${message} ${message}`, target, 'grpc.testing.TestService/FullDuplexCall'],
      ]);
      assert.equal(code, 0, stderr);
      assert.equal(stdout.match(/"AA=="/g)?.length, 2);
    });

    it('shows status, message and trailers of a failed call', async () => {
      const { stdout, stderr } = await run(grpcurl, [
        ...['-plaintext', '-v', '-d', '{"response_status": {"code": 5, "message": "nothing here"}}'],
        ...[target, 'grpc.testing.TestService/UnaryCall'],
      ]);
      assert.match(stderr, /Code: NotFound/);
      assert.match(stderr, /Message: nothing here/);
      assert.match(stdout, /Response trailers received/);
    });
  });
});

describe('independent clients, a model through two sidecars with mutual TLS', () => {
  let pair: Pair;
  const socketName = 'model.sock';

  before(async function () {
    this.timeout(30_000);
    pair = await startPair({
      local: { kind: 'unix', path: path.join(ROOT, '.cache', `${process.pid}-${socketName}`) },
      model: {
        command: [
          ...[process.execPath, path.join(ROOT, 'dist', 'services', 'model-server', 'main.js')],
          ...['--models', path.join(ROOT, 'services', 'digits', 'models'), '--listen', '{socket}'],
        ],
      },
    });
    await pair.ready();
  });
  after(() => pair?.close());

  it('Python grpcio infers, reads metadata and learns which tensor is wrong', async function () {
    const binary = await toolOrSkip(this, 'python');
    const proto = path.join(ROOT, 'proto', 'inference.proto');
    const outcomes = await python(binary, proto, targetOf(pair.target), ['model_infer']);
    assert.equal(outcomes.get('model_infer'), 'ok');
  });

  describe('Triton’s Python client', () => {
    let outcomes: ReadonlyMap<string, string>;
    before(async function () {
      const binary = await toolOrSkip(this, 'tritonclient');
      const script = testFile('interop', 'triton-client.py');
      outcomes = await outcomesOf(binary, [script, targetOf(pair.target), ...TRITON_CASES]);
    });
    for (const name of TRITON_CASES) it(name, () => assert.equal(outcomes.get(name), 'ok'));
  });

  it('grpcurl finds the Open Inference Protocol by reflection and infers', async function () {
    const grpcurl = await toolOrSkip(this, 'grpcurl');
    const target = targetOf(pair.target);
    const listed = await run(grpcurl, ['-plaintext', target, 'list']);
    assert.match(listed.stdout, /^inference\.GRPCInferenceService$/m, listed.stderr);
    const request = {
      model_name: 'digits',
      inputs: [
        {
          name: 'pixels',
          datatype: 'FP32',
          shape: [1, 784],
          contents: { fp32_contents: Array.from({ length: 784 }, () => 0) },
        },
      ],
    };
    const inferred = await run(grpcurl, [
      ...['-plaintext', '-d', JSON.stringify(request), target],
      'inference.GRPCInferenceService/ModelInfer',
    ]);
    assert.equal(inferred.code, 0, inferred.stderr);
    const answer = JSON.parse(inferred.stdout) as { modelName: string; rawOutputContents: string[] };
    assert.equal(answer.modelName, 'digits');
    assert.ok(answer.rawOutputContents.length >= 1);
  });

  it('grpcurl asks for the health of the model', async function () {
    const grpcurl = await toolOrSkip(this, 'grpcurl');
    const { stdout, stderr } = await run(grpcurl, [
      ...['-plaintext', '-d', '{"service": "digits"}', targetOf(pair.target), 'grpc.health.v1.Health/Check'],
    ]);
    assert.deepEqual(JSON.parse(stdout || '{}'), { status: 'SERVING' }, stderr);
  });
});
