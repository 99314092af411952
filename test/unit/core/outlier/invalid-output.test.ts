import assert from 'node:assert/strict';
import {
  type InspectedResponse,
  invalidOutput,
  isBlamed,
  OUTPUT_BUCKET_MS,
  ResponseShapes,
} from '../../../../sidecar/core/outlier/invalid-output.js';
import { windowOf } from '../../../kit/core/ejections.js';

const response = (over: Partial<InspectedResponse> = {}): InspectedResponse => ({
  ...{ model: 'digits 1', shape: 'y FP32[10]', flaw: '' },
  ...over,
});

describe('The invalid-output detector', () => {
  it('suspects an endpoint whose response is invalid, whatever its peers answer', () => {
    const shapes = new ResponseShapes<string>();
    assert.equal(shapes.suspicion('a', response({ flaw: 'output "y" holds NaN' })), 'output "y" holds NaN');
  });

  it('suspects an endpoint whose response has another shape than two peers that agree', () => {
    const shapes = new ResponseShapes<string>();
    const odd = response({ shape: 'y FP32[9]' });
    assert.equal(shapes.suspicion('a', response()), '');
    assert.equal(shapes.suspicion('b', odd), '', 'of two either may be wrong');
    assert.equal(shapes.suspicion('c', response()), '');
    assert.equal(shapes.suspicion('b', odd), 'answers y FP32[9] where its peers answer y FP32[10]');
    assert.equal(shapes.suspicion('a', response()), '', 'b and c differ');
    shapes.forget('b');
    assert.equal(shapes.suspicion('a', response()), '');
  });

  it('compares responses of one model and version only', () => {
    const shapes = new ResponseShapes<string>();
    for (const member of ['a', 'b', 'c']) shapes.suspicion(member, response());
    assert.equal(shapes.suspicion('d', response({ model: 'digits 2', shape: 'y FP32[9]' })), '');
  });

  it('blames an endpoint when a peer gives a valid response to the same request', () => {
    const flawed = response({ flaw: 'output "y" holds NaN' });
    assert.ok(isBlamed(flawed, response()));
    assert.ok(!isBlamed(flawed, flawed), 'the input is what is wrong');
    assert.ok(isBlamed(response({ shape: 'y FP32[9]' }), response()));
    assert.ok(!isBlamed(response({ shape: 'y FP32[9]' }), response({ shape: 'y FP32[9]' })));
    assert.ok(!isBlamed(flawed, response({ model: 'digits 2' })), 'another version proves nothing');
  });

  it('finds an endpoint by the share of invalid responses among the samples of a minute', () => {
    const window = windowOf(10, 9, 0, OUTPUT_BUCKET_MS);
    const find = () => invalidOutput.find([window], { above: 0.5, minSamples: 20 }, 0)[0];
    assert.equal(find(), undefined);
    window.fault(0);
    assert.equal(find(), undefined, 'half is not more than half');
    window.fault(0);
    assert.match(find()!.why, /^11 of 21 sampled answers in 60 s are invalid/);
    window.moveTo(60_000);
    assert.equal(find(), undefined);
  });
});
