/**
 * docs/FIRST-MESH.md and docs/OWN-MODEL.md as a newcomer follows them: the packed program in an empty folder, every command line
 * of the pages as it is written, in its order. The time it takes is printed.
 */
import assert from 'node:assert/strict';
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { EFFORT } from '../kit/mocha/effort.js';
import { Scratch } from '../kit/process/outrider.js';
import { installPacked, linkDependency } from '../kit/process/packed-package.js';
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

const PAGE = pageText('OWN-MODEL.md');

describe('the pages that begin in an empty folder', function () {
  this.timeout(180_000);
  let scratch: Scratch;
  let shell: ShellIn;
  before(async () => {
    scratch = new Scratch();
    await installPacked(scratch.path);
    linkDependency(scratch.path, 'onnxruntime-node');
    scratch.write('iris.onnx', flowerModel());
  });
  beforeEach(() => {
    shell = new ShellIn(scratch.path);
  });
  afterEach(() => shell.close());
  after(() => scratch.remove());

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
      mkdirSync(join(scratch.path, 'code/shout/1'), { recursive: true });
      scratch.write('code/shout/1/model.mjs', blocksOf(PAGE, 'js')[0]!);
      scratch.write('code/shout/1/model.yaml', card!);
      scratch.write('shout.yaml', mesh!);
    });

    it('is served by the packed program, with a status of its own for a wrong request', async () => {
      const target = `unix:${join(scratch.path, 'shout.sock')}`;
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
