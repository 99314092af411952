/** The table of states: what it leads to, and what it refuses. */
import assert from 'node:assert/strict';
import fc from 'fast-check';
import {
  LIFE_EVENTS,
  LIFE_STATES,
  LIFE_TABLE,
  type LifeState,
  nextLife,
  transitionsTo,
} from '../../../../sidecar/core/models/life.js';

describe('the states of a version', () => {
  const walk = (...events: (typeof LIFE_EVENTS)[number][]): LifeState => {
    let state: LifeState = 'pending';
    for (const event of events) {
      const step = nextLife(state, event);
      assert.equal(step.kind, 'moved', `${event} in ${state}`);
      if (step.kind === 'moved') state = step.state;
    }
    return state;
  };

  it('lead from its directory into service and out of it', () => {
    assert.equal(walk('start', 'loaded', 'warmed', 'serve'), 'serving');
    assert.equal(walk('start', 'loaded', 'warmed', 'hold', 'serve', 'drain', 'stop'), 'stopped');
    assert.equal(walk('start', 'loaded', 'warmed', 'hold', 'reject'), 'rejected');
    assert.equal(walk('start', 'die', 'start', 'die', 'give-up', 'start', 'loaded', 'lapse'), 'loading');
    assert.equal(walk('start', 'loaded', 'warmed', 'serve', 'doubt', 'clear', 'doubt', 'die'), 'backing-off');
    assert.equal(walk('reject', 'retry'), 'pending');
  });

  it('refuse what the table does not have, by name', () => {
    assert.deepEqual(nextLife('rejected', 'serve'), {
      kind: 'refused',
      why: 'found serve in the state rejected; expected retry, stop',
    });
    assert.deepEqual(nextLife('draining', 'serve'), {
      kind: 'refused',
      why: 'found serve in the state draining; expected stop',
    });
  });

  it('never leave the table, whatever events come in whatever order', () => {
    fc.assert(
      fc.property(fc.array(fc.constantFrom(...LIFE_EVENTS), { maxLength: 50 }), (events) => {
        let state: LifeState = 'pending';
        for (const event of events) {
          const step = nextLife(state, event);
          assert.equal(step.kind === 'moved', event in LIFE_TABLE[state]);
          if (step.kind === 'moved') state = step.state;
          assert.ok(LIFE_STATES.includes(state));
        }
      }),
    );
  });

  it('can each be reached from each other, and only by transitions that follow from each other', () => {
    for (const from of LIFE_STATES)
      for (const to of LIFE_STATES) {
        const way = transitionsTo(from, to);
        assert.ok(way !== undefined, `${from} to ${to}`);
        let state = from;
        for (const step of way) {
          assert.equal(step.from, state);
          assert.deepEqual(nextLife(state, step.event), { kind: 'moved', state: step.to });
          state = step.to;
        }
        assert.equal(state, to);
      }
  });

  it('have no way out of a drain but its end', () => {
    for (const to of LIFE_STATES.filter((each) => each !== 'draining'))
      assert.equal(transitionsTo('draining', to)![0]!.to, 'stopped');
  });
});
