import assert from 'node:assert/strict';
import {
  type Flushable,
  FlushScheduler,
  type Patient,
  type Postponed,
} from '../../../sidecar/transport/flush-scheduler.js';
import { ManualClock } from '../../kit/time/manual-clock.js';

describe('flushes', () => {
  let clock: ManualClock;
  let flushes: FlushScheduler;
  let deferred: (() => void)[];
  let log: string[];

  beforeEach(() => {
    clock = new ManualClock();
    deferred = [];
    log = [];
    flushes = new FlushScheduler((fn) => void deferred.push(fn), clock);
  });

  /** The end of a turn of the event loop. */
  const endTurn = (): void => {
    for (const fn of deferred.splice(0)) fn();
  };
  const flushable = (name: string, onFlush = (): void => {}): Flushable => ({
    isFlushScheduled: false,
    flushedInPass: 0,
    flush: () => {
      log.push(name);
      onFlush();
    },
  });
  const patient = (name: string, onRelease = (): void => {}): Patient => ({
    isHeld: false,
    release: () => {
      log.push(`${name} ${clock.now() - 1000}`);
      onRelease();
    },
  });

  it('each session is flushed once a turn, and one that has more to write in the next', () => {
    const more: Flushable = flushable('more', () => {
      if (log.length < 3) flushes.schedule(more);
    });
    const other = flushable('other');
    for (const each of [more, other, more]) flushes.schedule(each);
    assert.equal(deferred.length, 1);
    endTurn();
    assert.deepEqual(log, ['more', 'other']);
    endTurn();
    assert.deepEqual(log, ['more', 'other', 'more']);
    assert.equal(deferred.length, 0);
  });

  it('one that becomes dirty while others flush joins them', () => {
    const late = flushable('late');
    flushes.schedule(flushable('first', () => flushes.schedule(late)));
    endTurn();
    assert.deepEqual(log, ['first', 'late']);
  });

  it('what has had its share of a turn goes on at the end of the next one, before the flushes', () => {
    const postponed = (name: string, times: number): Postponed => ({
      readOn: () => {
        log.push(name);
        if (--times > 0) flushes.postpone(postponed(name, times));
        flushes.schedule(flushable(`${name} flushed`));
      },
    });
    flushes.postpone(postponed('a', 2));
    const { turn } = flushes;
    endTurn();
    assert.deepEqual(log, []);
    assert.notEqual(flushes.turn, turn);
    flushes.postpone(postponed('b', 1));
    endTurn();
    assert.deepEqual(log.splice(0), ['a', 'a flushed']);
    endTurn();
    assert.deepEqual(log, ['b', 'a', 'b flushed', 'a flushed']);
    assert.equal(deferred.length, 0);
  });

  it('what may wait is released within a millisecond, by one timer, and is not flushed before', () => {
    const [a, b] = [patient('a'), patient('b')];
    flushes.hold(a);
    flushes.hold(a);
    clock.advance(0.5);
    flushes.hold(b);
    assert.equal(clock.pending(), 1);
    endTurn();
    clock.advance(0.25);
    assert.deepEqual(log, []);
    clock.advance(0.25);
    assert.deepEqual(log, ['a 1', 'b 1']);
    assert.deepEqual([a.isHeld, b.isHeld, clock.pending()], [false, false, 0]);
  });

  it('what waits again waits a millisecond again', () => {
    const again = patient('again', () => {
      if (log.length < 2) flushes.hold(again);
    });
    flushes.hold(again);
    clock.advance(10);
    assert.deepEqual(log, ['again 1', 'again 2']);
    assert.equal(clock.pending(), 0);
  });

  it('an exception of one keeps no other from its flush, its release or its reads', () => {
    const thrown: object[] = [];
    flushes.onThrow = (session) => void thrown.push(session);
    const fail = (): void => {
      throw new Error('broken');
    };
    const broken = flushable('broken', fail);
    const stuck = patient('stuck', fail);
    flushes.schedule(broken);
    flushes.schedule(flushable('whole'));
    flushes.hold(stuck);
    flushes.hold(patient('released'));
    const postponed: Postponed = { readOn: fail };
    flushes.postpone(postponed);
    flushes.postpone({ readOn: () => void log.push('read') });
    for (let i = 0; i < 3; i++) endTurn();
    clock.advance(2);
    assert.deepEqual(log, ['broken', 'whole', 'read', 'stuck 1', 'released 1']);
    assert.deepEqual(thrown, [broken, postponed, stuck]);
  });
});
