/** The page of `outrider chaos --report` in a browser: it fits a telephone and a desk, and loads nothing. */
import assert from 'node:assert/strict';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { writeReport } from '../../sidecar/cli/chaos/report/write-report.js';
import { browserOrSkip, type TestBrowser } from '../kit/browser/browser.js';
import { madeHistory, madeRun } from '../kit/chaos/made-history.js';
import { Scratch } from '../kit/process/outrider.js';
import { seeded } from '../kit/time/seeded-random.js';

describe('the page of a chaos report', function () {
  this.timeout(30_000);
  let browser: TestBrowser | undefined;
  let place: Scratch;
  before(async function () {
    browser = await browserOrSkip(this);
    place = new Scratch();
  });
  after(async () => {
    await browser?.close();
    place?.remove();
  });

  it('is no wider than its window at 400 and 1200 px, however long its words are, and asks for nothing else', async () => {
    const random = seeded(11);
    const runs = (['outrider', 'pick-first', 'round-robin', 'envoy'] as const).map((arm, i) =>
      madeRun({ random, drill: 'kill', arm, seconds: 5, failForMs: i * 700 }),
    );
    const history = madeHistory(runs);
    const about = { ...history.about, command: `outrider chaos --report /${'long'.repeat(40)}` };
    writeReport({ ...history, about }, place.path);
    const page = await browser!.open('about:blank');
    const asked: string[] = [];
    page.page.on('request', (request) => void asked.push(request.url()));
    const address = pathToFileURL(join(place.path, 'index.html')).href;
    for (const width of [400, 1200]) {
      await page.page.setViewport({ width, height: 900 });
      await page.go(address);
      await page.page.evaluate('for (const one of document.querySelectorAll("details")) one.open = true');
      const wide = await page.page.evaluate('document.documentElement.scrollWidth');
      assert.equal(wide, width);
    }
    await page.shows(['No call broke an invariant', 'Drill kill']);
    assert.deepEqual(asked, [address, address]);
    assert.deepEqual(page.problems, []);
  });
});
