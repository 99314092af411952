import assert from 'node:assert/strict';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { packageRoot } from '../process/package-root.js';
import { readTree } from '../source-tree/source-file.js';
import { type Job, LANES, type LaneRule, lanesOf, takeJob } from './lanes.js';

const RULES: readonly LaneRule[] = [
  { name: 'first', width: 2, process: 'folder', holds: ['test/b', 'test/a'] },
  { name: 'second', width: 1, process: 'file', holds: ['test/a/slow', 'test/b/x/alone'] },
];

const jobs = (...files: readonly string[]): string[][] =>
  lanesOf(files, RULES).map((lane) => lane.jobs.map(({ name, files }) => `${name}: ${files.join(' ')}`));

describe('the lanes of the tests', () => {
  it('name folders and files that exist', () => {
    const places = LANES.flatMap(({ holds, oneAtATime = [] }) => [...holds, ...oneAtATime]);
    const exists = (place: string) =>
      [place, `${place}.test.ts`].some((path) => existsSync(join(packageRoot, path)));
    assert.deepEqual(
      places.filter((place) => !exists(place)),
      [],
    );
  });

  it('hold every test file once', () => {
    const files = readTree()
      .map(({ path }) => path)
      .filter((path) => path.endsWith('.test.ts'));
    const held = lanesOf(files).flatMap((lane) => lane.jobs.flatMap((job) => job.files));
    assert.deepEqual(held.sort(), files.sort());
  });

  it('run the files of a folder in one process, in the order in which the lane names them', () =>
    assert.deepEqual(jobs('test/a/x/1.test.ts', 'test/b/y/2.test.ts', 'test/a/x/z/3.test.ts'), [
      ['test/b/y: test/b/y/2.test.ts', 'test/a/x: test/a/x/1.test.ts test/a/x/z/3.test.ts'],
    ]));

  it('hold a file where the longest name that leads to it stands', () =>
    assert.deepEqual(
      jobs('test/a/1.test.ts', 'test/a/slow/2.test.ts', 'test/b/x/alone.test.ts', 'test/b/x/alone2.test.ts'),
      [
        ['test/b/x: test/b/x/alone2.test.ts', 'test/a: test/a/1.test.ts'],
        ['test/a/slow/2.test.ts: test/a/slow/2.test.ts', 'test/b/x/alone.test.ts: test/b/x/alone.test.ts'],
      ],
    ));

  it('lose no file: one that no lane holds is an error', () =>
    assert.throws(() => jobs('test/c/1.test.ts'), /test\/c\/1\.test\.ts is in no lane/));

  it('run no two jobs at a time of those that go one at a time, and others beside one of them', () => {
    const rule = {
      name: 'only',
      width: 2,
      process: 'file',
      holds: ['test/a'],
      oneAtATime: ['test/a/p'],
    } as const;
    const files = ['test/a/p/1.test.ts', 'test/a/p/2.test.ts', 'test/a/q.test.ts'];
    const left = [...lanesOf(files, [rule])[0]!.jobs];
    const running = new Set<Job>();
    const take = (): string | undefined => {
      const job = takeJob(left, running);
      if (job !== undefined) running.add(job);
      return job?.name;
    };
    assert.deepEqual([take(), take(), take()], ['test/a/p/1.test.ts', 'test/a/q.test.ts', undefined]);
    running.clear();
    assert.deepEqual([take(), take(), left], ['test/a/p/2.test.ts', undefined, []]);
  });

  it('are left out when they are empty', () => assert.deepEqual(lanesOf([], RULES), []));
});
