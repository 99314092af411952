import assert from 'node:assert/strict';
import { CpuIdle } from '../../../../sidecar/core/health/cpu-idle.js';
import { PhiAccrual } from '../../../../sidecar/core/health/phi-accrual.js';

describe('PhiAccrual', () => {
  function beatenAt(intervalsMs: readonly number[]): PhiAccrual {
    const accrual = new PhiAccrual(500);
    let nowMs = 0;
    for (const interval of [0, ...intervalsMs]) {
      nowMs += interval;
      accrual.beat(nowMs);
    }
    return accrual;
  }
  const regular = Array.from({ length: 100 }, () => 500);

  it('grows with the silence, and is small within the pause', () => {
    const accrual = beatenAt(regular);
    const phis = [0, 500, 2_000, 3_500, 4_500, 5_500, 6_500].map((silence) => accrual.phi(silence));
    assert.ok(phis.every((phi, i) => i === 0 || phi >= phis[i - 1]!));
    assert.ok(accrual.phi(3_000) < 0.1);
    assert.ok(Math.abs(accrual.phi(3_500) - Math.log10(2)) < 1e-9, 'half of all are longer than the mean');
  });

  it('reaches 12 after some 5.5 s of silence of a regular watcher, and not before 5', () => {
    for (const accrual of [beatenAt(regular), beatenAt([])]) {
      assert.ok(accrual.phi(5_000) < 12);
      assert.ok(accrual.phi(5_700) >= 12);
    }
  });

  it('gives an irregular watcher longer', () => {
    const accrual = beatenAt(Array.from({ length: 64 }, (_, i) => (i % 8 === 0 ? 4_000 : 500)));
    assert.ok(accrual.phi(8_000) < 12);
    assert.ok(accrual.phi(20_000) >= 12);
  });

  it('takes no interval across a pause', () => {
    const accrual = beatenAt(regular);
    accrual.pause();
    accrual.beat(10_000_000);
    assert.ok(accrual.phi(5_700) >= 12);
  });

  it('is finite for any silence', () => {
    for (const silence of [1e12, -1e12]) assert.ok(Number.isFinite(beatenAt(regular).phi(silence)));
  });
});

describe('CpuIdle', () => {
  it('is idle since its last use, and a trace is none', () => {
    const cpu = new CpuIdle();
    let used = 0;
    for (let nowMs = 0; nowMs <= 10_000; nowMs += 500) {
      used += nowMs < 4_000 ? 100 : 10;
      cpu.sample(used, nowMs);
    }
    const idleMs = cpu.idleForMs(10_000);
    assert.ok(idleMs >= 5_500 && idleMs <= 6_500, String(idleMs));
    assert.deepEqual([cpu.hasUsed(3_000, 10_000), cpu.hasUsed(7_000, 10_000)], [false, true]);
  });

  it('is neither idle nor busy where nothing is known', () => {
    const cpu = new CpuIdle();
    for (let nowMs = 0; nowMs <= 10_000; nowMs += 500) cpu.sample(-1, nowMs);
    assert.deepEqual([cpu.idleForMs(10_000), cpu.hasUsed(1e9, 10_000)], [0, false]);
    cpu.sample(5_000, 10_500);
    assert.equal(cpu.hasUsed(1e9, 10_500), false, 'one look shows no use');
  });
});
