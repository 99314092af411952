/** The pages in a browser with meshes of 3, 10 and 30 services, on a desk and on a telephone: nothing lies on anything else, and all can be read. */
import assert from 'node:assert/strict';
import { type AdminServer, startAdmin } from '../../sidecar/admin/server.js';
import { MeshView } from '../../sidecar/cli/page/mesh-view.js';
import { type PageServer, servePage } from '../../sidecar/cli/page/server.js';
import { browserOrSkip, type TestBrowser, type TestPage } from '../kit/browser/browser.js';
import { type MadeMesh, madeMesh } from '../kit/browser/made-mesh.js';
import {
  colours,
  faintTexts,
  leastDistance,
  linesThroughBoxes,
  overflows,
  overlaps,
} from '../kit/browser/measured.js';
import { until } from '../kit/process/processes.js';
import { anEndpoint, FakeView } from '../kit/stack/admin-view.js';
import { ManualClock } from '../kit/time/manual-clock.js';

const WIDTHS = [1600, 1180, 400];
/** Style, script and content of one page. */
const MOST_BYTES = 120_000;

describe('the pages in a browser', function () {
  this.timeout(60_000);
  let browser: TestBrowser;
  let page: TestPage;
  let server: PageServer | undefined;
  let view: MeshView;
  const errors: string[] = [];

  before(async function () {
    browser = await browserOrSkip(this);
    page = await browser.open('about:blank');
    page.page.on('console', (message) => {
      if (message.type() === 'error' || message.type() === 'warn') errors.push(message.text());
    });
    page.page.on('dialog', (dialog) => void errors.push(`a dialog: ${dialog.message()}`));
  });
  after(() => browser?.close());
  afterEach(async () => {
    // A page that is left asks no server that is gone.
    await page?.go('about:blank');
    await server?.close();
    server = undefined;
    assert.deepEqual([...errors.splice(0), ...page.problems.splice(0)], []);
  });

  async function show(mesh: MadeMesh): Promise<string> {
    view = new MeshView();
    view.take(madeMesh(mesh), Date.now());
    server = await servePage(
      { host: '127.0.0.1', port: 0 },
      { moment: () => view.moment(Date.now()), change: async () => ({ ok: true, says: '' }) },
    );
    const url = `http://127.0.0.1:${server.address.port}/`;
    await page.go(url);
    await drawn();
    return url;
  }

  /** The script looks again when a page is seen anew: nothing waits for its next look. */
  const look = () => page.page.evaluate(`document.dispatchEvent(new Event('visibilitychange'))`);
  const count = async (selector: string) =>
    Number(await page.page.evaluate(`document.querySelectorAll(${JSON.stringify(selector)}).length`));
  const drawn = () =>
    until(
      'charts and lines are drawn',
      async () => (await count('.uplot')) > 0 && (await count('svg.edges path')) > 0,
    );

  for (const services of [3, 10, 30])
    it(`has nothing on anything else, and all of it readable, with ${services} services`, async () => {
      const url = await show({ services, replicas: services === 30 ? 3 : 2, trouble: 'one ejected' });
      const { length } = Buffer.from(await (await fetch(url)).text());
      if (services === 10) assert.ok(length < MOST_BYTES, `${length} bytes`);
      for (const width of WIDTHS) {
        await page.page.setViewport({ width, height: 900 });
        await page.page.evaluate(
          'new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))',
        );
        assert.deepEqual(await overlaps(page), [], `${width} px`);
        assert.deepEqual(await overflows(page), [], `${width} px`);
        const { lines, through } = await linesThroughBoxes(page);
        assert.deepEqual(through, [], `${width} px`);
        // On a telephone many lines are drawn only where calls fail.
        assert.ok(lines >= (services === 3 ? 2 : 1), `${lines} lines`);
      }
      if (services === 30) return;
      for (const value of ['light', 'dark']) {
        await page.page.emulateMediaFeatures([{ name: 'prefers-color-scheme', value }]);
        assert.deepEqual(await faintTexts(page), [], value);
      }
    });

  it('has states that eyes of every kind tell apart, in light and in dark', async () => {
    await show({ services: 3, replicas: 2, trouble: 'nothing' });
    const states = ['--ready', '--suspect', '--ejected', '--down', '--restarting'];
    for (const value of ['light', 'dark']) {
      await page.page.emulateMediaFeatures([{ name: 'prefers-color-scheme', value }]);
      for (const names of [states, ['--calls', '--late'], ['--good', '--bad']]) {
        const least = leastDistance(await colours(page, names));
        // Twenty is far more than a just noticeable difference (2.3); states differ by their shape as well.
        assert.ok(least.distance > 20, `${value}: ${JSON.stringify(least)}`);
      }
    }
  });

  it('shows hostile names as text, in names of services, reasons and commands', async () => {
    const evil = `"><img src=x onerror=alert(1)><script>alert(2)</script>'`;
    await page.page.setViewport({ width: 1600, height: 900 });
    await show({ services: 4, replicas: 1, trouble: 'one ejected', decorate: (name) => `${name}${evil}` });
    await page.shows([`detector${evil}`, `npx outrider status 'detector"><img`]);
    assert.deepEqual([await count('img'), await count('body script')], [0, 1]);
    assert.ok((await count('svg.edges path')) > 0, 'lines find their services');
    await page.page.setViewport({ width: 400, height: 900 });
    assert.deepEqual(await overflows(page), []);
  });

  it('is worked by keys, and what is open and has the focus stays so while numbers change', async () => {
    await page.page.setViewport({ width: 1600, height: 900 });
    await show({ services: 3, replicas: 2, trouble: 'nothing' });
    const read = (script: string) => page.page.evaluate(script);
    await read(`document.querySelector('.row summary').focus()`);
    await page.page.keyboard.press('Enter');
    assert.equal(await count('.row[open]'), 1);
    view.take(madeMesh({ services: 3, replicas: 2, trouble: 'one gone' }), Date.now());
    await look();
    await page.shows(['detector-1 does not answer', 'npx outrider status']);
    assert.equal(await count('.row[open]'), 1);
    assert.equal(await read(`document.activeElement.closest('.row').dataset.key`), 'detector-1');
    // The arrow keys move the time line of the chart with the focus.
    await read(`document.querySelector('figure').focus()`);
    await page.page.keyboard.press('ArrowLeft');
    await page.page.keyboard.press('ArrowLeft');
    const out = String(await read(`document.querySelector('.readout:not([hidden])').textContent`));
    assert.match(out, /^\d\d:\d\d:\d\d {2}\d+/);
    assert.ok((await count('.readout:not([hidden])')) > 1, 'all charts show the same time');
  });

  it('opens a service that is closed from the list of problems', async () => {
    await show({ services: 10, replicas: 2, trouble: 'one gone' });
    await page.page.evaluate(`document.querySelector('#s-detector').open = false`);
    await page.click('detector');
    await until('it is open', () => page.page.evaluate(`document.querySelector('#s-detector').open`));
  });

  describe('of one sidecar', () => {
    let admin: AdminServer | undefined;
    afterEach(() => admin?.close());

    it('has the same design, with the charts of its own calls and of those to others', async () => {
      const sidecar = new FakeView();
      sidecar.rows = [
        anEndpoint({ endpoint: 'digits-2', state: 'ejected', why: '<b>5 faults</b> in a row' }),
        anEndpoint({}),
      ];
      sidecar.queueReport = { running: 1, waiting: 3, waitingBytes: 400, concurrency: 2 };
      sidecar.modelReport = { state: 'ready', why: '', restarts: 1 };
      const clock = new ManualClock();
      admin = await startAdmin({ kind: 'tcp', host: '127.0.0.1', port: 0 }, sidecar, {
        time: { clock, timers: clock },
      });
      for (let i = 1; i < 100; i++) {
        sidecar.totals = ['inbound', 'outbound'].map((direction) => ({
          ...{ kind: `${direction} digits`, calls: 50 * i, failed: i, times: Array(17).fill(3 * i) },
        }));
        clock.advance(5_000);
      }
      const { port } = admin.address as { port: number };
      for (const width of WIDTHS) {
        await page.page.setViewport({ width, height: 900 });
        await page.go(`http://127.0.0.1:${port}/`);
        await until('charts are drawn', async () => (await count('.uplot')) === 7);
        assert.deepEqual([await overlaps(page), await overflows(page)], [[], []], `${width} px`);
        for (const value of ['light', 'dark']) {
          await page.page.emulateMediaFeatures([{ name: 'prefers-color-scheme', value }]);
          assert.deepEqual(await faintTexts(page), [], value);
        }
      }
      await page.shows([
        'Calls to digits here',
        '<b>5 faults</b> in a row',
        '1 of 2 run',
        'started again once',
      ]);
      sidecar.reasons = ['the model is starting'];
      await look();
      await page.shows(['not ready', 'the model is starting']);
    });
  });
});
