/**
 * Draws mesh-config/consul-ui.png, the picture in the README: an instance whose model has been frozen, in Consul's UI.
 *
 *   npm run build && node dist/test/kit/browser/consul-ui-picture.js
 */

import { join } from 'node:path';
import { Mesh, REPOSITORY } from '../process/outrider.js';
import { until } from '../process/processes.js';
import { tool } from '../process/tools.js';
import { TestBrowser } from './browser.js';
import { allPassing, CHECKS, FrozenModel, MESH_FILE, rows, type UiFacts } from './consul-ui.js';

const FILE = join(REPOSITORY, 'mesh-config', 'consul-ui.png');
/** Down to the end of the first check. */
const WINDOW = { width: 1100, height: 500 };
const FROZEN_LIMIT_MS = 50_000;

async function draw(mesh: Mesh, browser: TestBrowser): Promise<void> {
  const facts = (await mesh.ready()) as UiFacts;
  await allPassing(facts);
  const model = new FrozenModel(mesh, facts.sidecars.find(({ name }) => name === 'digits-2')!);
  const page = await browser.open(`${facts.consul.ui}dc1/services/digits`);
  await page.page.setViewport(WINDOW);
  try {
    await page.click('digits-2');
    await until(
      'the check fails',
      async () => {
        model.hold();
        const [check] = await rows(page, CHECKS);
        return check?.text.includes('the model has not answered');
      },
      FROZEN_LIMIT_MS,
    );
    await page.screenshot(FILE);
  } finally {
    model.release();
  }
}

const chromium = await tool('chromium');
if (chromium === undefined) throw new Error('there is no Chromium');
const browser = await TestBrowser.start(chromium);
const mesh = Mesh.start(MESH_FILE, ['--consul', 'dev']);
try {
  await draw(mesh, browser);
} finally {
  await Promise.allSettled([browser.close(), mesh.discard()]);
}
