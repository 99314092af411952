/**
 * Program: draws docs/page.png, `outrider page` beside a mesh with calls: one model was killed a while ago, and one stands still. It takes three
 * minutes. The second part of `npm run record`.
 */
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { TestBrowser } from '../../kit/browser/browser.js';
import { DIGITS_MODELS, Mesh, outputOf, REPOSITORY, startOutrider } from '../../kit/process/outrider.js';
import { until } from '../../kit/process/processes.js';
import { tool } from '../../kit/process/tools.js';
import { digitLoad } from '../faults/digit-load.js';

const FILE = join(REPOSITORY, 'docs/page.png');
const WINDOW = { width: 1180, height: 1000 };
const HEALTHY_MS = 80_000;
const AFTER_KILL_MS = 80_000;
const FROZEN_LIMIT_MS = 30_000;

const MESH = `
services:
  digits: { models: ${DIGITS_MODELS}, replicas: 3 }
  digits-lite: { models: ${join(REPOSITORY, 'services/digits/lite/models')} }
caller:
  name: shop
  admin: 127.0.0.1:0
  upstreams:
    digits: { listen: 127.0.0.1:0 }
    digits-lite: { listen: 127.0.0.1:0 }
`;

const chromium = await tool('chromium');
if (chromium === undefined) throw new Error('there is no Chromium');
const undo: (() => unknown)[] = [];
try {
  const mesh = Mesh.start(MESH);
  undo.push(() => mesh.discard());
  const facts = await mesh.ready();
  for (const [service, perSecond] of [
    ['digits', 60],
    ['digits-lite', 15],
  ] as const) {
    const load = await digitLoad({ target: facts.call[service]!, perSecond, deadlineMs: 2_000 });
    undo.push(() => load.stop());
  }
  const pidOf = (name: string) => facts.sidecars.find((each) => each.name === name)!.modelPid!;
  await delay(HEALTHY_MS);
  process.kill(pidOf('digits-1'), 'SIGKILL');
  await delay(AFTER_KILL_MS);
  // The page is opened only now: what was before comes from the sidecars.
  const server = startOutrider(['page', '--listen', '127.0.0.1:0'], { TMPDIR: mesh.temporary });
  undo.push(() => server.kill('SIGTERM'));
  const output = outputOf(server);
  const url = await until('the page is served', () => /http:\S+/.exec(output.stdout)?.[0]);
  const browser = await TestBrowser.start(chromium);
  undo.push(() => browser.close());
  const page = await browser.open(url);
  await page.page.setViewport(WINDOW);
  await page.shows([/model digits .*of digits-1 was started again/]);
  process.kill(pidOf('digits-2'), 'SIGSTOP');
  await page.shows(['Needs attention', /digits-2 (is|restarts)/], FROZEN_LIMIT_MS);
  await page.screenshot(FILE);
} finally {
  for (const end of undo.reverse()) await end();
}
