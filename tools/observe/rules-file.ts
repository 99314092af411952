import { stringify } from 'yaml';
import type { Alert } from './alert.js';
import { filledIn } from './alert.js';
import { CALL_ALERTS } from './call-alerts.js';
import { ENDPOINT_ALERTS } from './endpoint-alerts.js';
import { checkExpression, labelsOf, OF_PROMETHEUS, type OtherSeries } from './expression.js';
import { HEALTHY_HOUR } from './healthy-hour.js';
import { MODEL_ALERTS } from './model-alerts.js';
import { RECORDING_RULES, THRESHOLDS } from './recording-rules.js';
import { SIDECAR_ALERTS } from './sidecar-alerts.js';

/** Every alert, by the group of rules that it stands in. */
export const ALERT_GROUPS: Readonly<Record<string, readonly Alert[]>> = {
  'outrider-calls': CALL_ALERTS,
  'outrider-endpoints': ENDPOINT_ALERTS,
  'outrider-models': MODEL_ALERTS,
  'outrider-sidecars': SIDECAR_ALERTS,
};

/** Every alert in the order of the file. */
export const ALERTS: readonly Alert[] = Object.values(ALERT_GROUPS).flat();

/** What expressions may use beside our metrics. */
export const OTHER_SERIES: OtherSeries = {
  ...OF_PROMETHEUS,
  ...Object.fromEntries(RECORDING_RULES.map(({ record, labels }) => [record, labels])),
  ...Object.fromEntries(Object.values(THRESHOLDS).map(({ record }) => [record, ['service']])),
};

const RULES_FILE = 'outrider.rules.yml';
const WRITTEN = '# Written by `npm run generate` from tools/observe/. Do not edit.\n';
/** Lines of YAML are not folded. */
const LAYOUT = { lineWidth: 0 } as const;

/**
 * The recording and alerting rules, for `rule_files` of Prometheus.
 *
 * @throws Error for an expression with a metric or label that there is not, and for a text that names a label which no
 *   metric of its expression has.
 */
export function rulesFile(): string {
  for (const { expr } of RECORDING_RULES) checkExpression(expr, OTHER_SERIES);
  for (const alert of ALERTS) checkAlert(alert);
  const groups = [
    { name: 'outrider-recorded', rules: RECORDING_RULES.map(({ record, expr }) => ({ record, expr })) },
    ...Object.entries(ALERT_GROUPS).map(([name, alerts]) => ({ name, rules: alerts.map(asRule) })),
  ];
  return WRITTEN + stringify({ groups }, LAYOUT);
}

function checkAlert({ name, expr, summary, description }: Alert): void {
  checkExpression(expr, OTHER_SERIES);
  const known = new Set(['instance', 'job']);
  for (const [word] of expr.matchAll(/[A-Za-z_:][\w:]*/g))
    for (const label of labelsOf(word, OTHER_SERIES) ?? []) known.add(label);
  for (const [, label] of `${summary} ${description}`.matchAll(/\$labels\.(\w+)/g))
    if (!known.has(label!))
      throw new Error(`${name}: its text has the label ${label}, its expression has not`);
}

function asRule({ name, severity, expr, forMinutes, summary, description }: Alert): object {
  return {
    alert: name,
    expr,
    ...(forMinutes === 0 ? {} : { for: `${forMinutes}m` }),
    labels: { severity },
    annotations: { summary, description, runbook: runbookOf(name) },
  };
}

/** Where the page about an alert is, from the root of the project. */
function runbookOf(name: string): string {
  return `docs/ALERTS.md#${name.toLowerCase()}`;
}

/** Thresholds as they are by default, for an operator to change: it is read beside the rules. */
export function thresholdsFile(): string {
  const head =
    '# What alerts compare with. Change the numbers, and name this file under `rule_files` beside outrider.rules.yml;\n# without it these same numbers hold. A rule with `labels: { service: NAME }` is for this service, and goes before\n# the one without.\n';
  const rules = Object.values(THRESHOLDS).map(
    ({ record, value, meaning }) =>
      `      # ${meaning}\n      - record: ${record}\n        expr: vector(${value})\n`,
  );
  return `${head}groups:\n  - name: outrider-thresholds\n    rules:\n${rules.join('')}`;
}

/**
 * Tests of the rules for `promtool test rules`: each alert fires once its fault has lasted long enough and not a minute
 * earlier, with the texts that operators read; and in an hour of a mesh that is well none does.
 */
export function rulesTestFile(): string {
  const tests = [...ALERTS.map(firingTest), healthyTest()];
  return WRITTEN + stringify({ rule_files: [RULES_FILE], evaluation_interval: '1m', tests }, LAYOUT);
}

function firingTest(alert: Alert): object {
  const { name: alertname, severity, forMinutes, summary, description, test } = alert;
  const expected = {
    exp_labels: { severity, ...test.labels },
    exp_annotations: {
      summary: filledIn(summary, test),
      description: filledIn(description, test),
      runbook: runbookOf(alertname),
    },
  };
  const early = forMinutes < 2 ? [] : [{ eval_time: `${forMinutes - 1}m`, alertname, exp_alerts: [] }];
  const at = { eval_time: `${test.atMinute ?? forMinutes + 10}m`, alertname, exp_alerts: [expected] };
  return { interval: '1m', input_series: seriesOf(test.inputs), alert_rule_test: [...early, at] };
}

function healthyTest(): object {
  const times = ['5m', '15m', '30m', '45m', '60m'];
  const silent = times.flatMap((eval_time) =>
    ALERTS.map(({ name: alertname }) => ({ eval_time, alertname, exp_alerts: [] })),
  );
  return { interval: '1m', input_series: seriesOf(HEALTHY_HOUR), alert_rule_test: silent };
}

function seriesOf(inputs: Readonly<Record<string, string>>): object[] {
  return Object.entries(inputs).map(([series, values]) => ({ series, values }));
}
