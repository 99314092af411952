import assert from 'node:assert/strict';
import {
  codeOfLetter,
  lettersOf,
  stateCode,
  stateOfCode,
} from '../../../../sidecar/core/history/replica-state.js';

describe('states of a replica', () => {
  it('are one letter each, and the more severe one has the higher code', () => {
    const states = ['none', 'ready', 'suspect', 'down', 'ejected', 'draining', 'restarting'] as const;
    const letters = lettersOf(states.map(stateCode));
    assert.equal(letters, '-rsnedx');
    assert.deepEqual(
      [...letters].map((letter) => stateOfCode(codeOfLetter(letter))),
      states,
    );
    assert.ok(stateCode('ejected') > stateCode('suspect') && stateCode('restarting') > stateCode('ejected'));
  });

  it('of a newer sidecar are none that is known', () => {
    assert.deepEqual([codeOfLetter('?'), stateOfCode(99), lettersOf([99])], [0, 'none', '-']);
  });
});
