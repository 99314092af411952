import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { parse } from 'yaml';
import { rulesFile, rulesTestFile, thresholdsFile } from '../../tools/observe/rules-file.js';
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

  const RULES = 'outrider.rules.yml';
  const TESTS = 'outrider.rules.test.yml';
  /** Writes the files, with changed rules or tests; what is not changed is not tested by it. */
  function write(rules = rulesFile(), tests = rulesTestFile()): void {
    writeFileSync(join(scratch.path, RULES), rules);
    writeFileSync(join(scratch.path, TESTS), tests);
  }
  const test = () => promtool(program, ['test', 'rules', TESTS], scratch.path);

  it('are understood by Prometheus, and the thresholds beside them', async () => {
    write();
    writeFileSync(join(scratch.path, 'thresholds.yml'), thresholdsFile());
    const said = await promtool(program, ['check', 'rules', RULES, 'thresholds.yml'], scratch.path);
    assert.match(said, /SUCCESS: \d\d rules found/);
    assert.match(said, /SUCCESS: 2 rules found/);
  });

  it('have alerts that fire when they should, not earlier, and not in an hour of a mesh that is well', async () => {
    write();
    assert.match(await test(), /SUCCESS/);
  });

  /** The thresholds as they are shipped, and one more for a service, beside the tests. */
  function set(service: string, record: string, value: number, chosen?: object[]): void {
    const [group] = (parse(thresholdsFile()) as { groups: { name: string; rules: object[] }[] }).groups;
    const rules = [...group!.rules, { record, expr: `vector(${value})`, labels: { service, team: 'ml' } }];
    const groups = [{ ...group, rules }];
    writeFileSync(join(scratch.path, 'thresholds.yml'), JSON.stringify({ groups }));
    const { tests, ...rest } = parse(rulesTestFile()) as { tests: object[] };
    const file = { ...rest, rule_files: [RULES, 'thresholds.yml'], tests: chosen ?? tests };
    write(rulesFile(), JSON.stringify(file));
  }

  for (const record of ['outrider:threshold:error_ratio', 'outrider:threshold:p99_seconds'])
    it(`are compared with ${record} of another service no more than before`, async () => {
      set('faces', record, 100);
      assert.match(await test(), /SUCCESS/);
    });

  it('are compared with the threshold of their service', async () => {
    const { tests } = parse(rulesTestFile()) as {
      tests: { alert_rule_test: { alertname: string }[] }[];
    };
    const of = (name: string) => tests.filter((each) => each.alert_rule_test[0]!.alertname === name);
    const alerts = {
      'outrider:threshold:error_ratio': ['OutriderErrorBudgetBurnsFast', 'OutriderErrorBudgetBurns'],
      'outrider:threshold:p99_seconds': ['OutriderLatencyOverBudget'],
    };
    for (const [record, names] of Object.entries(alerts))
      for (const name of names) {
        set('digits', record, 10, of(name));
        await assert.rejects(test(), /got:\[\]/, name);
      }
  });

  it('are compared with thresholds that an operator sets', async () => {
    const raised = thresholdsFile().replace('vector(0.01)', 'vector(0.5)');
    const { tests, ...rest } = parse(rulesTestFile()) as {
      tests: { alert_rule_test: { alertname: string }[] }[];
    };
    const burning = tests.slice(0, 1);
    assert.equal(burning[0]!.alert_rule_test[0]!.alertname, 'OutriderErrorBudgetBurnsFast');
    writeFileSync(join(scratch.path, 'thresholds.yml'), raised);
    write(rulesFile(), JSON.stringify({ ...rest, rule_files: [RULES, 'thresholds.yml'], tests: burning }));
    await assert.rejects(test(), /got:\[\]/);
  });
});
