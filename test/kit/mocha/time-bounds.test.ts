import assert from 'node:assert/strict';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { packageRoot } from '../process/package-root.js';
import { isPassed, lineOf, type Run, TIME_BOUND } from './time-bounds.js';

const run = (counts: Partial<Record<'passed' | 'failed' | 'skipped', number>>, fault?: string): Run => ({
  ...{ ms: 1_240, fault },
  report: { passed: 0, failed: 0, skipped: 0, tests: [], failures: [], ...counts },
});

describe('runs of tests with a bound of time', () => {
  it('are of files that there are', () => {
    for (const file of TIME_BOUND) assert.ok(existsSync(join(packageRoot, file)), file);
    assert.equal(new Set(TIME_BOUND).size, TIME_BOUND.length);
  });

  it('have passed when each of their tests has', () => {
    assert.equal(isPassed(run({ passed: 2 })), true);
    assert.equal(isPassed(run({ passed: 2, failed: 1 }, 'ended with exit code 1')), false);
    assert.equal(isPassed(run({ passed: 2, skipped: 1 })), false);
    assert.equal(isPassed(run({ passed: 2 }, 'ended with SIGKILL')), false);
    assert.equal(isPassed({ ms: 1, fault: undefined, report: undefined }), false);
  });

  it('are told in a line for each file', () => {
    const name = 'test/e2e/one.test.ts';
    assert.equal(
      lineOf(name, [run({ passed: 2 }), run({ passed: 3 })]),
      `✔ ${name}: 1.2 s 2 passed; 1.2 s 3 passed`,
    );
    const bad = [
      run({ passed: 1, failed: 1, skipped: 1 }),
      { ms: 50, fault: 'ended with SIGKILL', report: undefined },
    ];
    assert.equal(
      lineOf(name, bad),
      `✘ ${name}: 1.2 s 1 passed, 1 failed, 1 skipped; 0.1 s ended with SIGKILL`,
    );
  });
});
