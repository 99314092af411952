import assert from 'node:assert/strict';
import { CpuMeter, cpuMsIn, cpuMsOf } from '../../../../../sidecar/cli/chaos/run/cpu.js';

describe('the CPU time of a process', () => {
  it('is read behind the name of the program, whatever is in it', () => {
    const stat = '4711 (a (b) c) S 1 2 3 4 5 6 7 8 9 10 120 30 0 0 20 0 1 0 5';
    assert.equal(cpuMsIn(stat), 1_500);
  });

  it('is not known of a process that is gone', () => {
    assert.equal(cpuMsOf(2 ** 30), undefined);
    const meter = new CpuMeter([2 ** 30]);
    meter.look([2 ** 30]);
    assert.equal(meter.total, undefined);
  });

  it('counts from the first look on, and all of a process that came later', function () {
    const own = cpuMsOf(process.pid);
    if (own === undefined) this.skip();
    const old = new CpuMeter([process.pid]);
    const fresh = new CpuMeter([]);
    for (const meter of [old, fresh]) meter.look([process.pid]);
    assert.ok(old.total! < own + 1_000 && fresh.total! >= own);
    assert.ok(old.total! <= fresh.total! - own + 20, `${old.total} of ${fresh.total}`);
  });
});
