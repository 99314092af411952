/**
 * `npm run seen`: one fault drill, seen from every side: `outrider page` in a browser, the panels of the dashboards and the alerts in a real
 * Prometheus, and a trace in a collector. Prints what each panel showed, and draws docs/fault-drill.png with `--write`. Ends with 1 where a
 * side does not see the drill.
 */
import { copyFileSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { TestBrowser } from '../../kit/browser/browser.js';
import { meshFile } from '../../kit/config/mesh-file.js';
import { Prometheus } from '../../kit/observe/prometheus.js';
import { admin, Mesh, outputOf, REPOSITORY, Scratch, startOutrider } from '../../kit/process/outrider.js';
import { until } from '../../kit/process/processes.js';
import { tool } from '../../kit/process/tools.js';
import { Collector } from '../../kit/traces/collector.js';
import { digitLoad } from '../faults/digit-load.js';
import { BOARDS, type Panel, panelsOf } from './board-panels.js';
import { picture } from './picture.js';

const FILE = join(REPOSITORY, 'docs/fault-drill.png');
/** So that a page of the documents stays small. */
const MAX_BYTES = 150_000;
const HEALTHY_MS = 20_000;
const DRILL_MS = 40_000;
/** The panels of the picture; all of them are asked. */
const DRAWN = [
  'Calls by status',
  'Failed calls',
  'Success',
  'Latency',
  'Retries',
  'Faults',
  'Drills',
  'Error ratio',
];
const RULES = readFileSync(join(REPOSITORY, 'mesh-config/observe/outrider.rules.yml'), 'utf8');

async function needed(name: Parameters<typeof tool>[0]): Promise<string> {
  const program = await tool(name);
  if (program === undefined) throw new Error(`there is no ${name}, and it cannot be brought`);
  return program;
}

const undo: (() => unknown)[] = [];
try {
  const collector = await Collector.start(await needed('otlp'));
  undo.push(() => collector.kill());
  const traces = `traces: { endpoint: "http://127.0.0.1:${collector.ports.http}", sample: 0 }`;
  const mesh = Mesh.start(
    meshFile({ replicas: 3, more: `observe: 127.0.0.1:0\nfault_injection: true\n${traces}\n` }),
  );
  undo.push(() => mesh.discard());
  const facts = await mesh.ready();
  const targets = facts.sidecars.flatMap(({ observe }) => observe ?? []);
  const config = `global: { scrape_interval: 1s, evaluation_interval: 1s }
rule_files: [outrider.rules.yml]
scrape_configs: [{ job_name: outrider, static_configs: [{ targets: ${JSON.stringify(targets)} }] }]
`;
  const prometheus = await Prometheus.start(await needed('prometheus'), config, {
    'outrider.rules.yml': RULES,
  });
  undo.push(() => prometheus.discard());
  const load = await digitLoad({ target: facts.call['digits']!, perSecond: 40, deadlineMs: 5_000 });
  undo.push(() => load.stop());
  const server = startOutrider(['page', '--listen', '127.0.0.1:0'], { TMPDIR: mesh.temporary });
  undo.push(() => server.kill('SIGTERM'));
  const output = outputOf(server);
  const url = await until('the page is served', () => /http:\S+/.exec(output.stdout)?.[0]);
  const browser = await TestBrowser.start(await needed('chromium'));
  undo.push(() => browser.close());
  const page = await browser.open(url);
  await delay(HEALTHY_MS);

  const drill = '/faults?upstream=digits&abort=unavailable&ratio=0.3&for=2m';
  if ((await admin(facts.admin, drill, 'POST')).status !== 201) throw new Error('the drill was refused');
  const model = facts.sidecars.find(({ name }) => name === 'digits-2')!;
  process.kill(model.modelPid!, 'SIGKILL');
  await delay(DRILL_MS);
  await page.shows(['A fault drill is on', 'aborted with UNAVAILABLE', /was started again/]);
  const alerts = (await prometheus.alerts()).filter(({ state }) => state === 'firing');
  if (!alerts.some(({ labels }) => labels['alertname'] === 'OutriderFaultDrill'))
    throw new Error('no alert of the drill');
  const spans = await collector.find('a trace of a call that the drill struck', (all) => {
    const struck = all.filter(({ attributes }) => attributes['outrider.reason'] === 'fault-injected');
    return struck
      .map(({ traceId }) => all.filter((span) => span.traceId === traceId))
      .sort((a, b) => b.length - a.length)[0];
  });
  const panels: Panel[] = [];
  for (const board of BOARDS)
    panels.push(...(await panelsOf(board, prometheus, (HEALTHY_MS + DRILL_MS) / 1_000)));
  print(panels);
  const byStatus = panels.find(({ title }) => title === 'Calls by status')!;
  if (!byStatus.series.some(({ metric }) => metric['grpc_status'] === 'UNAVAILABLE'))
    throw new Error('no panel shows the calls that failed');

  const scratch = new Scratch();
  undo.push(() => scratch.remove());
  await page.page.setViewport({ width: 1000, height: 620 });
  const shot = Buffer.from(await page.page.screenshot({ type: 'png' }));
  const drawn = panels.filter(
    ({ title, series }) => series.length > 0 && DRAWN.some((word) => title.startsWith(word)),
  );
  const html = scratch.write('seen.html', picture({ page: shot, panels: drawn.slice(0, 6), alerts, spans }));
  const whole = await browser.open(`file://${html}`);
  await whole.page.setViewport({ width: 1270, height: 900 });
  const made = join(scratch.path, 'seen.png');
  await whole.page.screenshot({ path: made as `${string}.png`, fullPage: true });
  process.stdout.write(
    `seen in the page, in ${panels.length} panels, in ${alerts.length} alerts and in a trace; ${statSync(made).size} bytes\n`,
  );
  if (process.argv.includes('--write')) {
    if (statSync(made).size > MAX_BYTES) throw new Error(`the picture has more than ${MAX_BYTES} bytes`);
    copyFileSync(made, FILE);
  }
  writeFileSync(join(REPOSITORY, '.cache/fault-drill.png'), readFileSync(made));
} catch (error) {
  process.stderr.write(`seen: ${error instanceof Error ? error.message : error}\n`);
  process.exitCode = 1;
} finally {
  for (const end of undo.reverse()) await end();
}

/** What each panel would show: how many series, and the last value of the first. */
function print(panels: readonly Panel[]): void {
  for (const { board, title, unit, series } of panels) {
    const [first] = series;
    const last = first?.values.at(-1)?.[1];
    const shown =
      last === undefined ? 'nothing' : `${series.length} series; ${Number(last).toPrecision(3)} ${unit}`;
    process.stdout.write(`${board.padEnd(8)} ${title.padEnd(44)} ${shown}\n`);
  }
}
