import assert from 'node:assert/strict';
import { ANSWER_READERS } from '../../../../sidecar/cluster/output-check/answer-readers.js';
import { MessageWriter } from '../../../../sidecar/codec/protobuf.js';
import { grpcMessage } from '../../../kit/http2/h2-frames.js';
import { aPredictAnswer, aTensor } from '../../../kit/service/infer-answers.js';
import { kept } from '../../../kit/service/infer-requests.js';

const inspect = ANSWER_READERS.get('/tensorflow.serving.PredictionService/Predict')!;
const look = (body: Buffer, frame?: number) => inspect(kept(body, frame), 7);

describe('An answer of TensorFlow Serving under inspection', () => {
  it('is known by its model, its version and the form of its outputs', () => {
    const found = look(aPredictAnswer({ b: aTensor([1, 2, 3], { shape: [1, 3] }), a: aTensor([1]) }))!;
    assert.equal(found.model, '["digits","3"]');
    assert.equal(found.shape, '"a" FP32[1], "b" FP32[3]');
    assert.deepEqual([found.flaw, found.rest], ['', null]);
  });

  for (const [kind, bad] of Object.entries({
    float_val: () => aTensor([1, Number.NaN]),
    double_val: () => aTensor([1, Number.POSITIVE_INFINITY], { type: 2 }),
    tensor_content: () => aTensor([Number.NaN, 1], { isContent: true }),
    'tensor_content of FP64': () => aTensor([Number.NaN, 1], { type: 2, isContent: true }),
  }))
    it(`with NaN or an infinity in ${kind} is flawed, in whatever pieces it comes`, () => {
      for (const frame of [3, 7, 16_384]) {
        const flaw = look(aPredictAnswer({ ok: aTensor([0.5]), scores: bad() }), frame)?.flaw;
        assert.equal(flaw, 'output "scores": 1 of 2 numbers are NaN or infinite', `${frame}`);
      }
    });

  it('may leave out numbers that are the same as the last, and may hold other types', () => {
    const short = aTensor([0.5], { shape: [1, 1_000] });
    const other = new MessageWriter().number(1, 7).bytes(8, Buffer.from('NaN'));
    const found = look(aPredictAnswer({ short, other }));
    assert.deepEqual([found?.flaw, found?.shape], ['', '"other" type 7[], "short" FP32[1000]']);
  });

  it('of many numbers is sampled, and all of it can be searched', () => {
    const scores = new Array<number>(80_000).fill(0.5);
    const clean = look(aPredictAnswer({ scores: aTensor(scores) }), 65_536)!;
    assert.deepEqual([clean.flaw, clean.rest === null], ['', false]);
    scores[3] = Number.NaN;
    const { rest } = look(aPredictAnswer({ scores: aTensor(scores) }), 65_536)!;
    let isOdd = rest!.step();
    while (isOdd === undefined) isOdd = rest!.step();
    assert.equal(isOdd, true);
  });

  it('that is none is not read', () => {
    const good = aPredictAnswer({ scores: aTensor([1]) });
    const zipped = Buffer.concat([Buffer.from([1]), good.subarray(1)]);
    const bodies = [Buffer.alloc(0), zipped, good.subarray(0, -1), grpcMessage(Buffer.from('no message'))];
    for (const body of bodies) assert.equal(look(body), undefined);
  });
});
