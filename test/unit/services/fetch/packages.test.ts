import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { bringPackage, type Execute, reasonOf, SourceMissing } from '../../../../services/fetch/packages.js';
import type { PackageSource } from '../../../../services/fetch/recipe.js';
import { scratchForEach } from '../../../kit/mocha/scratch.js';

const CONTENT = 'weights';
const sha256 = createHash('sha256').update(CONTENT).digest('hex');

const source = (registry: PackageSource['registry'], path = 'a/w.bin'): PackageSource => ({
  registry,
  name: '@scope/p',
  version: '1.2.3',
  licence: 'MIT',
  files: [{ path, bytes: CONTENT.length, sha256 }],
});

describe('bringing a package', () => {
  const scratch = scratchForEach();
  const cache = (): string => join(scratch.path, 'cache');
  /** Commands that were run; npm and pip put an archive of `files` where they are told, the rest really runs. */
  let commands: string[];
  const execute =
    (files: Readonly<Record<string, string>>): Execute =>
    async (command, args) => {
      commands.push([command, ...args].join(' '));
      const place = args[args.findIndex((arg) => /^--(pack-destination|dest)$/.test(arg)) + 1]!;
      const isFetch = args.includes('pack') || args.includes('download');
      if (isFetch) archive(command === 'npm' ? 'package' : '.', files, place);
      else execFileSync(command, args);
    };
  beforeEach(() => {
    commands = [];
  });

  function archive(root: string, files: Readonly<Record<string, string>>, place: string): void {
    const folder = join(scratch.path, 'made', root);
    for (const [path, content] of Object.entries(files)) {
      mkdirSync(join(folder, path, '..'), { recursive: true });
      writeFileSync(join(folder, path), content);
    }
    if (root === 'package')
      execFileSync('tar', ['-czf', join(place, 'p.tgz'), '-C', join(folder, '..'), 'package']);
    else execFileSync('python3', ['-m', 'zipfile', '-c', join(place, 'p.whl'), join(folder, 'a')]);
  }

  for (const registry of ['npm', 'pypi'] as const) {
    it(`of ${registry} keeps the files that are asked for, and fetches them once`, async function () {
      if (registry === 'pypi' && !hasPython()) this.skip();
      const run = execute({ 'a/w.bin': CONTENT, 'a/other.js': 'throw 1' });
      const places = await bringPackage(source(registry), cache(), run);
      const place = places.get('a/w.bin')!;
      assert.equal(readFileSync(place, 'utf8'), CONTENT);
      assert.deepEqual(readdirSync(join(place, '..')), ['w.bin']);
      assert.deepEqual(readdirSync(cache()), [registry]);
      assert.equal(commands.length, 2);
      assert.ok(commands[0]!.includes(registry === 'npm' ? '@scope/p@1.2.3' : '@scope/p==1.2.3'));
      assert.deepEqual(await bringPackage(source(registry), cache(), run), places);
      assert.equal(commands.length, 2);
    });
  }

  it('fetches a file again that is no longer the one it was', async () => {
    const run = execute({ 'a/w.bin': CONTENT });
    const place = (await bringPackage(source('npm'), cache(), run)).get('a/w.bin')!;
    writeFileSync(place, 'weighty');
    await bringPackage(source('npm'), cache(), run);
    assert.equal(readFileSync(place, 'utf8'), CONTENT);
  });

  it('refuses a file that is missing, of another size or of another content, and keeps nothing', async () => {
    for (const [files, problem] of [
      [{ 'a/x.bin': CONTENT }, 'npm @scope/p 1.2.3: a/w.bin is missing'],
      [{ 'a/w.bin': 'weight' }, 'npm @scope/p 1.2.3: a/w.bin has 6 bytes, expected 7'],
      [{ 'a/w.bin': 'weightS' }, /^npm @scope\/p 1\.2\.3: a\/w\.bin has sha256 \w{64}, expected \w{64}$/],
    ] as const) {
      await assert.rejects(bringPackage(source('npm'), cache(), execute(files)), (error: Error) => {
        assert.ok(error instanceof SourceMissing);
        if (typeof problem === 'string') assert.equal(error.message, problem);
        else assert.match(error.message, problem);
        return true;
      });
      assert.deepEqual(readdirSync(cache()), []);
      execFileSync('rm', ['-rf', join(scratch.path, 'made')]);
    }
  });

  it('says in one line why a package cannot be had', async () => {
    const failing: Execute = () =>
      Promise.reject(
        Object.assign(new Error('Command failed'), { code: 1, stderr: 'npm error code E404\n' }),
      );
    await assert.rejects(bringPackage(source('npm'), cache(), failing), {
      message: 'npm @scope/p 1.2.3 cannot be had: npm: npm error code E404',
    });
  });
});

describe('the reason of a failed fetch', () => {
  for (const [what, error, line] of [
    ['a program that is not there', { code: 'ENOENT' }, 'pip is not on PATH'],
    ['a program that does not end', { killed: true }, 'pip did not end within five minutes'],
    [
      'its errors, two at most',
      { code: 1, stderr: 'WARNING: x\nERROR: a\nERROR: b\nERROR: c\n' },
      'pip: ERROR: a | ERROR: b',
    ],
    [
      'a module that is missing',
      { code: 1, stderr: '/usr/bin/python3: No module named pip\n' },
      'pip: /usr/bin/python3: No module named pip',
    ],
    ['its last line when none is an error', { code: 1, stderr: 'one\ntwo\n\n' }, 'pip: two'],
    ['its exit code when it said nothing', { code: 7, stderr: '' }, 'pip: ended with 7'],
  ] as const) {
    it(`is ${what}`, () => assert.equal(reasonOf('pip', error), line));
  }
});

function hasPython(): boolean {
  try {
    execFileSync('python3', ['--version'], { stdio: 'ignore' });
    return true;
  } catch {
    return false;
  }
}
