/**
 * A headless Chromium for tests that look at pages as a person would: open, wait for text, click text, read, picture.
 *
 * It reaches loopback addresses only: no name resolves, and everything else is sent to a proxy that is not there. A
 * page that does not show in time what it should fails with the text it shows, and leaves a picture in
 * .cache/screenshots.
 */

import { existsSync, mkdirSync } from 'node:fs';
import path from 'node:path';
import { type Browser, launch, type Page } from 'puppeteer-core';
import { ROOT, toolOrSkip } from '../process/tools.js';

const NAMES = ['chromium', 'chromium-browser', 'google-chrome'];
const PICTURES = path.join(ROOT, '.cache', 'screenshots');
const WINDOW = { width: 1280, height: 900 };
/** For a page to load and to show what it should, beside other work on the machine. */
const LIMIT_MS = 20_000;

const ARGUMENTS = [
  '--host-resolver-rules=MAP * ~NOTFOUND , EXCLUDE 127.0.0.1 , EXCLUDE localhost',
  // Loopback addresses are never proxied.
  '--proxy-server=http://127.0.0.1:9',
  '--disable-dev-shm-usage',
  '--disable-gpu',
  '--force-color-profile=srgb',
  '--font-render-hinting=none',
  '--lang=en-US',
];

/** For `before` hooks: a running browser, or the suite is skipped, said loudly. The caller closes it. */
export async function browserOrSkip(context: Mocha.Context): Promise<TestBrowser> {
  const program = onPath() ?? (await toolOrSkip(context, 'chromium'));
  context.timeout(60_000);
  return TestBrowser.start(program);
}

function onPath(): string | undefined {
  const folders = (process.env['PATH'] ?? '').split(path.delimiter).filter((folder) => folder !== '');
  return NAMES.flatMap((name) => folders.map((folder) => path.join(folder, name))).find(existsSync);
}

export class TestBrowser {
  private constructor(private readonly browser: Browser) {}

  static async start(program: string): Promise<TestBrowser> {
    // The sandbox of Chromium does not start for root.
    const rights = process.getuid?.() === 0 ? ['--no-sandbox'] : [];
    const args = [...ARGUMENTS, ...rights];
    return new TestBrowser(
      await launch({ executablePath: program, headless: true, defaultViewport: WINDOW, args }),
    );
  }

  /** A page of its own; resolves when its first document has loaded. Throws when there is none. */
  async open(url: string): Promise<TestPage> {
    const page = new TestPage(await this.browser.newPage());
    await page.go(url);
    return page;
  }

  /** Ends it, its pages and what it wrote to disk. */
  async close(): Promise<void> {
    await this.browser.close();
  }
}

export class TestPage {
  /** Exceptions of its scripts and what it could not load, one line each. */
  readonly problems: string[] = [];

  constructor(
    /** For what the methods here do not cover. */
    readonly page: Page,
  ) {
    page.setDefaultTimeout(LIMIT_MS);
    page.on('pageerror', (error) => this.problems.push(`script: ${wordsOf(error)}`));
    page.on('requestfailed', (request) => {
      const why = request.failure()?.errorText ?? 'failed';
      // A page that goes elsewhere gives up what it was still loading.
      if (why !== 'net::ERR_ABORTED') this.problems.push(`${request.url()}: ${why}`);
    });
  }

  async go(url: string): Promise<void> {
    await this.page.goto(url, { waitUntil: 'load' });
  }

  /** What a person can read on it, spaces and line breaks as one space each. */
  async text(): Promise<string> {
    // As text: it runs in the page, whose types are not those of this program.
    const text = String(await this.page.evaluate('document.body.innerText'));
    return text.replace(/\s+/g, ' ').trim();
  }

  /** Resolves with the page's text once all of `wanted` stand in it. */
  async shows(wanted: readonly (string | RegExp)[], limitMs = LIMIT_MS): Promise<string> {
    const endMs = performance.now() + limitMs;
    for (;;) {
      // A page that is just being replaced has no text for a moment.
      const text = await this.text().catch(() => '');
      const missing = wanted.filter((one) =>
        typeof one === 'string' ? !text.includes(one) : !one.test(text),
      );
      if (missing.length === 0) return text;
      if (performance.now() > endMs) throw new Error(await this.complaint(missing, text));
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
  }

  /** Clicks the first visible link, button or tab whose whole text, or accessible name, is `name`. */
  async click(name: string): Promise<void> {
    await this.page.locator(`::-p-aria([name="${name}"])`).click();
  }

  /** Writes a PNG of the window. */
  async screenshot(file: string): Promise<void> {
    mkdirSync(path.dirname(file), { recursive: true });
    await this.page.screenshot({ path: file as `${string}.png` });
  }

  async close(): Promise<void> {
    await this.page.close();
  }

  private async complaint(missing: readonly (string | RegExp)[], text: string): Promise<string> {
    const file = path.join(PICTURES, `${process.pid}-${Math.round(performance.now())}.png`);
    const picture = await this.screenshot(file).then(
      () => `picture: ${file}`,
      (error) => `no picture: ${wordsOf(error)}`,
    );
    return [
      `the page does not show ${missing.map(String).join(', ')}`,
      `${this.page.url()} shows: ${text.slice(0, 2000)}`,
      ...this.problems.slice(0, 5),
      picture,
    ].join('\n');
  }
}

function wordsOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
