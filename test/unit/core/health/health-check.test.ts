import assert from 'node:assert/strict';
import { CheckedHealth, type CheckResult } from '../../../../sidecar/core/health/health-check.js';
import { seeded } from '../../../kit/time/seeded-random.js';

const SETTINGS = { intervalMs: 5000, unhealthyThreshold: 2, healthyThreshold: 1 };

/** P passed, F failed, S silent, V void. */
function healthAfter(letters: string, settings = SETTINGS): CheckedHealth {
  const names: Record<string, CheckResult> = { P: 'passed', F: 'failed', S: 'silent', V: 'void' };
  const health = new CheckedHealth(settings, 0);
  [...letters].forEach((letter, i) => void health.record(names[letter]!, 'it does not serve', i + 1));
  return health;
}

describe('The health of an endpoint', () => {
  for (const [letters, isHealthy, what] of [
    ['', true, 'is good until it has been asked'],
    ['F', false, 'is bad after a first answer that says so'],
    ['S', true, 'is not bad after a first silence'],
    ['SS', false, 'is bad after as many silences as it takes'],
    ['PF', true, 'bears one bad answer'],
    ['PFF', false, 'does not bear two'],
    ['PFS', false, 'counts silence and bad answers alike'],
    ['PFPF', true, 'counts those in a row only'],
    ['PFVF', true, 'counts nothing across a stall of ours'],
    ['PFFV', false, 'is not changed by a stall of ours'],
    ['PFFP', true, 'comes back with one good answer'],
    ['SFF', false, 'takes the first word, whenever it comes'],
  ] as const)
    it(`${what}: ${letters === '' ? 'nothing' : letters}`, () =>
      assert.equal(healthAfter(letters).isHealthy, isHealthy));

  it('comes back after as many good answers as it takes', () => {
    const settings = { ...SETTINGS, unhealthyThreshold: 1, healthyThreshold: 3 };
    const back = ['PFPP', 'PFPPFPP', 'PFPPP'].map((letters) => healthAfter(letters, settings).isHealthy);
    assert.deepEqual(back, [false, false, true]);
  });

  it('says since when and why, in words that stay while only numbers change', () => {
    const health = healthAfter('P');
    health.record('silent', 'no answer in 1000 ms', 10);
    assert.equal(health.why, '');
    assert.equal(health.record('silent', 'no answer in 1000 ms', 20), true);
    health.record('silent', 'no answer in 1001 ms', 30);
    assert.deepEqual([health.why, health.sinceMs], ['no answer in 1000 ms', 20]);
    health.record('failed', 'it says NOT_SERVING', 40);
    assert.deepEqual([health.why, health.sinceMs], ['it says NOT_SERVING', 20]);
    health.record('passed', '', 50);
    assert.deepEqual([health.why, health.sinceMs], ['', 50]);
  });

  it('of a new connection is what its first word says, and until then what it was', () => {
    for (const [letters, isHealthy, word] of [
      ['PFF', false, 'passed'],
      ['PPP', true, 'failed'],
    ] as const) {
      const health = healthAfter(letters);
      health.renew();
      assert.equal(health.isHealthy, isHealthy);
      health.record(word, 'it is starting', 9);
      assert.equal(health.isHealthy, !isHealthy);
    }
    const slow = healthAfter('PF', { ...SETTINGS, healthyThreshold: 3 });
    slow.renew();
    slow.record('silent', 'no answer', 9);
    assert.equal(slow.isHealthy, true, 'what came before the connection counts no more');
  });

  it('is asked for at once a second while there is doubt, and else at intervals ± 10 %', () => {
    const random = seeded(7);
    for (const letters of ['', 'S', 'PF']) assert.equal(healthAfter(letters).delayMs(random), 1000);
    assert.equal(healthAfter('S', { ...SETTINGS, intervalMs: 200 }).delayMs(random), 200);
    const delays = (health: CheckedHealth): number[] => {
      health.delayMs(random);
      return Array.from({ length: 500 }, () => health.delayMs(random));
    };
    const [well, ill] = [delays(healthAfter('P')), delays(healthAfter('PFF'))];
    assert.ok(Math.min(...well) >= 4500 && Math.max(...well) <= 5500);
    assert.ok(Math.min(...well) < 4600 && Math.max(...well) > 5400);
    assert.ok(Math.min(...ill) >= 4500 && Math.max(...ill) <= 5000);
  });

  it('spreads the second checks of endpoints that began together over the interval', () => {
    const random = seeded(3);
    const seconds = Array.from({ length: 1000 }, () => healthAfter('P').delayMs(random));
    for (let from = 500; from < 5000; from += 500) {
      const n = seconds.filter((ms) => ms >= from && ms < from + 500).length;
      assert.ok(n > 60 && n < 170, `${n} in ${from}`);
    }
  });

  describe('is shown by calls', () => {
    const healths = { well: 'P', fresh: '', doubted: 'PF', ill: 'PFF' };

    it('that succeed, as long as none fails by its fault', () => {
      const health = healthAfter(healths.well);
      const isConfirmed = (successes: number, faults: number) => health.isConfirmedBy({ successes, faults });
      assert.deepEqual([isConfirmed(0, 0), isConfirmed(3, 0), isConfirmed(3, 0)], [false, true, false]);
      assert.deepEqual([isConfirmed(9, 1), isConfirmed(10, 1)], [false, true]);
    });

    it('never while there is doubt, or a verdict to be changed', () => {
      for (const letters of [healths.fresh, healths.doubted, healths.ill])
        assert.equal(healthAfter(letters).isConfirmedBy({ successes: 5, faults: 0 }), false, letters);
    });
  });
});
