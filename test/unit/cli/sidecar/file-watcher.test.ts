import assert from 'node:assert/strict';
import { mkdirSync, renameSync, symlinkSync, unlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { type FileWatcher, watchFile } from '../../../../sidecar/cli/sidecar/file-watcher.js';
import { systemTimers, type Timers } from '../../../../sidecar/runtime/time/timers.js';
import { scratchForEach } from '../../../kit/mocha/scratch.js';
import { until } from '../../../kit/process/processes.js';

describe('file watch', () => {
  const scratch = scratchForEach();
  let watch: FileWatcher;
  let changes: number;
  let absences: number;
  /** What happens every 10 s. */
  let poll: () => void;
  const timers: Timers = {
    ...systemTimers,
    every(_, fn) {
      poll = fn;
      return { cancel: () => {} };
    },
  };

  beforeEach(() => {
    changes = 0;
    absences = 0;
  });

  afterEach(() => watch.close());

  function follow(file: string, onProblem: (error: Error) => void = assert.fail): void {
    const counts = { onChange: () => changes++, onGone: () => absences++ };
    watch = watchFile({ file, timers, ...counts, onProblem });
  }

  it('sees a file that is written in place, once per change', async () => {
    const file = scratch.write('a.yaml', 'one');
    follow(file);
    writeFileSync(file, 'two');
    await until('the change is seen', () => changes === 1);
    writeFileSync(file, 'three');
    await until('the next one too', () => changes === 2);
  });

  it('sees a file that another one is renamed over, again and again', async () => {
    const file = scratch.write('a.yaml', 'one');
    follow(file);
    for (const text of ['two', 'three']) {
      renameSync(scratch.write('a.yaml.new', text), file);
      const before = changes;
      await until('the change is seen', () => changes > before);
    }
  });

  it('sees a link that is turned to another file, as Kubernetes does it', async () => {
    scratch.write('..one', 'one');
    scratch.write('..two', 'two');
    const link = (to: string, at: string) => symlinkSync(join(scratch.path, to), join(scratch.path, at));
    link('..one', '..data');
    link('..data', 'a.yaml');
    follow(join(scratch.path, 'a.yaml'));
    link('..two', '..data-new');
    renameSync(join(scratch.path, '..data-new'), join(scratch.path, '..data'));
    await until('the change is seen', () => changes === 1);
  });

  it('sees what a link into another folder leads to, and follows the link when it is turned', async () => {
    for (const folder of ['links', 'one', 'two']) mkdirSync(join(scratch.path, folder));
    const [one, two] = [scratch.write('one/a.yaml', 'one'), scratch.write('two/a.yaml', 'two')];
    const file = join(scratch.path, 'links', 'a.yaml');
    symlinkSync(one, file);
    follow(file);
    writeFileSync(one, 'one, changed');
    await until('the change is seen', () => changes === 1);
    symlinkSync(two, `${file}.next`);
    renameSync(`${file}.next`, file);
    await until('the other file is seen', () => changes === 2);
    writeFileSync(two, 'two, changed');
    await until('its change is seen', () => changes === 3);
  });

  it('is not moved by other files, by the same content again, or by an absence', async () => {
    const file = scratch.write('a.yaml', 'one');
    follow(file);
    scratch.write('b.yaml', 'other');
    writeFileSync(file, 'one');
    unlinkSync(file);
    writeFileSync(file, 'one');
    writeFileSync(file, 'two'); // the marker: everything before it has been looked at by then
    await until('only the marker is seen', () => changes > 0);
    assert.deepEqual([changes, absences], [1, 0]);
  });

  it('says once that the file is gone, also where the links of Kubernetes lead nowhere, and sees it come back', async () => {
    scratch.write('..one', 'one');
    const link = (to: string, at: string) => symlinkSync(join(scratch.path, to), join(scratch.path, at));
    link('..one', '..data');
    link('..data', 'a.yaml');
    follow(join(scratch.path, 'a.yaml'));
    link('..none', '..data-new');
    renameSync(join(scratch.path, '..data-new'), join(scratch.path, '..data'));
    await until('the absence is seen', () => absences === 1);
    unlinkSync(join(scratch.path, 'a.yaml'));
    scratch.write('a.yaml', 'two');
    await until('it is back', () => changes === 1);
    unlinkSync(join(scratch.path, 'a.yaml'));
    await until('the next absence is seen', () => absences === 2);
    assert.equal(changes, 1);
  });

  /** The folder `config` is moved away, and there is another one. */
  function replaceFolder(text: string): void {
    renameSync(join(scratch.path, 'config'), join(scratch.path, 'old'));
    mkdirSync(join(scratch.path, 'config'));
    scratch.write('config/a.yaml', text);
  }

  it('sees that its folder is replaced, and follows the new one', async () => {
    mkdirSync(join(scratch.path, 'config'));
    const file = scratch.write('config/a.yaml', 'one');
    follow(file);
    replaceFolder('two');
    await until('the change is seen', () => changes === 1);
    writeFileSync(file, 'three');
    await until('a change in the new folder is seen', () => changes === 2);
  });

  it('sees a folder that is back only after its absence was noticed, with the next poll, and follows it', async () => {
    mkdirSync(join(scratch.path, 'config'));
    const file = scratch.write('config/a.yaml', 'one');
    follow(file);
    renameSync(join(scratch.path, 'config'), join(scratch.path, 'old'));
    await until('the absence is seen', () => absences === 1);
    mkdirSync(join(scratch.path, 'config'));
    scratch.write('config/a.yaml', 'two');
    poll();
    await until('the change is seen', () => changes === 1);
    writeFileSync(file, 'three');
    await until('its changes are seen', () => changes === 2);
    assert.equal(absences, 1);
  });

  it('follows a new folder, and reports what it holds no more, once that has been read', async () => {
    mkdirSync(join(scratch.path, 'config'));
    const file = scratch.write('config/a.yaml', 'one');
    follow(file);
    replaceFolder('two');
    watch.isRead();
    writeFileSync(file, 'three');
    await until('the next change is seen', () => changes > 0);
    assert.equal(changes, 1);
  });

  it('says when a place cannot be watched', () => {
    let problem: Error | undefined;
    follow('/no/such/folder/a.yaml', (error) => {
      problem = error;
    });
    assert.match(problem?.message ?? '', /ENOENT/);
  });
});
