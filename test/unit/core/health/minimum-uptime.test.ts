import assert from 'node:assert/strict';
import { MinimumUptime } from '../../../../sidecar/core/health/minimum-uptime.js';
import { HEALTHY_RUN_MS } from '../../../../sidecar/core/retry/backoff.js';

describe('time that a process has to stay up after another one died', () => {
  let uptime: MinimumUptime;
  beforeEach(() => {
    uptime = new MinimumUptime();
  });

  it('is nothing for the first process, and for one that follows a start that failed', () => {
    assert.deepEqual([uptime.ms, uptime.why], [0, '']);
    uptime.ended(0);
    assert.equal(uptime.ms, 0);
  });

  it('doubles with each end, up to half a minute', () => {
    const times = Array.from({ length: 60 }, () => {
      uptime.ended(300);
      return uptime.ms;
    });
    assert.deepEqual(times.slice(0, 7), [1_000, 2_000, 4_000, 8_000, 16_000, 30_000, 30_000]);
    assert.equal(times.at(-1), 30_000);
    assert.ok(Math.max(...times) < HEALTHY_RUN_MS, 'a process on probation can have a healthy run');
  });

  it('is demanded once: a process that has met it and loads its model anew owes nothing', () => {
    uptime.ended(300);
    uptime.met();
    assert.deepEqual([uptime.ms, uptime.why], [0, '']);
    uptime.ended(1_500);
    assert.equal(uptime.ms, 2_000, 'the ends before still count');
  });

  it('begins anew after a healthy run', () => {
    for (let i = 0; i < 4; i++) uptime.ended(300);
    uptime.ended(HEALTHY_RUN_MS);
    assert.equal(uptime.ms, 1_000);
  });

  it('says why, with its length', () => {
    uptime.ended(300);
    assert.match(uptime.why, /^on probation for 1 s because the process before it died while serving/);
    uptime.ended(300);
    assert.match(uptime.why, /^on probation for 2 s because the 2 processes before it died/);
  });
});
