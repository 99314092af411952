/**
 * The examples in Python as their pages say, line by line, each behind a real sidecar: a grpcio server of the protocol, and a
 * scikit-learn model that `outrider init` takes in.
 */
import assert from 'node:assert/strict';
import { cpSync, mkdirSync, readFileSync, symlinkSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { EFFORT } from '../kit/mocha/effort.js';
import { OUTRIDER, REPOSITORY, Scratch } from '../kit/process/outrider.js';
import { until } from '../kit/process/processes.js';
import { ShellIn } from '../kit/process/shell.js';
import { toolOrSkip } from '../kit/process/tools.js';

const isUp = /Ctrl-C drains and stops everything/;

/** A copy of an example in a folder like a clone, with the installed Python in the place of `.venv`. */
class Example {
  readonly lines: readonly string[];
  readonly shell: ShellIn;
  private readonly scratch = new Scratch();
  private readonly seen = new Set<string>();

  constructor(name: string, python: string) {
    const from = join(REPOSITORY, 'services/examples', name);
    const folder = join(this.scratch.path, 'services/examples', name);
    mkdirSync(dirname(folder), { recursive: true });
    cpSync(from, folder, { recursive: true, filter: (path) => !/\.venv|_pb2|iris\.|models/.test(path) });
    symlinkSync(join(REPOSITORY, 'proto'), join(this.scratch.path, 'proto'));
    symlinkSync(dirname(dirname(python)), join(folder, '.venv'));
    const page = readFileSync(join(from, 'README.md'), 'utf8');
    this.lines = [...page.matchAll(/^```sh\n(.*?)^```/gms)].flatMap(([, block]) => block!.trim().split('\n'));
    this.shell = new ShellIn(folder);
  }

  /** The next line of the page that begins so. */
  line(start: string): string {
    const found = this.lines.find((line) => line.startsWith(start) && !this.seen.has(line));
    assert.ok(found !== undefined, `the page has no further line ${start}…`);
    this.seen.add(found);
    return found.replace('npx outrider ', `${OUTRIDER.join(' ')} `);
  }

  /** What `toolOrSkip` has done in the place of these. */
  skipInstallation(): void {
    for (const start of ['python3 -m venv .venv', '.venv/bin/pip install -r requirements.txt'])
      this.line(start);
  }

  async run(start: string, says: RegExp): Promise<void> {
    assert.match(await this.shell.run(this.line(start)), says);
  }

  /** Fails when a line of the page was not run. */
  requireAll(): void {
    assert.deepEqual(
      this.lines.filter((line) => !this.seen.has(line)),
      [],
    );
  }

  async close(): Promise<void> {
    await this.shell.close();
    this.scratch.remove();
  }
}

describe('the examples in Python', function () {
  this.timeout(120_000);
  let example: Example | undefined;
  afterEach(async () => {
    await example?.close();
    example = undefined;
  });

  it('grpcio: two processes behind their sidecars answer, and go on when one is killed', async function () {
    example = new Example('python-grpcio', await toolOrSkip(this, 'python'));
    example.skipInstallation();
    await example.run('.venv/bin/python generate.py', /^$/);
    const said = await example.shell.start(example.line('npx outrider up mesh.yaml'), isUp);
    await example.run('npx outrider infer', /^mean FP32 \[1\]: 3\ndeviation FP32 \[1\]: 1\.87083\n$/);
    await example.run('npx outrider infer', /^mean FP32 \[2\]: 1\.5 4\ndeviation FP32 \[2\]: 0\.5 1\n$/);
    await example.run('npx outrider status', /statistics-1 +eligible/);
    example.requireAll();

    const pid = Number(/^statistics +statistics-1 .* (\d+) *$/m.exec(said)?.[1]);
    process.kill(pid, 'SIGKILL');
    const again = `${OUTRIDER.join(' ')} infer statistics --input 'values=[1, 2, 3, 6]' --target 127.0.0.1:8800`;
    assert.match(await example.shell.run(again), /^mean FP32 \[1\]: 3\n/);
    const status = `${OUTRIDER.join(' ')} status`;
    const { shell } = example;
    let page = '';
    await until(
      'both replicas serve again',
      async () => {
        page = await shell.run(status);
        return (page.match(/statistics-\d +eligible/g) ?? []).length === 2;
      },
      30_000,
    );
    assert.match(page, /statistics-1 +eligible/);
  });

  if (EFFORT > 1)
    it('scikit-learn: a trained model is taken in and tells the flowers apart', async function () {
      example = new Example('sklearn', await toolOrSkip(this, 'sklearn'));
      example.skipInstallation();
      await example.run('.venv/bin/python train.py', /^held out: 9\d\.\d% right$/m);
      await example.run('npx outrider init', /^output probabilities FP32 \[\?,3\]$/m);
      await example.shell.start(example.line('npx outrider up iris.yaml'), isUp);
      await example.run('npx outrider infer', /^setosa {2}\(9\d\.\d %\)\n$/);
      await example.run('npx outrider infer', /^virginica {2}\(\d+\.\d %\)\nversicolor {2}\(\d+\.\d %\)\n$/);
      await example.run('npx outrider golden', /^virginica .*\nwrote the block golden/);
      example.requireAll();
    });
});
