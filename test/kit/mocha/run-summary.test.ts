import assert from 'node:assert/strict';
import { type Result, summaryOf } from './run-summary.js';

const ended = (name: string, ms: number, more: Partial<Result> = {}): Result => ({
  ...{ name, ms, fault: undefined },
  report: {
    cpuMs: ms / 4,
    passed: 2,
    failed: 0,
    skipped: 1,
    tests: [{ title: `${name} works`, ms: ms / 2 }],
    failures: [],
  },
  ...more,
});

const FAILED: Partial<Result> = {
  fault: 'ended with exit code 1',
  report: {
    passed: 5,
    failed: 1,
    skipped: 0,
    tests: [],
    failures: [{ title: 'one breaks', error: 'Error: 3 == 4\n  at one.test.ts:7' }],
  },
};

const last = (...results: readonly Result[]) => {
  const { text, hasFailed } = summaryOf([{ name: 'a lane', ms: 1000, results }], 1000);
  return [text.trimEnd().split('\n').at(-1), hasFailed];
};

describe('the summary of a run of all tests', () => {
  it('ends with the sums of all processes', () =>
    assert.deepEqual(last(ended('test/a', 1), ended('test/b', 1)), ['4 passed, 0 failed, 2 skipped', false]));

  it('counts each failed test', () =>
    assert.deepEqual(last(ended('test/a', 1), ended('test/b', 1, FAILED)), [
      '7 passed, 1 failed, 1 skipped',
      true,
    ]));

  it('counts a process that was killed, whose exit was none of a test, or that left no results', () => {
    const killed = ended('test/a', 1, { fault: 'ended with SIGKILL', report: undefined });
    const odd = ended('test/b', 1, { fault: 'ended with exit code 7' });
    const silent = ended('test/c', 1, { report: undefined });
    assert.deepEqual(last(killed, odd, silent), ['2 passed, 3 failed, 1 skipped', true]);
  });

  it('says where the time went, the longest first, and what failed', () => {
    const results = [
      ended('test/a/x.test.ts', 1000),
      ended('test/b/y', 4000, FAILED),
      ended('test/a/z.test.ts', 9000),
    ];
    assert.equal(
      summaryOf([{ name: 'processes', ms: 12_000, results }], 12_340).text,
      `time: 12.3 s

by lane, with the CPU time of all its processes:
    12.0 s  CPU    2.5 s  processes

by folder, summed over its processes:
    10.0 s  test/a
     4.0 s  test/b

slowest files:
     9.0 s  test/a/z.test.ts
     1.0 s  test/a/x.test.ts

slowest tests, without hooks:
     4.5 s  test/a/z.test.ts works
     0.5 s  test/a/x.test.ts works

failed:
  test/b/y: one breaks
    Error: 3 == 4
      at one.test.ts:7

9 passed, 1 failed, 2 skipped
`,
    );
  });
});
