/**
 * The packages as they are installed: made by `npm run pack`, unpacked into an empty folder, with the dependencies beside
 * them, first without the inference runtime, which a sidecar does not need. Then docs/FIRST-MESH.md and docs/OWN-MODEL.md as a newcomer
 * follows them in that folder.
 */

import assert from 'node:assert/strict';
import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { type Lock, lockClosure } from '../../tools/image/lock-closure.js';
import { importClosure } from '../../tools/pack/import-closure.js';
import { EFFORT } from '../kit/mocha/effort.js';
import { packageRoot } from '../kit/process/package-root.js';
import {
  installPacked,
  linkDependency,
  type Packed,
  readPackage,
  run,
} from '../kit/process/packed-package.js';
import {
  blocksOf,
  FIRST_MESH,
  IS_UP,
  OWN_MODEL,
  pageText,
  type Steps,
  shellLines,
} from '../kit/process/page-lines.js';
import { ShellIn } from '../kit/process/shell.js';
import { flowerModel } from '../kit/service/tiny-models.js';

/** Bytes that a folder takes on the disk, in whole blocks, without packages below it, which are counted by themselves. */
function diskBytes(folder: string): number {
  const said = execFileSync('du', ['-sk', '--exclude=node_modules', folder], { encoding: 'utf8' });
  return Number(said.split('\t')[0]) * 1_024;
}

const PAGE = pageText('OWN-MODEL.md');

