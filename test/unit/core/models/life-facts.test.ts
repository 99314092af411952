/** The state that is meant by what is seen of a version and its processes. */
import assert from 'node:assert/strict';
import fc from 'fast-check';
import { LIFE_STATES } from '../../../../sidecar/core/models/life.js';
import { type LifeFacts, lifeOf, type ProcessFact } from '../../../../sidecar/core/models/life-facts.js';

describe('the state of a version by its facts', () => {
  const facts = (load: LifeFacts['load'], ...processes: ProcessFact[]): LifeFacts => ({
    ...{ load, processes, isHeld: false, isProven: false, rejection: '', suspicion: '' },
  });

  it('follows its processes while it loads', () => {
    assert.equal(lifeOf(facts('loading', 'none'), 'pending'), 'pending');
    assert.equal(lifeOf(facts('loading', 'starting'), 'pending'), 'loading');
    assert.equal(lifeOf(facts('loading', 'starting', 'warming'), 'loading'), 'warming');
    assert.equal(lifeOf(facts('loading', 'backing-off'), 'loading'), 'backing-off');
    assert.equal(lifeOf(facts('loading', 'backing-off', 'starting'), 'loading'), 'loading');
    assert.equal(lifeOf(facts('unavailable', 'given-up'), 'backing-off'), 'given-up');
    assert.equal(lifeOf(facts('failed', 'none'), 'warming'), 'rejected');
  });

  it('is service once it is ready, unless it is held back or suspected', () => {
    assert.equal(lifeOf(facts('ready', 'ready'), 'warming'), 'serving');
    assert.equal(lifeOf({ ...facts('ready', 'ready'), isHeld: true }, 'warming'), 'golden');
    assert.equal(lifeOf({ ...facts('ready', 'ready'), isHeld: true, isProven: true }, 'golden'), 'shadow');
    assert.equal(lifeOf({ ...facts('ready', 'ready'), suspicion: 'its memory grows' }, 'serving'), 'suspect');
  });

  it('is a suspicion only of what has served', () => {
    assert.equal(lifeOf(facts('unavailable', 'unresponsive'), 'serving'), 'suspect');
    assert.equal(lifeOf(facts('loading', 'unresponsive'), 'loading'), 'backing-off');
  });

  it('drains what had calls, and stops what had none', () => {
    assert.equal(lifeOf(facts('unloading', 'ready'), 'serving'), 'draining');
    assert.equal(lifeOf(facts('unloading', 'none'), 'pending'), 'stopped');
    assert.equal(lifeOf(facts('unloading', 'none'), 'rejected'), 'rejected');
  });

  it('is always one of the table', () => {
    const process = fc.constantFrom<ProcessFact>('none', 'starting', 'warming', 'ready', 'unresponsive');
    const load = fc.constantFrom<LifeFacts['load']>('loading', 'ready', 'unavailable', 'failed', 'unloading');
    fc.assert(
      fc.property(
        load,
        fc.array(process, { maxLength: 4 }),
        fc.constantFrom(...LIFE_STATES),
        (kind, all, before) => {
          assert.ok(LIFE_STATES.includes(lifeOf(facts(kind, ...all), before)));
        },
      ),
    );
  });
});
