/** Golden probes of a server that answers as the test says. */

import assert from 'node:assert/strict';
import { createServer, type Http2Server, type ServerHttp2Stream } from 'node:http2';
import { join } from 'node:path';
import fc from 'fast-check';
import { protocols } from '../../../../proto/load.js';
import type { ModelInferResponse } from '../../../../proto/messages.js';
import { decodeInferResponse, decodeMetadataResponse } from '../../../../sidecar/codec/inference.js';
import type { Address } from '../../../../sidecar/config/model.js';
import { GoldenProbes } from '../../../../sidecar/health/model/golden-probe.js';
import { listModels } from '../../../../sidecar/health/model/model-directory.js';
import type { ProbeAnswer } from '../../../../sidecar/health/model/probe.js';
import { systemTimers } from '../../../../sidecar/runtime/time/timers.js';
import { Scratch } from '../../../kit/process/outrider.js';
import { putModel } from '../../../kit/service/tiny-models.js';

const { inference } = protocols();
const INFER = inference.ModelInfer.path;

describe('golden probe', () => {
  let scratch: Scratch;
  const ending: (() => unknown)[] = [];

  beforeEach(() => {
    scratch = new Scratch();
  });

  afterEach(async () => {
    for (const end of ending.splice(0).reverse()) await end();
    scratch.remove();
  });

  const socket = () => join(scratch.path, 'model.sock');

  function probes(models: string, at = socket()): GoldenProbes {
    const address: Address = { kind: 'unix', path: at };
    const made = GoldenProbes.open(models, address, systemTimers);
    ending.push(() => made.close());
    return made;
  }

  describe('of a foreign server', () => {
    const MODEL = {
      golden: { inputs: { x: { shape: [2], values: [1, 2] } }, outputs: { y: { values: [3, 4] } } },
    };

    /** `answers` gets path and request message, and gives the answer's message or a status. */
    async function serveForeign(answers: (path: string, message: Buffer) => Buffer | number): Promise<void> {
      const server: Http2Server = createServer();
      server.on('stream', (stream: ServerHttp2Stream, headers) => {
        const parts: Buffer[] = [];
        stream.on('error', () => {});
        stream.on('data', (part: Buffer) => parts.push(part));
        stream.on('end', () => {
          const answer = answers(String(headers[':path']), Buffer.concat(parts).subarray(5));
          const common = { ':status': 200, 'content-type': 'application/grpc' };
          if (typeof answer === 'number') {
            stream.respond({ ...common, 'grpc-status': String(answer) }, { endStream: true });
            return;
          }
          stream.respond(common, { waitForTrailers: true });
          stream.on('wantTrailers', () => stream.sendTrailers({ 'grpc-status': '0' }));
          const prefix = Buffer.alloc(5);
          prefix.writeUInt32BE(answer.length, 1);
          stream.end(Buffer.concat([prefix, answer]));
        });
      });
      await new Promise<void>((resolve) => server.listen(socket(), resolve));
      ending.push(() => new Promise<void>((resolve) => server.close(() => resolve())));
    }

    const UNIMPLEMENTED = 12;

    async function ask(response: Partial<ModelInferResponse> | Buffer | number): Promise<ProbeAnswer> {
      const answer =
        typeof response === 'number' || Buffer.isBuffer(response)
          ? response
          : inference.ModelInfer.responseSerialize(response as ModelInferResponse);
      await serveForeign((path) => (path === INFER ? answer : UNIMPLEMENTED));
      const models = join(scratch.path, 'foreign');
      putModel(models, 'm', Buffer.alloc(0), MODEL);
      return probes(models).ask(5_000);
    }

    const y = (values: number[], more: object = {}) => ({
      outputs: [
        { name: 'other', datatype: 'INT64', shape: [1], contents: { int64_contents: [-1] } },
        { name: 'y', datatype: 'FP32', shape: [values.length], contents: { fp32_contents: values }, ...more },
      ],
    });

    it('sends what the protocol says: names, version, FP32 where nobody says otherwise, raw contents', async () => {
      const requests: unknown[] = [];
      await serveForeign((path, message) => {
        if (path !== INFER) return UNIMPLEMENTED;
        requests.push(inference.ModelInfer.requestDeserialize(message));
        return inference.ModelInfer.responseSerialize(y([3, 4]) as unknown as ModelInferResponse);
      });
      const models = join(scratch.path, 'foreign');
      putModel(models, 'm', Buffer.alloc(0), MODEL, '7');
      putModel(models, 'm', Buffer.alloc(0), MODEL, '12');
      assert.deepEqual(await probes(models).ask(5_000), { kind: 'passed' });
      const [request] = requests as Record<string, unknown>[];
      assert.deepEqual([request!['model_name'], request!['model_version']], ['m', '12']);
      const [input] = request!['inputs'] as Record<string, unknown>[];
      assert.deepEqual([input!['name'], input!['datatype'], input!['shape']], ['x', 'FP32', ['2']]);
      const [raw] = request!['raw_input_contents'] as Buffer[];
      assert.deepEqual([raw!.readFloatLE(0), raw!.readFloatLE(4)], [1, 2]);
    });

    it('follows the version that is served since the server started again, and says what is wrong with its card', async () => {
      let served = '1';
      await serveForeign((path, message) => {
        if (path !== INFER) return UNIMPLEMENTED;
        const { model_version: version } = inference.ModelInfer.requestDeserialize(message);
        if (version !== served) return 5;
        return inference.ModelInfer.responseSerialize(y([3, 4]) as unknown as ModelInferResponse);
      });
      const models = join(scratch.path, 'foreign');
      putModel(models, 'm', Buffer.alloc(0), MODEL, '1');
      const probe = probes(models);
      assert.equal((await probe.ask(5_000)).kind, 'passed');
      putModel(models, 'm', Buffer.alloc(0), MODEL, '2');
      assert.equal((await probe.ask(5_000)).kind, 'passed', 'it is there, and not served yet');
      served = '2';
      assert.equal(whyOf(await probe.ask(5_000)), 'the golden input got NOT_FOUND');
      assert.equal((await probe.ask(5_000)).kind, 'passed');
      putModel(models, 'm', Buffer.alloc(0), {}, '3');
      served = '3';
      await probe.ask(5_000);
      assert.match(whyOf(await probe.ask(5_000)), /m\/3\/model\.yaml: golden: missing/);
      putModel(models, 'm', Buffer.alloc(0), MODEL, '3');
      assert.equal((await probe.ask(5_000)).kind, 'passed');
    });

    it('understands typed contents', async () => assert.deepEqual(await ask(y([3, 4])), { kind: 'passed' }));

    it('compares text and integers exactly', async () => {
      const answer = await ask({
        outputs: [{ name: 'y', datatype: 'INT32', shape: [2], contents: { int_contents: [3, -4] } }],
      } as Partial<ModelInferResponse>);
      assert.equal(whyOf(answer), 'golden output differs: y[1] is -4, expected 4');
    });

    for (const [name, response, why] of [
      ['NaN', y([3, Number.NaN]), 'golden output differs: y[1] is NaN, expected 4'],
      ['a missing output', { outputs: [] }, 'golden output differs: y is missing'],
      ['too few elements', y([3]), 'golden output differs: y has 1 elements, expected 2'],
      [
        'a shape that lies',
        y([3, 4], { shape: [5] }),
        /^the golden output cannot be read: y: found 2 elements/,
      ],
      [
        'a made-up datatype',
        y([3, 4], { datatype: 'FP7' }),
        /^the golden output cannot be read: y has the datatype 'FP7'/,
      ],
      ['bytes that are no message', Buffer.from([0x2a, 0xff]), /^the golden output cannot be read: /],
      ['UNAVAILABLE', 14, 'the golden input got UNAVAILABLE'],
    ] as const)
      it(`fails ${name}`, async () => {
        const answer = await ask(response as Partial<ModelInferResponse>);
        assert.ok(answer.kind === 'wrong' || answer.kind === 'failed');
        if (typeof why === 'string') assert.equal(answer.why, why);
        else assert.match(answer.why, why);
      });

    it('takes DEADLINE_EXCEEDED for silence: a model that was too late said nothing', async () => {
      assert.equal((await ask(4)).kind, 'silent');
    });

    it('is silent when nobody listens', async () => {
      const models = join(scratch.path, 'foreign');
      putModel(models, 'm', Buffer.alloc(0), MODEL);
      assert.equal((await probes(models).ask(1_000)).kind, 'silent');
    });
  });

  it('says in one line why there is nothing to probe with', () => {
    assert.throws(() => probes('/nowhere'), /^Error: model directory \/nowhere cannot be read: ENOENT$/);
    assert.throws(() => probes(scratch.path), /found no models/);
    putModel(scratch.path, 'm', Buffer.alloc(0), { description: 'no golden block' });
    assert.throws(() => probes(scratch.path), /m\/1\/model\.yaml: golden: missing/);
  });

  it('lists models with their highest version', () => {
    for (const version of ['2', '10', '9']) putModel(scratch.path, 'b', Buffer.alloc(0), {}, version);
    putModel(scratch.path, 'a', Buffer.alloc(0), {}, '1');
    putModel(scratch.path, '.hidden', Buffer.alloc(0), {}, '1');
    putModel(scratch.path, 'unfinished', Buffer.alloc(0), {}, 'draft');
    const listed = listModels(scratch.path).map(({ name, version }) => `${name}:${version}`);
    assert.deepEqual(listed, ['a:1', 'b:10']);
  });

  it('reads whatever bytes without anything but a RangeError', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 60 }), (bytes) => {
        for (const decode of [decodeInferResponse, decodeMetadataResponse]) {
          try {
            decode(Buffer.from(bytes));
          } catch (error) {
            assert.ok(error instanceof RangeError);
          }
        }
      }),
      { numRuns: 2_000 },
    );
  });
});

function whyOf(answer: ProbeAnswer): string {
  return answer.kind === 'passed' ? '' : answer.why;
}
