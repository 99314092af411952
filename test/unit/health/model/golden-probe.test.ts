/** Golden probes of a server that answers as the test says. */

import assert from 'node:assert/strict';
import { join } from 'node:path';
import fc from 'fast-check';
import { protocols } from '../../../../proto/load.js';
import type { ModelInferResponse } from '../../../../proto/messages.js';
import { decodeInferResponse, decodeMetadataResponse } from '../../../../sidecar/codec/inference.js';
import { GoldenProbes } from '../../../../sidecar/health/model/golden-probe.js';
import { listModels } from '../../../../sidecar/health/model/model-directory.js';
import type { ProbeAnswer } from '../../../../sidecar/health/model/probe.js';
import { systemTimers } from '../../../../sidecar/runtime/time/timers.js';
import { afterTest } from '../../../kit/mocha/after-test.js';
import { Scratch } from '../../../kit/process/outrider.js';
import { prefixed, respond, respondStatus, serveOnSocket } from '../../../kit/service/socket-server.js';
import { putModel } from '../../../kit/service/tiny-models.js';

const { inference } = protocols();
const INFER = inference.ModelInfer.path;
const UNIMPLEMENTED = 12;
const MODEL = {
  golden: { inputs: { x: { shape: [2], values: [1, 2] } }, outputs: { y: { values: [3, 4] } } },
};

describe('golden probe', () => {
  let scratch: Scratch;
  beforeEach(() => {
    scratch = new Scratch();
    afterTest(() => scratch.remove());
  });

  const socket = () => join(scratch.path, 'model.sock');
  /** The directory of models, with a new version of the model `m`. */
  const models = (card: object = MODEL, version = '1'): string => {
    const folder = join(scratch.path, 'foreign');
    putModel(folder, 'm', Buffer.alloc(0), card, version);
    return folder;
  };

  function probes(folder: string): GoldenProbes {
    const made = GoldenProbes.open(folder, { kind: 'unix', path: socket() }, { timers: systemTimers });
    afterTest(() => made.close());
    return made;
  }

  describe('of a foreign server', () => {
    /** `infer` gets the request of an inference, and gives the message of its answer or a status. */
    const serveForeign = (infer: (message: Buffer) => Buffer | number) =>
      serveOnSocket(socket(), ({ stream, headers, message }) => {
        const answer = headers[':path'] === INFER ? infer(message) : UNIMPLEMENTED;
        if (typeof answer === 'number') respondStatus(stream, answer);
        else respond(stream, prefixed(answer));
      });
    const inferred = (response: object): Buffer =>
      inference.ModelInfer.responseSerialize(response as ModelInferResponse);

    async function ask(response: object | Buffer | number): Promise<ProbeAnswer> {
      const isRaw = typeof response === 'number' || Buffer.isBuffer(response);
      await serveForeign(() => (isRaw ? response : inferred(response)));
      return probes(models()).ask(5_000);
    }

    const y = (values: number[], more: object = {}) => ({
      outputs: [
        { name: 'other', datatype: 'INT64', shape: [1], contents: { int64_contents: [-1] } },
        { name: 'y', datatype: 'FP32', shape: [values.length], contents: { fp32_contents: values }, ...more },
      ],
    });

    it('sends what the protocol says: names, version, FP32 by default, raw contents', async () => {
      const requests: unknown[] = [];
      await serveForeign((message) => {
        requests.push(inference.ModelInfer.requestDeserialize(message));
        return inferred(y([3, 4]));
      });
      models(MODEL, '7');
      assert.deepEqual(await probes(models(MODEL, '12')).ask(5_000), { kind: 'passed' });
      const [request] = requests as Record<string, unknown>[];
      assert.deepEqual([request!['model_name'], request!['model_version']], ['m', '12']);
      const [input] = request!['inputs'] as Record<string, unknown>[];
      assert.deepEqual([input!['name'], input!['datatype'], input!['shape']], ['x', 'FP32', ['2']]);
      const [raw] = request!['raw_input_contents'] as Buffer[];
      assert.deepEqual([raw!.readFloatLE(0), raw!.readFloatLE(4)], [1, 2]);
    });

    it('follows the version that is served since the server started again, and says what is wrong with its card', async () => {
      let served = '1';
      await serveForeign((message) => {
        const { model_version: version } = inference.ModelInfer.requestDeserialize(message);
        return version === served ? inferred(y([3, 4])) : 5;
      });
      const probe = probes(models());
      assert.equal((await probe.ask(5_000)).kind, 'passed');
      models(MODEL, '2');
      assert.equal((await probe.ask(5_000)).kind, 'passed', 'it is there, and not served yet');
      served = '2';
      assert.equal(whyOf(await probe.ask(5_000)), 'the golden input got NOT_FOUND');
      assert.equal((await probe.ask(5_000)).kind, 'passed');
      models({}, '3');
      served = '3';
      await probe.ask(5_000);
      assert.match(whyOf(await probe.ask(5_000)), /m\/3\/model\.yaml: golden: missing/);
      models(MODEL, '3');
      assert.equal((await probe.ask(5_000)).kind, 'passed');
    });

    it('understands typed contents', async () => assert.deepEqual(await ask(y([3, 4])), { kind: 'passed' }));

    it('compares text and integers exactly', async () => {
      const answer = await ask({
        outputs: [{ name: 'y', datatype: 'INT32', shape: [2], contents: { int_contents: [3, -4] } }],
      });
      assert.equal(whyOf(answer), 'golden output differs: y[1] is -4, expected 4');
    });

    const unreadable = 'the golden output cannot be read:';
    for (const [name, response, why] of [
      ['NaN', y([3, Number.NaN]), /^golden output differs: y\[1\] is NaN, expected 4$/],
      ['a missing output', { outputs: [] }, /^golden output differs: y is missing$/],
      ['too few elements', y([3]), /^golden output differs: y has 1 elements, expected 2$/],
      ['a shape that lies', y([3, 4], { shape: [5] }), RegExp(`^${unreadable} y: found 2 elements`)],
      [
        'a made-up datatype',
        y([3, 4], { datatype: 'FP7' }),
        RegExp(`^${unreadable} y has the datatype 'FP7'`),
      ],
      ['bytes that are no message', Buffer.from([0x2a, 0xff]), RegExp(`^${unreadable} `)],
      ['UNAVAILABLE', 14, /^the golden input got UNAVAILABLE$/],
    ] as const)
      it(`fails ${name}`, async () => {
        const answer = await ask(response);
        assert.ok(answer.kind === 'wrong' || answer.kind === 'failed');
        assert.match(answer.why, why);
      });

    it('takes DEADLINE_EXCEEDED for silence: a model that was too late said nothing', async () =>
      assert.equal((await ask(4)).kind, 'silent'));

    it('is silent when nothing listens', async () =>
      assert.equal((await probes(models()).ask(1_000)).kind, 'silent'));
  });

  it('says in one line why there is nothing to probe with', () => {
    assert.throws(() => probes('/nowhere'), /^Error: model directory \/nowhere cannot be read: ENOENT$/);
    assert.throws(() => probes(scratch.path), /found no models/);
    putModel(scratch.path, 'm', Buffer.alloc(0), { description: 'no golden block' });
    assert.throws(() => probes(scratch.path), /m\/1\/model\.yaml: golden: missing/);
  });

  it('lists models with their highest version', () => {
    for (const directory of ['b/2', 'b/10', 'b/9', 'a/1', '.hidden/1', 'unfinished/draft']) {
      const [name, version] = directory.split('/');
      putModel(scratch.path, name!, Buffer.alloc(0), {}, version);
    }
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