describe('the package', function () {
  this.timeout(180_000);
  let folder: string;
  let packed: Packed;
  let installed: string;

  const models = () => path.join(installed, 'services/digits/models');
  const outrider = (args: readonly string[], stopAt?: RegExp) =>
    run(process.execPath, [path.join(installed, 'dist/sidecar/main.js'), ...args], folder, { stopAt });

  /** Puts the inference runtime beside the package, where it is not there yet. */
  function requireRuntime(): void {
    if (!existsSync(path.join(folder, 'node_modules/onnxruntime-node')))
      linkDependency(folder, 'onnxruntime-node');
  }

  before(async () => {
    folder = mkdtempSync(path.join(tmpdir(), 'outrider-package-'));
    ({ packed, installed } = await installPacked(folder));
  });
  after(() => rmSync(folder, { recursive: true, force: true }));

  it('has what runs and what it runs on, and no tests, sources or source maps', () => {
    const { paths, bytes } = packed;
    const foreign = paths.filter((name) => /(^|\/)test\/|\.test\.|\.map$|\.ts$/.test(name));
    assert.deepEqual(foreign, []);
    for (const needed of [
      'dist/sidecar/main.js',
      'dist/bundle/program.js',
      'dist/bundle/LICENCES.txt',
      'dist/bundle/page.js',
      'dist/bundle/page.css',
      'dist/services/model-server/main.js',
      'proto/inference.proto',
      'proto/health.proto',
      'services/digits/models/digits/1/model.onnx',
      'services/digits/samples/seven.png',
      'dist/services/tokens/tokens.js',
      'services/tokens/models/tokens/1/model.onnx',
      'mesh-config/demo.yaml',
      'README.md',
      'docs/OBSERVE.md',
      'docs/clients/NODE.md',
      'docs/first-mesh.svg',
      'SECURITY.md',
      'services/examples/sklearn/train.py',
      'LICENSE',
    ])
      assert.ok(paths.includes(needed), needed);
    assert.ok(paths.length < 480 && bytes < 3_000_000, `${paths.length} files, ${bytes} bytes packed`);
  });

  it('has every module that one of its modules imports', () => {
    const modules = packed.paths.filter((name) => /^dist\/(services|sidecar|proto)\/.*\.js$/.test(name));
    const { files } = importClosure(modules.map((name) => path.join(installed, name)));
    assert.ok(files.length > modules.length / 2, `${files.length} of ${modules.length}`);
  });

  it('takes less than 25 MB of disk with all that it depends on', function () {
    const lock = readPackage(packageRoot, 'package-lock.json') as Lock;
    const needed = lockClosure(lock, Object.keys(readPackage(installed).dependencies));
    const all = [installed, ...needed.map((each) => path.join(packageRoot, each))];
    const bytes = all.map((each) => diskBytes(each)).reduce((sum, each) => sum + each, 0);
    this.test!.title += ` (${(bytes / 1e6).toFixed(1)} MB)`;
    // npm adds a file of its own, and may find dependencies larger than those of the lock file: 0.6 MB is left for them.
    assert.ok(bytes < 24_400_000, `${bytes} bytes`);
  });

  it('depends on no inference runtime, which the other package brings', async () => {
    const { version, dependencies, peerDependencies, peerDependenciesMeta } = readPackage(installed);
    assert.ok(!('onnxruntime-node' in dependencies));
    assert.match(peerDependencies['onnxruntime-node'], /^\^\d+\.\d+\.\d+$/);
    assert.deepEqual(peerDependenciesMeta['onnxruntime-node'], { optional: true });
    const archive = path.join(folder, `outrider-models-${version}.tgz`);
    const { stdout } = await run('tar', ['xzOf', archive, 'package/package.json'], folder);
    assert.deepEqual(JSON.parse(stdout).peerDependencies, { outrider: version, ...peerDependencies });
  });

  it('says its version and its commands, and reads the files it comes with', async () => {
    const { version } = readPackage(packageRoot);
    assert.deepEqual(await outrider(['--version']), { code: 0, stdout: `${version}\n`, stderr: '' });
    assert.match((await outrider(['--help'])).stdout, /serve .*\n/);
    // One of each kind by day, when test/unit/config/file/load.examples reads the others.
    const some = ['resilient.yaml', 'sidecar-on-consul.yaml'];
    const all = readdirSync(path.join(installed, 'mesh-config')).filter((file) => file.endsWith('.yaml'));
    for (const file of EFFORT > 1 ? all : some) {
      const { code, stderr } = await outrider(['validate', path.join(installed, 'mesh-config', file)]);
      assert.equal(code, 0, `${file}: ${stderr}`);
    }
  });

  it('serves the page with its script and its style', async () => {
    const args = ['page', '--admin', '127.0.0.1:1', '--listen', '127.0.0.1:0'];
    const page = spawn(process.execPath, [path.join(installed, 'dist/sidecar/main.js'), ...args], {
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    try {
      const [said] = (await once(page.stdout, 'data')) as [Buffer];
      const html = await (await fetch(/http:\S+/.exec(said.toString())![0])).text();
      const licences = readFileSync(path.join(installed, 'dist/bundle/LICENCES.txt'), 'utf8');
      assert.match(html, /127\.0\.0\.1:1 does not answer/);
      assert.match(html, /<style nonce="[^"]+">[^<]*\.uplot/);
      assert.match(html, /<script nonce="[^"]+">[\s\S]{40000}/);
      assert.match(licences, /^uplot [\d.]+, MIT/m);
    } finally {
      page.kill('SIGKILL');
    }
  });

  it('says how to install the runtime when there is none, before anything is started', async () => {
    const says =
      /^outrider: the inference runtime \(onnxruntime-node\) is not installed, .*: npm install --ignore-scripts onnxruntime-node@\d+\.\d+\.\d+\n$/;
    for (const args of [
      ['serve', '--models', models()],
      // Without a file: the demo of the package.
      ['up'],
    ]) {
      const { code, stderr } = await outrider(args);
      assert.equal(code, 1, stderr);
      assert.match(stderr, says);
    }
  });

  it('serves the models it comes with once the runtime is there', async () => {
    requireRuntime();
    for (const name of ['digits', 'tokens']) {
      const served = ['serve', '--models', path.join(installed, 'services', name, 'models')];
      const listen = `unix:${path.join(folder, name)}`;
      const { code, stderr } = await outrider([...served, '--listen', listen], / ready in |NOT READY/);
      assert.match(stderr, new RegExp(`${name} version 1: ready in \\d+ ms, golden input matched`));
      assert.equal(code, 0, stderr);
    }
  });

  describe('the pages that begin in an empty folder', () => {
    let shell: ShellIn;
    const write = (name: string, text: string | Uint8Array) => writeFileSync(path.join(folder, name), text);
    before(() => {
      requireRuntime();
      write('iris.onnx', flowerModel());
    });
    beforeEach(() => {
      shell = new ShellIn(folder);
    });
    afterEach(() => shell.close());

    /** The lines of a page, one for each step. */
    function stepsIn(text: string, steps: Steps): readonly string[] {
      const lines = shellLines(text);
      assert.deepEqual(
        lines.map((line) => steps.find(([start]) => line.startsWith(start))?.[0]),
        steps.map(([start]) => start),
      );
      return lines;
    }

    /** @returns ms to the first answer, and in all. */
    async function followed(text: string, steps: Steps): Promise<{ answered: number; all: number }> {
      const lines = stepsIn(text, steps);
      const began = Date.now();
      let answered = 0;
      for (const [i, [start, says]] of steps.entries()) {
        if (start === 'npm install') continue; // done above, without the network
        if (start === 'npx outrider up') await shell.start(lines[i]!, says);
        else assert.match(await shell.run(lines[i]!), says);
        if (start === 'npx outrider infer') answered ||= Date.now() - began;
      }
      return { answered, all: Date.now() - began };
    }

    for (const [name, steps] of [
      ['FIRST-MESH.md', FIRST_MESH],
      ['OWN-MODEL.md', OWN_MODEL],
    ] as const) {
      it(`${name} has the command lines that are run here, in their order`, () => {
        stepsIn(pageText(name), steps);
      });
      // By day test/e2e/readme runs the same commands on the demo mesh, and the tests below those of the packed program. `npm run hour`
      // follows both pages, too.
      if (EFFORT > 1)
        it(`${name} has command lines that work as they stand, from an empty folder to answers`, async function () {
          const { answered, all } = await followed(pageText(name), steps);
          this.test!.title +=
            ` (${(answered / 1000).toFixed(1)} s to the first answer, ${(all / 1000).toFixed(1)} s in all)`;
        });
    }

    describe('the model in code', () => {
      const WRONG = /INVALID_ARGUMENT.*model 'shout': input 'text': found an empty text, expected words/;
      // What npx finds. The pages above run npx itself, which takes longer than the command.
      const command = 'node_modules/.bin/outrider';
      const infer = (text: string, more = '') => `${command} infer shout ${more} --input 'text=["${text}"]'`;
      before(() => {
        const [card, mesh] = blocksOf(PAGE, 'yaml');
        mkdirSync(path.join(folder, 'code/shout/1'), { recursive: true });
        write('code/shout/1/model.mjs', blocksOf(PAGE, 'js')[0]!);
        write('code/shout/1/model.yaml', card!);
        write('shout.yaml', mesh!);
      });

      it('is served by the packed program, with a status of its own for a wrong request', async () => {
        const target = `unix:${path.join(folder, 'shout.sock')}`;
        await shell.start(`${command} serve --models code --listen ${target}`, /shout version 1: ready/);
        assert.match(await shell.run(infer('ahoy', `--target ${target}`)), /AHOY/);
        await assert.rejects(shell.run(infer('', `--target ${target}`)), WRONG);
      });

      it('is served in a mesh by `up` of the packed program, to the same answers', async () => {
        const said = await shell.start(`${command} up shout.yaml`, IS_UP);
        assert.match(said, /call shout at 127\.0\.0\.1:\d+/);
        assert.match(await shell.run(infer('ahoy')), /AHOY/);
        await assert.rejects(shell.run(infer('')), WRONG);
      });
    });
  });
});
