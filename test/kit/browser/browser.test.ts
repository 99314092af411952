import assert from 'node:assert/strict';
import { mkdtemp, readFile, rm, stat } from 'node:fs/promises';
import http from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { ConsulServer, consulOrSkip } from '../consul/consul.js';
import { afterTest } from '../mocha/after-test.js';
import { browserOrSkip, type TestBrowser } from './browser.js';

describe('the browser of the tests', () => {
  let browser: TestBrowser;
  before(async function () {
    browser = await browserOrSkip(this);
  });
  after(() => browser?.close());

  it("shows Consul's UI: the services page with Consul itself on it", async function () {
    await consulOrSkip(this);
    this.timeout(30_000);
    const folder = await mkdtemp(path.join(tmpdir(), 'outrider-browser-'));
    const consul = await ConsulServer.start();
    afterTest(() => rm(folder, { recursive: true }));
    afterTest(() => consul.stop());
    const page = await browser.open(`${consul.url}/ui/`);
    await page.shows(['Services', 'consul', 'Nodes', 'Intentions']);
    const picture = path.join(folder, 'services.png');
    await page.screenshot(picture);
    assert.equal((await readFile(picture)).subarray(1, 4).toString('latin1'), 'PNG');
    await page.click('Nodes');
    await page.shows(['consul-test']);
    assert.deepEqual(page.problems, []);
    await page.close();
  });

  describe('with a page of the test', () => {
    let server: http.Server;
    let url: string;
    before(async () => {
      const html = `<body><h1>A  heading</h1><p hidden>unseen</p><img src="http://203.0.113.1/x.png"></body>`;
      server = http.createServer((_request, response) => {
        response.writeHead(200, { 'content-type': 'text/html' });
        response.end(html);
      });
      await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
      url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/`;
    });
    after(() => server?.close());

    it('reads what can be seen, and goes nowhere but to loopback addresses', async () => {
      const page = await browser.open(url);
      assert.equal(await page.shows([/^A heading$/]), 'A heading');
      assert.deepEqual(page.problems, ['http://203.0.113.1/x.png: net::ERR_PROXY_CONNECTION_FAILED']);
      await page.close();
    });

    it('says what a page shows in place of what it should', async () => {
      const page = await browser.open(url);
      const complaint = await page.shows(['unseen'], 100).catch((error: Error) => error.message);
      assert.match(complaint, /does not show unseen\n.*shows: A heading\n/);
      const picture = /picture: (.*)/.exec(complaint)?.[1] ?? '';
      assert.ok((await stat(picture)).size > 0);
      await rm(picture);
      await page.close();
    });
  });
});
