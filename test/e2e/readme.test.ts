/**
 * Every command line of the README runs as it is written, in the order in which a reader would type them; those that do
 * not run here are named with the reason. A line that is in neither list is a failure.
 */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterTest } from '../kit/mocha/after-test.js';
import { REPOSITORY } from '../kit/process/outrider.js';
import { ScratchDirectory } from '../kit/process/scratch-directory.js';
import { inferSeven } from '../kit/process/suite-mesh.js';
import { readMarkdown } from '../kit/source-tree/document.js';

const README = readFileSync(join(REPOSITORY, 'README.md'), 'utf8');

/** Command lines without their comments. */
const LINES = [...README.matchAll(/^```sh\n(.*?)^```/gms)]
  .flatMap(([, block]) => block!.split('\n'))
  .map((line) => line.replace(/\s+#.*$/, '').trim())
  .filter((line) => line !== '');

/** Run elsewhere, or by hand. */
const ELSEWHERE: Readonly<Record<string, string>> = {
  'npm ci && npm test': 'these tests',
  'npm ci && npm run build': 'what runs here was built so',
  'npx outrider up --consul dev mesh-config/consul.yaml': 'examples.test.ts',
};
const BY_HAND = /^(npm run (demo|conformance|bench)|npx outrider chaos)\b/;

const isUp = /Ctrl-C drains and stops everything/;
const SEVEN = /^7 {2}\(\d+\.\d %\)/;

describe('the command lines of the README', function () {
  this.timeout(180_000);

  const seen = new Set<string>();
  let place: ScratchDirectory;
  beforeEach(() => {
    place = new ScratchDirectory();
  });
  afterEach(() => place.close());

  /** A line as the README has it. */
  const line = (start: string): string => {
    const found = LINES.find((each) => each.startsWith(start) && !seen.has(each));
    assert.ok(found !== undefined, `the README has no further line ${start}…`);
    seen.add(found);
    return found;
  };
  /** One that ends at Ctrl-C alone. */
  const stays = (text: string, ready: RegExp) => place.start(text, ready);
  const prints = async (text: string, expected: RegExp): Promise<void> =>
    assert.match(await place.shell(text), expected);

  it('start the mesh of the demo, call it and watch it', async () => {
    assert.equal(line('npm ci && npm start'), 'npm ci && npm start');
    const { scripts } = JSON.parse(readFileSync(join(REPOSITORY, 'package.json'), 'utf8'));
    assert.equal(scripts.start, 'npm run -s build && node dist/sidecar/main.js up mesh-config/demo.yaml');
    await stays('outrider up mesh-config/demo.yaml', isUp);
    await prints(line('npx outrider infer digits'), SEVEN);
    await stays(line('npx outrider status --watch'), /digits-3 +eligible/);
    await prints(line('npx outrider status'), /digits-3 +eligible/);
    await prints(line('npx outrider check'), /, 0 failed$/m);
    await prints(line('npx outrider explain'), /^no-endpoint {2}UNAVAILABLE/);
  });

  it('serve a model alone', async () => {
    await stays(line('npx outrider serve'), /ready in .* golden input matched/);
    await prints(line('npx outrider infer digits'), SEVEN);
  });

  it('run a mesh of one line', async () => {
    await place.shell(line('echo '));
    const said = await stays(line('npx outrider up mesh.yaml'), isUp);
    const target = /call mine at (\S+)/.exec(said)![1]!;
    assert.match((await inferSeven(target)).stdout, SEVEN);
  });

  it('run one sidecar with certificates that are made', async () => {
    await place.shell(line('npx outrider certs'));
    await stays(line('npx outrider sidecar'), /inbound on 0\.0\.0\.0:9443/);
  });

  it('check a file', () => prints(line('npx outrider validate'), /^ok mesh-config\/demo\.yaml$/m));

  it('run every decision, and drill', async () => {
    await stays(line('npx outrider up mesh-config/resilient.yaml'), isUp);
    await prints(line('curl '), /"upstream":\s*"digits"/);
  });

  it('are all here, or said not to be', () => {
    const rest = LINES.filter((each) => !seen.has(each) && !(each in ELSEWHERE) && !BY_HAND.test(each));
    assert.deepEqual(rest, []);
    for (const each of Object.keys(ELSEWHERE)) assert.ok(LINES.includes(each), each);
  });
});

describe('the files that the README shows', function () {
  this.timeout(60_000);
  it('run as they are written', async () => {
    const place = new ScratchDirectory();
    afterTest(() => place.close());
    const blocks = readMarkdown('README.md', README).yaml;
    assert.ok(blocks.length >= 1);
    for (const { text } of blocks) {
      place.scratch.write('shown.yaml', text);
      const said = await place.start('outrider up shown.yaml', isUp);
      const target = /call \S+ at (\S+)/.exec(said)![1]!;
      const infer = `outrider infer digits --input @services/digits/samples/seven.png --target ${target}`;
      assert.match(await place.shell(infer), SEVEN);
    }
  });
});
