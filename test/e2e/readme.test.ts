/**
 * Every command line of the README runs as it is written, and so do those of the pages that continue it in a clone:
 * docs/CONFIGURE.md and docs/IDENTITY.md. Lines that run elsewhere are named with the reason. A line that is in neither list
 * is a failure.
 */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { EFFORT } from '../kit/mocha/effort.js';
import { REPOSITORY } from '../kit/process/outrider.js';
import { blocksOf, IS_UP, pageText, shellLines } from '../kit/process/page-lines.js';
import { until } from '../kit/process/processes.js';
import { ScratchDirectory } from '../kit/process/scratch-directory.js';

/** Command lines without their comments. */
const LINES = ['README.md', 'docs/CONFIGURE.md', 'docs/IDENTITY.md']
  .flatMap((name) => shellLines(readFileSync(join(REPOSITORY, name), 'utf8')))
  .map((line) => line.replace(/\s+#.*$/, '').trim())
  .filter((line) => line !== '');

/** Run elsewhere. */
const ELSEWHERE: Readonly<Record<string, string>> = {
  'npm ci && npm test': 'these tests',
  'npm install --ignore-scripts outrider outrider-models && npx outrider up':
    'the first release; FIRST-MESH does it with the packed program',
};

/** By day in test/e2e/up/resilient, which runs the same file on free ports and injects a fault. */
const AT_NIGHT = [
  'npx outrider up mesh-config/resilient.yaml',
  "curl -X POST 'http://127.0.0.1:8790/faults?",
];

const SEVEN = /^7 {2}\(\d+\.\d %\)/;

describe('the command lines of the README, CONFIGURE and IDENTITY', function () {
  this.timeout(180_000);

  /** Those that no test has run yet. */
  const left = [...LINES];
  let place: ScratchDirectory;
  beforeEach(() => {
    place = new ScratchDirectory();
  });
  afterEach(() => place.close());

  /** A line as the page has it. */
  const line = (start: string): string => {
    const at = left.findIndex((each) => each.startsWith(start));
    assert.ok(at >= 0, `the pages have no further line ${start}…`);
    return left.splice(at, 1)[0]!;
  };
  /** One that ends at Ctrl-C alone. */
  const stays = (text: string, ready: RegExp) => place.start(text, ready);
  const prints = async (text: string, expected: RegExp): Promise<void> =>
    assert.match(await place.shell(text), expected);

  it('start the mesh of the demo, call it and watch it', async () => {
    assert.equal(line('npm ci && npm start'), 'npm ci && npm start');
    const { scripts } = JSON.parse(readFileSync(join(REPOSITORY, 'package.json'), 'utf8'));
    assert.equal(
      scripts.start,
      'npm run -s build && exec node dist/sidecar/main.js up mesh-config/demo.yaml',
    );
    await stays('outrider up mesh-config/demo.yaml', IS_UP);
    await prints(line('npx outrider check'), /, 0 failed$/m);
    await prints(line('npx outrider infer digits'), SEVEN);
    await place.shell(line('kill -9 '));
    await prints(line('npx outrider infer digits'), SEVEN);
    await prints(line('npx outrider status'), /digits-3 +eligible/);
  });

  it('run a sidecar with certificates that are made, and a second one that calls it', async () => {
    await place.shell(line('npx outrider certs'));
    await stays(line('npx outrider sidecar'), /inbound on 0\.0\.0\.0:9443/);
    place.scratch.write('web.yaml', blocksOf(pageText('IDENTITY.md'), 'yaml')[0]!);
    await stays(line('npx outrider sidecar -c web.yaml'), /upstream digits on 127\.0\.0\.1:8850/);
    const infer = line('npx outrider infer digits');
    await until(
      'the call is answered',
      async () => SEVEN.test(await place.shell(infer).catch(() => '')),
      30_000,
    );
  });

  it('check a file', () => prints(line('npx outrider validate'), /^ok mesh-config\/demo\.yaml$/m));

  if (EFFORT > 1)
    it('run every policy, and inject a fault', async () => {
      const [up, fault] = AT_NIGHT.map(line);
      await stays(up!, IS_UP);
      await prints(fault!, /"upstream":\s*"digits"/);
    });

  it('are all here, or said not to be', () => {
    if (EFFORT === 1) for (const start of AT_NIGHT) line(start);
    assert.deepEqual(
      left.filter((each) => !(each in ELSEWHERE)),
      [],
    );
    for (const each of Object.keys(ELSEWHERE)) assert.ok(LINES.includes(each), each);
  });
});
