import assert from 'node:assert/strict';
import { AnnouncedModels } from '../../../../sidecar/app/models/announced-models.js';
import { ManualClock } from '../../../kit/time/manual-clock.js';

describe('Announced models', () => {
  let clock: ManualClock;
  let there: string[];
  let told: string[];
  let announced: AnnouncedModels;
  const read = () => there.map((name) => ({ name, version: '1' }));
  const has = (...names: string[]): void => {
    there = names;
    announced.look();
  };

  beforeEach(() => {
    clock = new ManualClock();
    there = ['digits'];
    told = [];
    announced = new AnnouncedModels(read, { clock, timers: clock }, () =>
      told.push(announced.models.map(({ name }) => name).join()),
    );
  });

  it('are those that are there at the start, and change at once when these do', () => {
    assert.deepEqual(announced.models, [{ name: 'digits', version: '1' }]);
    has('digits');
    has('digits', 'words');
    assert.deepEqual(told, ['digits,words']);
    assert.equal(clock.pending(), 0);
  });

  it('change once in five seconds at most, to what is there then', () => {
    has('digits', 'words');
    clock.advance(1_000);
    has('words');
    has('words', 'other');
    clock.advance(3_999);
    assert.deepEqual(told, ['digits,words']);
    clock.advance(1);
    assert.deepEqual(told, ['digits,words', 'words,other']);
  });

  it('change with the states of versions, in the same measure', () => {
    let states = 'digits:1=serving';
    const both: string[] = [];
    const one: AnnouncedModels = new AnnouncedModels(
      read,
      { clock, timers: clock },
      () => both.push(one.states),
      () => states,
    );
    for (const each of ['draining', 'stopped', 'loading']) {
      states = `digits:1=${each}`;
      one.look();
    }
    clock.advance(5_000);
    assert.deepEqual(both, ['digits:1=draining', 'digits:1=loading']);
  });

  it('leave out what has come and gone within that time', () => {
    has('digits', 'words');
    clock.advance(1_000);
    has('digits');
    clock.advance(1_000);
    has('digits', 'words');
    clock.advance(60_000);
    assert.deepEqual(told, ['digits,words']);
    has('digits');
    assert.deepEqual(told, ['digits,words', 'digits'], 'at once after a quiet time');
  });
});
