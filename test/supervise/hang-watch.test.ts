import assert from 'node:assert/strict';
import { HangWatch, type ModelWork } from '../../sidecar/supervise/hang-watch.js';
import { ManualClock } from '../support/manual-clock.js';
import { FakeProbe, SERVING, SILENT } from './fakes.js';

const IDLE: ModelWork = {
  inFlight: 0,
  started: 10,
  completed: 10,
  lastCompletionMs: 900,
  oldestStartMs: 0,
  usualMs: 3,
};

describe('hang watch', () => {
  let time: ManualClock;
  let probe: FakeProbe;
  let evidence: ModelWork;
  let hangs: string[];
  let notServing: string[];
  let watch: HangWatch;

  beforeEach(() => {
    time = new ManualClock();
    probe = new FakeProbe();
    probe.health = SERVING;
    evidence = IDLE;
    hangs = [];
    notServing = [];
    watch = new HangWatch(
      { clock: time, timers: time, probe, evidence: () => evidence },
      { onHang: (why) => hangs.push(why), onNotServing: (why) => notServing.push(why) },
    );
  });

  afterEach(() => {
    watch.stop();
    assert.equal(time.pending(), 0);
  });

  it('asks an idle model every five seconds and leaves a healthy one alone', async () => {
    await time.settle(60_000);
    assert.ok(probe.asked >= 10 && probe.asked <= 12, `asked ${probe.asked} times in a minute`);
    assert.deepEqual(hangs, []);
  });

  it('convicts a model that is frozen while it is idle, within some seconds of the first silence', async () => {
    probe.health = SILENT;
    await time.settle(5_000);
    assert.deepEqual(hangs, []);
    await time.settle(6_000);
    assert.deepEqual(hangs, ['5 health checks in a row went unanswered though nothing was under way']);
  });

  it('convicts a model that is frozen at work, within five seconds', async () => {
    evidence = { ...IDLE, inFlight: 2, started: 12, oldestStartMs: time.now() };
    probe.health = SILENT;
    await time.settle(5_000);
    assert.equal(hangs.length, 1);
    assert.match(hangs[0]!, /^no result for \d\.\d s with 2 calls under way, and \d health checks/);
  });

  it('convicts a frozen model whose callers keep giving up and being replaced', async () => {
    probe.health = SILENT;
    for (let i = 0; i < 50; i++) {
      evidence = { ...IDLE, inFlight: 1, started: 11, oldestStartMs: time.now() }; // always young work
      await time.settle(100);
    }
    assert.equal(hangs.length, 1);
  });

  it('convicts a frozen model within five seconds though every caller gave up between two looks', async () => {
    probe.health = SILENT;
    for (let i = 1; i <= 50; i++) {
      evidence = { ...IDLE, started: IDLE.started + i };
      await time.settle(100);
    }
    assert.equal(hangs.length, 1);
  });

  it('holds no abandoned work against a model that answers', async () => {
    evidence = { ...IDLE, started: IDLE.started + 3 };
    await time.settle(10_000);
    const asked = probe.asked;
    await time.settle(20_000);
    assert.ok(probe.asked - asked <= 5, `asked ${probe.asked - asked} times in 20 s, as if in doubt`);
    assert.deepEqual(hangs, []);
  });

  it('never convicts a model that brings results, however long its health answers wait', async () => {
    probe.health = SILENT;
    for (let i = 0; i < 600; i++) {
      evidence = {
        inFlight: 2,
        started: 12 + i,
        completed: 10 + i,
        lastCompletionMs: time.now(),
        oldestStartMs: time.now(),
        usualMs: 90,
      };
      await time.settle(100);
    }
    assert.deepEqual(hangs, []);
  });

  it('gives a slow model as long as its own runs take', async () => {
    evidence = { ...IDLE, inFlight: 1, started: 11, oldestStartMs: time.now(), usualMs: 4_000 };
    probe.health = SILENT;
    await time.settle(39_000);
    assert.deepEqual(hangs, []);
    await time.settle(15_000);
    assert.equal(hangs.length, 1);
  });

  it('gives the first run of an unknown model half a minute', async () => {
    evidence = {
      inFlight: 1,
      started: 1,
      completed: 0,
      lastCompletionMs: 0,
      oldestStartMs: time.now(),
      usualMs: 0,
    };
    probe.health = SILENT;
    await time.settle(29_000);
    assert.deepEqual(hangs, []);
    await time.settle(15_000);
    assert.equal(hangs.length, 1);
  });

  it('forgets every silence that its own process slept through', async () => {
    evidence = { ...IDLE, inFlight: 1, started: 11, oldestStartMs: time.now() };
    probe.health = 'wait';
    await time.settle(3_000);
    assert.ok(probe.asked > 0);
    for (let i = 0; i < 20; i++) {
      time.stall(30_000);
      probe.release(SILENT);
      await time.settle(100);
    }
    assert.deepEqual(hangs, []);
  });

  it('reports a model that answers NOT_SERVING, once, and does not call it hung', async () => {
    probe.health = { kind: 'not-serving', why: 'the model reports NOT_SERVING' };
    await time.settle(60_000);
    assert.deepEqual(notServing, ['the model reports NOT_SERVING']);
    assert.deepEqual(hangs, []);
  });

  it('says nothing after it was stopped, even when a question was open', async () => {
    probe.health = 'wait';
    await time.settle(6_000);
    watch.stop();
    probe.release({ kind: 'not-serving', why: 'late' });
    await time.settle(60_000);
    assert.deepEqual([hangs, notServing], [[], []]);
  });
});
