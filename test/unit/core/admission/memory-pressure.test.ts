import assert from 'node:assert/strict';
import { MemoryPressure, Pressure } from '../../../../sidecar/core/admission/memory-pressure.js';

/** Looks once a second; `use` is what the process then holds. */
function setUp(limitBytes = 100) {
  let usedBytes = 0;
  let nowMs = 0;
  const pressure = new MemoryPressure(() => ({ usedBytes, limitBytes }));
  const use = (bytes: number): Pressure => {
    usedBytes = bytes;
    nowMs += 1_000;
    return pressure.at(nowMs);
  };
  return { pressure, use };
}

describe('MemoryPressure', () => {
  it('enters its levels at 85 % and 92 %, and leaves each five points lower', () => {
    const { pressure, use } = setUp();
    const levels = [80, 85, 91, 92, 95, 88, 87, 86.9, 81, 80, 79.9].map(use);
    const { none, high, critical } = Pressure;
    const expected = [none, high, high, critical, critical, critical, critical, high, high, high, none];
    assert.deepEqual(levels, expected);
    assert.deepEqual(pressure.entered, { high: 1, critical: 1 });
    assert.equal(pressure.usedRatio, 0.799);
  });

  it('counts a jump past both levels as both', () => {
    const { pressure, use } = setUp();
    use(99);
    assert.deepEqual(pressure.entered, { high: 1, critical: 1 });
  });

  it('reads memory at most every 250 ms, however often it is asked', () => {
    let looks = 0;
    const pressure = new MemoryPressure(() => {
      looks += 1;
      return { usedBytes: 90, limitBytes: 100 };
    });
    for (let nowMs = 0; nowMs < 1_000; nowMs += 1) assert.equal(pressure.at(nowMs), Pressure.high);
    assert.equal(looks, 4);
    pressure.at(60_000);
    assert.equal(looks, 5);
  });

  for (const limit of [0, Number.POSITIVE_INFINITY, Number.NaN])
    it(`is never under pressure where the limit is ${limit}`, () =>
      assert.equal(setUp(limit).use(1e12), Pressure.none));
});
