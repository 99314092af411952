import assert from 'node:assert/strict';
import { mkdirSync, symlinkSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { installLine, ownCommand } from '../../../sidecar/cli/own-command.js';
import { Scratch } from '../../kit/process/outrider.js';

describe('the line that calls the program', () => {
  const scratch = new Scratch();
  after(() => scratch.remove());

  /** A program below `root`, with npm's link to it. */
  function installed(root: string): { folder: string; entry: string } {
    const folder = join(scratch.path, root, 'node_modules/outrider');
    const entry = join(folder, 'dist/sidecar/main.js');
    mkdirSync(dirname(entry), { recursive: true });
    writeFileSync(entry, '');
    mkdirSync(join(folder, '../.bin'));
    symlinkSync('../outrider/dist/sidecar/main.js', join(folder, '../.bin/outrider'));
    return { folder, entry };
  }

  const project = installed('project');
  const cache = installed('npx cache');
  const global = installed('prefix/lib');
  const elsewhere = join(scratch.path, 'elsewhere');
  before(() => {
    mkdirSync(join(scratch.path, 'project/deep/er'), { recursive: true });
    writeFileSync(join(scratch.path, 'npx cache/package.json'), '{}');
    mkdirSync(join(scratch.path, 'prefix/bin'));
    symlinkSync(global.entry, join(scratch.path, 'prefix/bin/outrider'));
    mkdirSync(elsewhere);
  });

  it('is npx in the project, anywhere below it, and in a clone', () => {
    for (const cwd of ['project', 'project/deep/er'].map((each) => join(scratch.path, each)))
      assert.equal(ownCommand({ ...project, cwd, path: '' }), 'npx outrider');
    assert.equal(ownCommand({ ...project, cwd: project.folder, path: '' }), 'npx outrider');
  });

  it('is the name alone where the shell finds it, and the file where only npx does', () => {
    const path = `/usr/bin:${join(scratch.path, 'prefix/bin')}`;
    assert.equal(ownCommand({ ...global, cwd: elsewhere, path }), 'outrider');
    const byNpx = `${join(cache.folder, '../.bin')}:/usr/bin`;
    assert.equal(ownCommand({ ...cache, cwd: elsewhere, path: byNpx }), `node '${cache.entry}'`);
  });

  it('is the file where another program of the name is in the project or on the PATH', () => {
    const path = join(scratch.path, 'prefix/bin');
    const cwd = join(scratch.path, 'project');
    assert.equal(ownCommand({ ...cache, cwd, path }), `node '${cache.entry}'`);
  });

  it('installs beside the program: in the project, globally, or where npx has put it', () => {
    const line = (folder: string, cwd: string) => installLine('x@1', { folder, cwd });
    const npm = 'npm install --ignore-scripts';
    assert.equal(line(project.folder, join(scratch.path, 'project')), `${npm} x@1`);
    assert.equal(line(global.folder, elsewhere), `${npm} -g x@1`);
    assert.equal(line(cache.folder, elsewhere), `${npm} --prefix '${scratch.path}/npx cache' x@1`);
    assert.equal(line(project.folder, elsewhere), `${npm} --prefix ${scratch.path}/project x@1`);
  });
});
