/** The states of a load. */
import assert from 'node:assert/strict';
import fc from 'fast-check';
import {
  type InstanceFact,
  type LoadState,
  nextLoadState,
} from '../../../../sidecar/core/models/load-state.js';

describe('a load', () => {
  const READY: InstanceFact = { kind: 'ready' };
  const STARTING: InstanceFact = { kind: 'starting' };
  const AWAY: InstanceFact = { kind: 'away', why: 'the golden output differs' };
  const LOADING: LoadState = { kind: 'loading' };
  const next = (state: LoadState, ...instances: InstanceFact[]) => nextLoadState(state, instances, false);

  it('ends well when each process serves, or cannot while another does', () => {
    assert.deepEqual(next(LOADING, STARTING, STARTING), LOADING);
    assert.deepEqual(next(LOADING, READY, STARTING), LOADING, 'half of the processes is half of the calls');
    assert.deepEqual(next(LOADING, READY, READY), { kind: 'ready' });
    assert.deepEqual(next(LOADING, AWAY, READY), { kind: 'ready' });
  });

  it('ends badly, with the reason, when a process says that it cannot and none serves', () => {
    const failed = next(LOADING, STARTING, AWAY);
    assert.deepEqual(failed, { kind: 'failed', why: 'the golden output differs' });
    assert.deepEqual(next(failed, READY, READY), failed, 'and stays so');
  });

  it('goes on in the care of the supervisor where no other revision was ever served', () => {
    const bad = nextLoadState(LOADING, [AWAY], true);
    assert.deepEqual(bad, { kind: 'unavailable', why: 'the golden output differs' });
    assert.deepEqual(nextLoadState(bad, [READY], true), { kind: 'ready' });
  });

  it('is followed by what its processes do', () => {
    const ready = next(LOADING, READY, READY);
    assert.deepEqual(next(ready, AWAY, READY), ready, 'one serves');
    const away = next(ready, AWAY, AWAY);
    assert.equal(away.kind, 'unavailable');
    assert.deepEqual(next(away, AWAY, READY), { kind: 'ready' });
  });

  it('does not come back from unloading', () => {
    assert.deepEqual(next({ kind: 'unloading' }, READY), { kind: 'unloading' });
  });

  it('is ready only while a process is', () => {
    const fact = fc.constantFrom(READY, STARTING, AWAY);
    fc.assert(
      fc.property(
        fc.array(fc.array(fact, { minLength: 2, maxLength: 2 })),
        fc.boolean(),
        (all, isRetried) => {
          let state: LoadState = LOADING;
          return all.every((facts) => {
            state = nextLoadState(state, facts, isRetried);
            return state.kind !== 'ready' || facts.includes(READY);
          });
        },
      ),
    );
  });
});
