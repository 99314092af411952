import assert from 'node:assert/strict';
import {
  type InspectedAnswer,
  isChargeable,
  judgeOutputs,
  outputWindow,
  ResponseShapes,
} from '../../../../sidecar/core/outlier/invalid-output.js';

const answer = (over: Partial<InspectedAnswer> = {}): InspectedAnswer => ({
  model: 'digits 1',
  form: 'y FP32[10]',
  flaw: '',
  ...over,
});

describe('Invalid output', () => {
  it('is suspected where an answer is flawed, whatever the others say', () => {
    const forms = new ResponseShapes<string>();
    assert.equal(forms.suspicion('a', answer({ flaw: 'output "y" holds NaN' })), 'output "y" holds NaN');
  });

  it('is suspected where the peers agree on another form, two of them at least', () => {
    const forms = new ResponseShapes<string>();
    const odd = answer({ form: 'y FP32[9]' });
    assert.equal(forms.suspicion('a', answer()), '');
    assert.equal(forms.suspicion('b', odd), '', 'of two nobody can say who is right');
    assert.equal(forms.suspicion('c', answer()), '');
    assert.equal(forms.suspicion('b', odd), 'answers y FP32[9] where its peers answer y FP32[10]');
    assert.equal(forms.suspicion('a', answer()), '', 'b and c differ');
    forms.forget('b');
    assert.equal(forms.suspicion('a', answer()), '');
  });

  it('compares answers of one model and version only', () => {
    const forms = new ResponseShapes<string>();
    for (const who of ['a', 'b', 'c']) forms.suspicion(who, answer());
    assert.equal(forms.suspicion('d', answer({ model: 'digits 2', form: 'y FP32[9]' })), '');
  });

  it('is charged when a peer answers the same request properly', () => {
    const flawed = answer({ flaw: 'output "y" holds NaN' });
    assert.ok(isChargeable(flawed, answer()));
    assert.ok(!isChargeable(flawed, flawed), 'the input is what is wrong');
    assert.ok(isChargeable(answer({ form: 'y FP32[9]' }), answer()));
    assert.ok(!isChargeable(answer({ form: 'y FP32[9]' }), answer({ form: 'y FP32[9]' })));
    assert.ok(!isChargeable(flawed, answer({ model: 'digits 2' })), 'another version proves nothing');
  });

  it('convicts by the share of charged samples in a minute', () => {
    const settings = { above: 0.5, minSamples: 20 };
    const window = outputWindow();
    for (let i = 0; i < 10; i += 1) window.success(0);
    for (let i = 0; i < 9; i += 1) window.fault(0);
    assert.equal(judgeOutputs(window, settings), '');
    window.fault(0);
    assert.equal(judgeOutputs(window, settings), '', 'half is not more than half');
    window.fault(0);
    assert.match(judgeOutputs(window, settings), /^11 of 21 sampled answers in 60 s are invalid/);
    window.moveTo(60_000);
    assert.equal(judgeOutputs(window, settings), '');
  });
});
