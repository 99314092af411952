import assert from 'node:assert/strict';
import {
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { dirname, join } from 'node:path';
import { RunDirectory, runningMeshes } from '../../../../sidecar/cli/up/run-directory.js';
import { scratchForEach } from '../../../kit/mocha/scratch.js';

describe('run directory', () => {
  const scratch = scratchForEach();
  let before: string | undefined;

  beforeEach(() => {
    before = process.env['TMPDIR'];
    process.env['TMPDIR'] = scratch.path;
  });

  afterEach(() => {
    if (before === undefined) delete process.env['TMPDIR'];
    else process.env['TMPDIR'] = before;
  });

  const note = (pid: number) => ({ pid, meshFile: '/mesh.yaml', admin: { a: '127.0.0.1:1' }, call: {} });

  it('is private, and gone when it is removed, however often', () => {
    const run = RunDirectory.create(undefined);
    assert.equal(statSync(run.path).mode & 0o777, 0o700);
    assert.equal(statSync(run.folder('digits-1')).mode & 0o777, 0o700);
    run.remove();
    run.remove();
    assert.equal(existsSync(run.path), false);
  });

  it('keeps a directory that was named, and empties it', () => {
    const named = join(scratch.path, 'named');
    const run = RunDirectory.create(named);
    writeFileSync(join(run.folder('a'), 'key.pem'), '');
    run.remove();
    assert.deepEqual(readdirSync(named), []);
  });

  it('is found by commands wherever it is, as long as it is there', () => {
    const run = RunDirectory.create(join(scratch.path, 'named'));
    run.note(note(process.pid));
    run.note({ ...note(process.pid), meshFile: '/reloaded.yaml' });
    assert.deepEqual(
      runningMeshes().map(({ meshFile }) => meshFile),
      ['/reloaded.yaml'],
    );
    run.remove();
    assert.deepEqual(runningMeshes(), []);
    assert.deepEqual(readdirSync(scratch.path), ['named']);
  });

  it('is noted again where the temporary directory was cleaned meanwhile', () => {
    const run = RunDirectory.create(join(scratch.path, 'named'));
    run.note(note(process.pid));
    const signs = () => readdirSync(scratch.path).filter((name) => name !== 'named');
    for (const name of signs()) rmSync(join(scratch.path, name), { recursive: true });
    run.note(note(process.pid));
    assert.equal(runningMeshes().length, 1);
    run.remove();
    assert.deepEqual(signs(), []);
  });

  it('refuses a named directory that holds something, and touches nothing in it', () => {
    const named = join(scratch.path, 'named');
    mkdirSync(named);
    writeFileSync(join(named, 'thesis.tex'), '');
    assert.throws(() => RunDirectory.create(named), { message: `run directory ${named} is not empty` });
    assert.deepEqual(readdirSync(named), ['thesis.tex']);
  });

  it('takes a named directory that a killed process has left, and none of a process that runs or is elsewhere', () => {
    const named = join(scratch.path, 'named');
    RunDirectory.create(named).folder('digits-1');
    const refused = { message: `run directory ${named} is not empty` };
    assert.throws(() => RunDirectory.create(named), refused);
    const file = join(named, 'up.owner');
    const [machine = '', stamp = ''] = readFileSync(file, 'utf8').split('\n');
    const [boot, namespace, pid] = stamp.split('/');
    const say = (...parts: (string | undefined)[]) => writeFileSync(file, `${machine}\n${parts.join('/')}`);
    for (const elsewhere of [
      [boot, '1', pid, '1'],
      ['another boot', '1', pid, '1'],
    ]) {
      say(...elsewhere);
      assert.throws(() => RunDirectory.create(named), refused);
    }
    say(boot, namespace, pid, '1');
    const run = RunDirectory.create(named);
    assert.deepEqual(readdirSync(named), ['up.owner']);
    run.remove();
    assert.deepEqual(readdirSync(named), []);
  });

  it('keeps the note that commands read where a new one cannot be written', () => {
    const run = RunDirectory.create(undefined);
    run.note(note(process.pid));
    mkdirSync(join(run.path, 'up.json.next'));
    assert.throws(() => run.note({ ...note(process.pid), meshFile: '/reloaded.yaml' }));
    assert.deepEqual(
      runningMeshes().map(({ meshFile }) => meshFile),
      ['/mesh.yaml'],
    );
    run.remove();
  });

  it('has a short private place for sockets whose path would be too long, and removes it too', () => {
    const run = RunDirectory.create(join(scratch.path, 'x'.repeat(80)));
    const folder = run.folder('digits-1');
    const [one, other] = [run.socket(folder, 'model.sock'), run.socket(folder, 'lite.sock')];
    assert.equal(run.socket(folder, 'model.sock'), one);
    assert.notEqual(one, other);
    // With what is appended for several processes, a successor and a watcher (sun_path of unix(7), with its zero).
    assert.ok(`${one}.32.9.w`.length < 104, one);
    const { mode, uid } = statSync(dirname(one));
    assert.deepEqual([mode & 0o777, uid], [0o700, process.getuid!()]);
    run.remove();
    assert.equal(existsSync(dirname(one)), false);
  });

  it('has it also where the temporary directory itself is that long, and the next run removes what a killed one left', () => {
    const long = join(scratch.path, 'y'.repeat(100));
    mkdirSync(long);
    process.env['TMPDIR'] = long;
    const run = RunDirectory.create(undefined);
    const place = dirname(run.socket(run.folder('digits-1'), 'model.sock'));
    const unused = 2 ** 22 + 1; // above the greatest process id of Linux
    const left = place.replace(`-${process.pid}-`, `-${unused}-`);
    mkdirSync(left);
    run.remove();
    RunDirectory.create(undefined).remove();
    assert.deepEqual([existsSync(place), existsSync(left)], [false, false]);
  });

  it('keeps logs in a private directory that stays, and only those of the last few runs', () => {
    writeFileSync(join(scratch.path, 'log'), 'why');
    const keep = () => RunDirectory.create(undefined).keep('digits-1.log', join(scratch.path, 'log'))!;
    const first = keep();
    assert.equal(readFileSync(first, 'utf8'), 'why');
    assert.equal(statSync(dirname(first)).mode & 0o777, 0o700);
    utimesSync(dirname(first), 0, 0);
    const later = Array.from({ length: 5 }, keep);
    assert.deepEqual(
      [first, ...later].map((path) => existsSync(path)),
      [false, true, true, true, true, true],
    );
    assert.equal(RunDirectory.create(undefined).keep('a.log', join(scratch.path, 'nothing')), undefined);
  });

  it('removes what an ended one left, and neither a living one nor anything else', () => {
    const living = RunDirectory.create(undefined);
    living.note(note(process.pid));
    const unused = 2 ** 22 + 1; // above the greatest process id of Linux
    const like = (pid: number) => living.path.replace(`-${process.pid}-`, `-${pid}-`);
    const ended = like(unused);
    mkdirSync(ended);
    const elsewhere = ended.replace(/outrider-up-\w+-/, 'outrider-up-abc-'); // another container's
    mkdirSync(elsewhere);
    const other = join(scratch.path, 'outrider-up-to-date');
    mkdirSync(other);
    const link = like(unused + 1);
    symlinkSync(other, link);
    RunDirectory.create(undefined).remove();
    const kept = [living.path, ended, elsewhere, other, link].filter((path) => existsSync(path));
    assert.deepEqual(kept, [living.path, elsewhere, other, link]);
  });

  it('knows the meshes that run here', () => {
    const run = RunDirectory.create(undefined);
    run.note(note(process.pid));
    writeFileSync(join(RunDirectory.create(undefined).path, 'up.json'), 'not JSON');
    assert.deepEqual(runningMeshes(), [note(process.pid)]);
  });
});
