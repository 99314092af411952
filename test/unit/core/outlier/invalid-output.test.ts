import assert from 'node:assert/strict';
import {
  type InspectedResponse,
  invalidOutput,
  isBlamed,
  ResponseShapes,
} from '../../../../sidecar/core/outlier/invalid-output.js';
import { OutputWindow } from '../../../../sidecar/core/outlier/output-window.js';

const response = (over: Partial<InspectedResponse> = {}): InspectedResponse => ({
  ...{ model: 'digits 1', shape: 'y FP32[10]', flaw: '' },
  ...over,
});

/** Inspected responses in their order: `.` is a valid one, `!` an invalid one. */
const outputs = (text: string): OutputWindow => {
  const window = new OutputWindow();
  for (const each of text) window[each === '!' ? 'fault' : 'success'](0);
  return window;
};

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
    const window = outputs('..........!!!!!!!!!');
    const find = () => invalidOutput.find([window], { above: 0.5, minSamples: 20 }, 0)[0];
    assert.equal(find(), undefined);
    window.fault(0);
    assert.equal(find(), undefined, 'half is not more than half');
    window.fault(0);
    assert.match(find()!.why, /^11 of 21 sampled answers in 60 s are invalid/);
    window.moveTo(60_000);
    assert.equal(find(), undefined);
  });

  it('finds one that has broken after many good responses by the latest, where these cannot be chance', () => {
    const find = (text: string, above = 0.5) =>
      invalidOutput.find([outputs('.'.repeat(500) + text)], { above, minSamples: 5 }, 0)[0];
    assert.equal(find('!'.repeat(14)), undefined);
    assert.match(find('!'.repeat(15))!.why, /^15 of the last 20 sampled answers/);
    assert.equal(find('!.'.repeat(40)), undefined, 'half of them, for long');
    assert.equal(find('!!.!..!.'.repeat(3), 0.9), undefined);
    assert.equal(find('!....................'), undefined, 'a single one');
  });
});
