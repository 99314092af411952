import type { Alert } from './alert.js';
import { THRESHOLDS } from './recording-rules.js';
import { ALERT_GROUPS, ALERTS } from './rules-file.js';

const INTRO = `# Alerts

Written by \`npm run generate\` from \`tools/observe/\`. Do not edit.

The alerts of [outrider.rules.yml](../mesh-config/observe/outrider.rules.yml); [OBSERVE.md](OBSERVE.md) says how they are loaded.
\`critical\`: callers notice it or soon will, look now. \`warning\`: look today. \`info\`: good to know beside another alert. ADMIN is the
admin address of the sidecar, INSTANCE the label \`instance\`.
`;

const TITLES: Readonly<Record<string, string>> = {
  'outrider-calls': 'What callers notice',
  'outrider-endpoints': 'Endpoints',
  'outrider-models': 'Models',
  'outrider-sidecars': 'Sidecars, certificates and Consul',
};

/** docs/ALERTS.md: what each alert means, and what to do. */
export function alertsPage(): string {
  const rows = ALERTS.map(
    ({ name, severity, forMinutes, means }) =>
      `| [${name}](#${name.toLowerCase()}) | ${severity} | ${afterOf(forMinutes)} | ${means.split(/(?<=\.) /)[0]} |`,
  );
  const thresholds = Object.values(THRESHOLDS).map(
    ({ record, value, meaning }) => `| \`${record}\` | ${value} | ${meaning} |`,
  );
  const groups = Object.entries(ALERT_GROUPS).map(
    ([group, alerts]) => `## ${TITLES[group]}\n\n${alerts.map(section).join('\n')}`,
  );
  return [
    INTRO,
    `| Alert | Severity | After | Means |\n| --- | --- | --- | --- |\n${rows.join('\n')}\n`,
    ...groups,
    `## Thresholds\n\nSet them in [outrider.thresholds.yml](../mesh-config/observe/outrider.thresholds.yml). A rule with the label \`service\` sets one for that service.\n\n| Record | Default | Meaning |\n| --- | --- | --- |\n${thresholds.join('\n')}\n`,
  ].join('\n');
}

function section({ name, severity, forMinutes, expr, description, means, steps }: Alert): string {
  const fields = description
    .replaceAll(/\{\{ \$labels\.(\w+) \}\}/g, '`$1`')
    .replaceAll(/\{\{ .*?\$value.*? \}\}/g, '*N*');
  const list = steps.map((step, i) => `${i + 1}. ${step}`).join('\n');
  return `### ${name}\n\n${severity}, ${afterOf(forMinutes)}. ${fields}\n\n${means}\n\n${list}\n\n\`\`\`promql\n${expr}\n\`\`\`\n`;
}

function afterOf(minutes: number): string {
  return minutes === 0 ? 'at once' : `after ${minutes} min`;
}
