import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { parse } from 'yaml';
import { rulesFile, rulesTestFile, thresholdsFile } from '../../tools/observe/rules-file.js';
import { scratchForEach } from '../kit/mocha/scratch.js';
import { promtool } from '../kit/observe/prometheus.js';
import { toolOrSkip } from '../kit/process/tools.js';

const THRESHOLD = 'outrider:threshold:';
/** By threshold: the alerts that look at it. */
const ALERTS = {
  [`${THRESHOLD}error_ratio`]: ['OutriderErrorBudgetBurnsFast', 'OutriderErrorBudgetBurns'],
  [`${THRESHOLD}p99_seconds`]: ['OutriderLatencyOverBudget'],
};

describe('the rules of Prometheus', function () {
  this.timeout(120_000);
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

  interface RulesTest {
    alert_rule_test: { alertname: string }[];
  }
  /** By alert: those whose alert looks at a threshold, as no other can be changed by one. */
  function thresholdTests(): Map<string, RulesTest[]> {
    const { groups } = parse(rulesFile()) as {
      groups: { rules: { record?: string; alert?: string; expr: string }[] }[];
    };
    const rules = groups.flatMap((group) => group.rules);
    const records = rules.flatMap(({ record, expr }) =>
      record !== undefined && expr.includes(THRESHOLD) ? [record] : [],
    );
    const alerts = rules.flatMap(({ alert, expr }) =>
      alert !== undefined && records.some((record) => expr.includes(record)) ? [alert] : [],
    );
    const { tests } = parse(rulesTestFile()) as { tests: RulesTest[] };
    return new Map(
      alerts.map((name) => [name, tests.filter((each) => each.alert_rule_test[0]!.alertname === name)]),
    );
  }

  /** The thresholds as they are shipped, and more for a service, beside some of the tests. */
  function set(service: string, records: readonly string[], value: number, tests: object[]): void {
    const [group] = (parse(thresholdsFile()) as { groups: { name: string; rules: object[] }[] }).groups;
    const more = records.map((record) => ({
      record,
      expr: `vector(${value})`,
      labels: { service, team: 'ml' },
    }));
    const rules = [...group!.rules, ...more];
    const groups = [{ ...group, rules }];
    writeFileSync(join(scratch.path, 'thresholds.yml'), JSON.stringify({ groups }));
    const file = { ...parse(rulesTestFile()), rule_files: [RULES, 'thresholds.yml'], tests };
    write(rulesFile(), JSON.stringify(file));
  }

  it('are compared with the thresholds of another service no more than before', async () => {
    set('faces', Object.keys(ALERTS), 100, [...thresholdTests().values()].flat());
    assert.match(await test(), /SUCCESS/);
  });

  it('are compared with the threshold of their service', async () => {
    const tests = thresholdTests();
    assert.deepEqual([...tests.keys()].sort(), Object.values(ALERTS).flat().sort());
    for (const [record, names] of Object.entries(ALERTS))
      for (const name of names) {
        const chosen = tests.get(name)!;
        assert.ok(chosen.length > 0, name);
        set('digits', [record], 10, chosen);
        await assert.rejects(test(), /got:\[\]/, name);
      }
  });

  it('are compared with thresholds that an operator sets', async () => {
    const raised = thresholdsFile().replace('vector(0.01)', 'vector(0.5)');
    const { tests, ...rest } = parse(rulesTestFile()) as { tests: RulesTest[] };
    const burning = tests.slice(0, 1);
    assert.equal(burning[0]!.alert_rule_test[0]!.alertname, 'OutriderErrorBudgetBurnsFast');
    writeFileSync(join(scratch.path, 'thresholds.yml'), raised);
    write(rulesFile(), JSON.stringify({ ...rest, rule_files: [RULES, 'thresholds.yml'], tests: burning }));
    await assert.rejects(test(), /got:\[\]/);
  });
});
