/** `outrider page` in a browser, beside a mesh with calls, drills, a model that dies and a drain; and `outrider chaos` on that mesh. */

import assert from 'node:assert/strict';
import type { ChildProcess } from 'node:child_process';
import type { Summary } from '../../../sidecar/cli/chaos/report/report.js';
import { digitLoad } from '../../drills/faults/digit-load.js';
import type { Load } from '../../drills/faults/load.js';
import { browserOrSkip, type TestBrowser, type TestPage } from '../../kit/browser/browser.js';
import { meshFile } from '../../kit/config/mesh-file.js';
import { EFFORT } from '../../kit/mocha/effort.js';
import {
  admin,
  Mesh,
  outputOf,
  outrider,
  reportOf,
  startOutrider,
  type UpFacts,
} from '../../kit/process/outrider.js';
import { until } from '../../kit/process/processes.js';

describe('outrider page', function () {
  this.timeout(90_000);
  let browser: TestBrowser;
  let mesh: Mesh;
  let facts: UpFacts;
  let load: Load;
  let server: ChildProcess;
  let page: TestPage;
  const errors: string[] = [];

  before(async function () {
    browser = await browserOrSkip(this);
    mesh = Mesh.start(meshFile({ replicas: 2, more: 'fault_injection: processes\n' }));
    facts = await mesh.ready();
    load = await digitLoad({ target: facts.call['digits']!, perSecond: 20, deadlineMs: 5_000 });
    server = startOutrider(['page', '--listen', '127.0.0.1:0'], { TMPDIR: mesh.temporary });
    const output = outputOf(server);
    const url = await until('the page is served', () => /http:\S+/.exec(output.stdout)?.[0]);
    page = await browser.open(url);
    page.page.on('console', (message) => {
      if (message.type() === 'error') errors.push(message.text());
    });
  });

  after(async () => {
    server?.kill('SIGTERM');
    await load?.stop();
    await browser?.close();
    await mesh?.discard();
  });

  it('shows services with their calls, endpoints and sidecars', async () => {
    await page.shows([
      '3 of 3 sidecars ready',
      'client',
      '2 of 2 ready',
      /\d\d calls\/s · 0 % fail · p50 .* p99/,
    ]);
    await until('charts and lines', () =>
      page.page.evaluate(
        "document.querySelectorAll('.uplot').length === 4 && document.querySelectorAll('svg.edges path').length === 1",
      ),
    );
  });

  it('has what was before it was opened, from the sidecars', async () => {
    const slots = (text: string) =>
      JSON.parse(text).series.groups.find((each: { name: string }) => each.name === 'digits');
    const late = startOutrider(['page', '--listen', '127.0.0.1:0'], { TMPDIR: mesh.temporary });
    try {
      const output = outputOf(late);
      const url = await until('another page is served', () => /http:\S+/.exec(output.stdout)?.[0]);
      const known = async () => {
        const { calls } = slots(await (await fetch(`${url}main?since=-1`)).text()).series as {
          calls: (number | null)[];
        };
        return calls.filter((each) => each !== null).length;
      };
      // Its first answer: it has looked once.
      await until('there is a past', async () => (await known()) >= 2, 20_000);
    } finally {
      late.kill('SIGTERM');
    }
  });

  it('has a banner while a drill is on, and tells where a model died', async () => {
    const fault = '/faults?upstream=digits&abort=unavailable&ratio=0.5&for=3s';
    assert.equal((await admin(facts.admin, fault, 'POST')).status, 201);
    process.kill(facts.sidecars.find(({ name }) => name === 'digits-1')!.modelPid!, 'SIGKILL');
    await page.shows(['A fault drill is on', 'aborted with UNAVAILABLE']);
    await page.shows([/of digits-1 was started again/]);
    const isMarked =
      "document.querySelectorAll('.happened .kind.restart').length === 1 && document.querySelectorAll('#s-digits .row .strip .restarting').length > 0";
    await until('its strip has the restart', () => page.page.evaluate(isMarked));
    await admin(facts.admin, '/faults', 'DELETE');
  });

  // Half a minute; `outrider chaos` on a mesh of its own is in chaos.test.ts.
  if (EFFORT > 1)
    it('takes drills of outrider chaos, as its file allows them, and is as before afterwards', async () => {
      const drills = ['chaos', '--mesh', 'delay', 'kill', '--quick', '--json', '--rate', '50'];
      const { code, stdout, stderr } = await outrider(drills, { TMPDIR: mesh.temporary });
      assert.equal(code, 0, stderr);
      const { figures, verdict, skipped } = JSON.parse(stdout) as Summary;
      assert.deepEqual([skipped, figures.map(({ drill }) => drill)], [[], ['delay', 'kill']]);
      assert.match(
        verdict.sentence,
        /No call broke an invariant that can be judged without a log of the models/,
      );
      for (const { counts } of figures) assert.ok(counts.right > 50, JSON.stringify(counts));
      // Calls are delayed at the first replica, and the second one is killed and back.
      const [first, second] = facts.sidecars.map(({ admin: address }) => address);
      const faults = JSON.parse((await admin(first!, '/faults')).body);
      assert.deepEqual([faults.faults, faults.processes], [[], []]);
      const { restarts, pid } = await until('the model is back', async () => {
        const { model } = await reportOf(second!);
        return model!.state === 'ready' && model!;
      });
      assert.equal(restarts, 1);
      assert.notEqual(pid, facts.sidecars[1]!.modelPid);
      // A freeze ends by itself, and one process is struck at a time.
      assert.equal((await admin(first!, '/faults?process=freeze&for=60s', 'POST')).status, 201);
      assert.equal((await admin(first!, '/faults?process=kill', 'POST')).status, 409);
      await fetch(`http://${first}/faults`, { method: 'DELETE' });
      // Drills do not meet those of others. A freeze would be over when the supervisor has killed the process.
      assert.equal(
        (await admin(facts.admin, '/faults?upstream=digits&delay=1ms&for=60s', 'POST')).status,
        201,
      );
      const busy = await outrider(['chaos', '--mesh', 'kill'], { TMPDIR: mesh.temporary });
      assert.equal(busy.code, 1);
      assert.match(busy.stderr, /faults are on already at client; nothing was done/);
      await admin(facts.admin, '/faults', 'DELETE');
    });

  it('drains a sidecar with two clicks and brings it back with two', async () => {
    const row = `details[data-key="digits-2"].row`;
    const isOpen = () => page.page.evaluate(`document.querySelector('${row}').open`);
    const press = async (word: string) => {
      // What is drawn anew above a row moves it, and a click that it leaves between down and up is none.
      await until('the row is open', async () => {
        if (await isOpen()) return true;
        await page.page
          .locator(`${row} > summary`)
          .setTimeout(2_000)
          .click()
          .catch(() => {});
        return isOpen();
      });
      await page.click(`${word} digits-2`);
    };
    await press('Drain');
    await page.shows(['digits-2 drains', /digits-2 draining/]);
    await press('Bring back');
    await page.shows(['3 of 3 sidecars ready'], 30_000);
  });

  it('fits on a telephone, dark and light, and loads nothing from elsewhere', async () => {
    await page.page.setViewport({ width: 400, height: 800 });
    for (const value of ['light', 'dark']) {
      await page.page.emulateMediaFeatures([{ name: 'prefers-color-scheme', value }]);
      assert.equal(await page.page.evaluate('document.documentElement.scrollWidth'), 400);
    }
    assert.deepEqual([...errors, ...page.problems], []);
  });
});
