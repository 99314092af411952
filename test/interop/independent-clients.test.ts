/**
 * Clients that share no code with the project, through two sidecars with mutual TLS: Python's grpcio and grpcurl,
 * against the interoperability service and against a real model service.
 */

import assert from 'node:assert/strict';
import path from 'node:path';
import { writeAddress } from '../../sidecar/config/codecs/address.js';
import { outcomesOf, pythonCases, type Run, run } from '../kit/interop/python-cases.js';
import { suitePair } from '../kit/interop/suites.js';
import { type Pair, startPair } from '../kit/process/sidecars.js';
import { ROOT, toolOrSkip } from '../kit/process/tools.js';
import { TEST_PROTO } from '../kit/service/test-proto.js';
import { startTestService } from '../kit/service/test-service.js';

const PYTHON_CASES = [
  ...['empty_unary', 'large_unary', 'client_compressed_unary', 'client_streaming', 'server_streaming'],
  ...['ping_pong', 'custom_metadata', 'status_code_and_message', 'status_details', 'unimplemented_method'],
  ...['deadline', 'cancel_after_first_response', 'concurrent_unary'],
];

describe('independent clients, through two sidecars with mutual TLS', () => {
  const suite = suitePair(() => startTestService());

  describe('Python grpcio', () =>
    pythonCases('python', 'python-client.py', PYTHON_CASES, () => [
      path.dirname(TEST_PROTO),
      path.basename(TEST_PROTO),
      writeAddress(suite.pair.target),
    ]));

  describe('grpcurl', () => {
    const SERVICE = 'grpc.testing.TestService';
    let binary: string;
    before(async function () {
      binary = await toolOrSkip(this, 'grpcurl');
    });

    const ask = (...words: string[]): Promise<Run> =>
      run(binary, '-plaintext', writeAddress(suite.pair.target), ...words);
    const call = (method: string, messages: string, ...options: string[]): Promise<Run> =>
      run(
        binary,
        '-plaintext',
        ...options,
        '-d',
        messages,
        writeAddress(suite.pair.target),
        `${SERVICE}/${method}`,
      );

    it('lists the services by reflection', async () => {
      const { stdout, stderr } = await ask('list');
      assert.ok(stdout.split('\n').includes(SERVICE), stderr);
    });

    it('describes a method by reflection', async () => {
      const { stdout, stderr } = await ask('describe', `${SERVICE}.FullDuplexCall`);
      assert.match(stdout, /stream .*StreamingOutputCallRequest .*returns \( stream/, stderr);
    });

    it('calls a unary method it knows only by reflection', async () => {
      const { code, stdout, stderr } = await call('UnaryCall', '{"response_size": 3}');
      assert.equal(code, 0, stderr);
      assert.deepEqual(JSON.parse(stdout), { payload: { body: 'AAAA' } });
    });

    it('streams both ways', async () => {
      const message = '{"response_parameters": [{"size": 1}]}';
      const { code, stdout, stderr } = await call('FullDuplexCall', `${message} ${message}`);
      assert.equal(code, 0, stderr);
      assert.equal(stdout.match(/"AA=="/g)?.length, 2);
    });

    it('shows status, message and trailers of a failed call', async () => {
      const message = '{"response_status": {"code": 5, "message": "nothing here"}}';
      const { stdout, stderr } = await call('UnaryCall', message, '-v');
      assert.match(stderr, /Code: NotFound/);
      assert.match(stderr, /Message: nothing here/);
      assert.match(stdout, /Response trailers received/);
    });
  });
});

describe('independent clients, a model through two sidecars with mutual TLS', () => {
  let pair: Pair;
  let target: string;

  before(async function () {
    this.timeout(30_000);
    const server = path.join(ROOT, 'dist', 'services', 'model-server', 'main.js');
    const models = path.join(ROOT, 'services', 'digits', 'models');
    const command = [process.execPath, server, '--models', models, '--listen', '{socket}'];
    const local = { kind: 'unix', path: path.join(ROOT, '.cache', `${process.pid}-model.sock`) } as const;
    pair = await startPair({ local, model: { command } });
    target = writeAddress(pair.target);
    await pair.ready();
  });
  after(() => pair?.close());

  it('Python grpcio infers, reads metadata and learns which tensor is wrong', async function () {
    const binary = await toolOrSkip(this, 'python');
    const args = [path.join(ROOT, 'proto'), 'inference.proto', target, 'model_infer'];
    const outcomes = await outcomesOf(binary, 'python-client.py', ...args);
    assert.equal(outcomes.get('model_infer'), 'ok');
  });

  it('grpcurl finds the Open Inference Protocol by reflection and infers', async function () {
    const grpcurl = await toolOrSkip(this, 'grpcurl');
    const listed = await run(grpcurl, '-plaintext', target, 'list');
    assert.match(listed.stdout, /^inference\.GRPCInferenceService$/m, listed.stderr);
    const contents = { fp32_contents: new Array(784).fill(0) };
    const input = { name: 'pixels', datatype: 'FP32', shape: [1, 784], contents };
    const request = JSON.stringify({ model_name: 'digits', inputs: [input] });
    const method = 'inference.GRPCInferenceService/ModelInfer';
    const inferred = await run(grpcurl, '-plaintext', '-d', request, target, method);
    assert.equal(inferred.code, 0, inferred.stderr);
    const answer = JSON.parse(inferred.stdout) as { modelName: string; rawOutputContents: string[] };
    assert.equal(answer.modelName, 'digits');
    assert.ok(answer.rawOutputContents.length >= 1);
  });

  it('grpcurl asks for the health of the model', async function () {
    const grpcurl = await toolOrSkip(this, 'grpcurl');
    const request = '{"service": "digits"}';
    const method = 'grpc.health.v1.Health/Check';
    const { stdout, stderr } = await run(grpcurl, '-plaintext', '-d', request, target, method);
    assert.deepEqual(JSON.parse(stdout || '{}'), { status: 'SERVING' }, stderr);
  });
});
