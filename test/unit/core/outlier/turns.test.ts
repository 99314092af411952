import assert from 'node:assert/strict';
import { Turns } from '../../../../sidecar/core/outlier/turns.js';

describe('Turns', () => {
  it('count calls that began after the end of the last one that counted', () => {
    const turns = new Turns(5_000);
    for (const nowMs of [1_000, 1_010, 1_090, 1_099]) turns.record(100, nowMs);
    assert.equal(turns.from(100, 1_100), 1);
    turns.record(100, 1_100);
    turns.record(100, 1_150);
    turns.record(100, 1_200);
    assert.equal(turns.from(100, 1_200), 3);
  });

  it('count calls that were held up together once, whatever each of them waited', () => {
    const turns = new Turns(5_000);
    for (let ms = 10; ms < 8_000; ms += 10) turns.record(ms, 8_000);
    assert.equal(turns.from(0, 8_000), 1);
  });

  it('leave shorter calls out', () => {
    const turns = new Turns(5_000);
    for (let i = 1; i <= 50; i++) turns.record(5, i * 10);
    turns.record(400, 500);
    assert.equal(turns.from(200, 500), 1);
    assert.equal(turns.from(600, 500), 0);
    assert.equal(turns.from(4, 500), 50);
  });

  it('forget what ended long ago, later for long calls', () => {
    const turns = new Turns(5_000);
    turns.record(100, 0);
    turns.record(20_000, 20_000);
    assert.equal(turns.from(100, 10_100), 1);
    assert.equal(turns.from(100, 10_400), 1, 'those that take 20 s are slow, too');
    turns.record(100, 20_400);
    assert.equal(turns.from(100, 20_500), 1);
    turns.record(20_000, 41_000);
    assert.equal(turns.from(16_384, 41_000), 2);
    assert.equal(turns.from(16_384, 120_000), 0);
  });

  it('count up to 255', () => {
    const turns = new Turns(5_000);
    for (let i = 0; i < 1_000; i++) turns.record(1, i * 2);
    assert.equal(turns.from(1, 2_000), 255);
    assert.equal(turns.from(Number.MAX_SAFE_INTEGER, 2_000), 0);
  });

  it('are counted apart for the present span and the one before it', () => {
    const turns = new Turns(5_000);
    const recent = (nowMs: number): number[] => [turns.recentFrom(100, nowMs), turns.from(100, nowMs)];
    for (let ms = 1_000; ms < 5_000; ms += 1_000) turns.record(100, ms);
    assert.deepEqual(recent(4_999), [4, 4]);
    for (let ms = 5_000; ms < 10_000; ms += 1_000) turns.record(100, ms);
    assert.deepEqual(recent(9_999), [9, 9]);
    assert.deepEqual(recent(10_000), [5, 9]);
    turns.record(100, 10_000);
    assert.deepEqual(recent(10_000), [6, 10]);
    assert.deepEqual([turns.recentFrom(200, 10_000), turns.recentFrom(50, 10_000)], [0, 6]);
    assert.deepEqual(recent(20_000), [0, 10], 'after a pause');
    turns.record(100, 20_000);
    assert.deepEqual(recent(20_000), [1, 11]);
  });
});
