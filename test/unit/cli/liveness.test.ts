import assert from 'node:assert/strict';
import { monitorAnswers } from '../../../sidecar/cli/liveness.js';
import type { Monitor } from '../../../sidecar/supervise/supervisor.js';
import { FakeProbe, SERVING, SILENT } from '../../kit/process/fake-process.js';
import { ManualClock } from '../../kit/time/manual-clock.js';

describe('live watch of a sidecar', () => {
  let time: ManualClock;
  let probe: FakeProbe;
  let hangs: string[];
  let silences: boolean[];
  let watch: Monitor;

  beforeEach(() => {
    time = new ManualClock();
    probe = new FakeProbe();
    hangs = [];
    silences = [];
    const onSilence = (isSilent: boolean) => silences.push(isSilent);
    const events = {
      onHang: (why: string) => hangs.push(why),
      onNotServing: () => assert.fail('a sidecar cannot say so'),
    };
    watch = monitorAnswers({
      probe,
      events,
      clock: time,
      timers: time,
      subject: 'its admin server',
      onSilence,
    });
  });

  afterEach(() => {
    watch.stop();
    assert.equal(time.pending(), 0);
  });

  /** One question that is asked and then answered after `tookMs`. */
  async function ask(tookMs: number, health: typeof SERVING): Promise<void> {
    probe.health = 'wait';
    await time.settle(5_000);
    await time.settle(tookMs);
    probe.release(health);
    await time.settle(0);
  }

  it('leaves a sidecar alone that answers', async () => {
    probe.health = SERVING;
    await time.settle(600_000);
    assert.ok(probe.asked >= 100);
    assert.deepEqual(hangs, []);
  });

  it('forgives one silence, and convicts at the second in a row', async () => {
    await ask(10_000, SILENT);
    await ask(100, SERVING);
    await ask(10_000, SILENT);
    assert.deepEqual(hangs, []);
    await ask(10_000, SILENT);
    assert.equal(hangs.length, 1);
    assert.match(hangs[0]!, /admin server has not answered 2 times/);
  });

  it('forgets silences that its own process slept through', async () => {
    for (let i = 0; i < 10; i++) await ask(60_000, SILENT);
    assert.deepEqual(hangs, []);
  });

  it('says that it is silent after 2 s, once, and when it answers again', async () => {
    await ask(1_900, SERVING);
    assert.deepEqual(silences, []);
    await ask(10_000, SILENT);
    assert.deepEqual(silences, [true]);
    await ask(3_000, SERVING);
    assert.deepEqual(silences, [true, false]);
    assert.deepEqual(hangs, []);
  });

  it('does not call it silent when its own process was stopped', async () => {
    probe.health = 'wait';
    await time.settle(5_000);
    time.stall(60_000);
    await time.settle(0);
    probe.release(SERVING);
    await time.settle(0);
    assert.deepEqual(silences, []);
  });

  it('says nothing after it was stopped', async () => {
    await ask(10_000, SILENT);
    probe.health = 'wait';
    await time.settle(5_000);
    watch.stop();
    await time.settle(10_000);
    probe.release(SILENT);
    await time.settle(60_000);
    assert.deepEqual(hangs, []);
  });
});
