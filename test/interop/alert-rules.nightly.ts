/** The tests of the alert rules are tested: an alert that never fires, and one that always does, is found out. */
import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { parse } from 'yaml';
import { ALERTS, rulesFile, rulesTestFile } from '../../tools/observe/rules-file.js';
import { scratchForEach } from '../kit/mocha/scratch.js';
import { promtool } from '../kit/observe/prometheus.js';
import { toolOrSkip } from '../kit/process/tools.js';

describe('the rules of Prometheus', function () {
  this.timeout(30_000);
  const scratch = scratchForEach();
  let program: string;

  before(async function () {
    program = await toolOrSkip(this, 'prometheus');
  });

  const TESTS = 'outrider.rules.test.yml';
  function write(rules: string, tests = rulesTestFile()): void {
    writeFileSync(join(scratch.path, 'outrider.rules.yml'), rules);
    writeFileSync(join(scratch.path, TESTS), tests);
  }
  const test = () => promtool(program, ['test', 'rules', TESTS], scratch.path);

  it('have tests of which each fails when its alert is another', async () => {
    // An alert that never fires: every test of one is to miss it.
    write(rulesFile().replaceAll(/(alert: .*\n\s+expr: )(.*)\n/g, "$1'vector(0) > 1'\n"));
    const missed = await test().then(
      () => '',
      (error: Error) => error.message,
    );
    for (const { name } of ALERTS) assert.match(missed, new RegExp(`alertname: ?${name},`), name);
  });

  it('have an hour of a mesh that is well in which an alert that always fires is found out', async () => {
    const { tests, ...rest } = parse(rulesTestFile()) as { tests: object[] };
    const healthy = JSON.stringify({ ...rest, tests: tests.slice(-1) });
    write(rulesFile().replaceAll(/(alert: .*\n\s+expr: )(.*)\n/g, "$1'vector(1)'\n"), healthy);
    const found = await test().then(
      () => '',
      (error: Error) => error.message,
    );
    for (const { name } of ALERTS) assert.match(found, new RegExp(`alertname: ?${name},`), name);
  });
});
