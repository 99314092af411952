import assert from 'node:assert/strict';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { packageRoot } from '../process/package-root.js';
import { readTree } from '../source-tree/source-file.js';
import { type Job, jobsOf, LANES, type LaneRule, MACHINE, takeJob } from './lanes.js';

const RULES: readonly LaneRule[] = [
  { name: 'first', share: 20, job: 'folder', holds: ['test/b', 'test/a'] },
  { name: 'second', share: MACHINE, ownProcess: true, job: 'file', holds: ['test/a/slow', 'test/b/x/alone'] },
];

const jobs = (...files: readonly string[]): string[] =>
  jobsOf(files, RULES).map(({ lane, name, files }) => `${lane}: ${name}: ${files.join(' ')}`);

/** Takes jobs of `holds`, of which `one` goes one at a time and `wait` takes a tenth of the machine, as long as any may run. */
const taking = (...files: readonly string[]) =>
  takingBy(
    [
      { name: 'work', share: 9, job: 'file', holds: ['test/work'], oneAtATime: ['test/work/one'] },
      { name: 'wait', share: 4, job: 'file', holds: ['test/wait'] },
      { name: 'alone', share: MACHINE, job: 'file', holds: ['test/alone'] },
    ],
    ...files,
  );

/** The same with lanes of its own. */
function takingBy(
  rules: readonly LaneRule[],
  ...files: readonly string[]
): {
  take: () => string | undefined;
  end: (name: string) => void;
} {
  const left = jobsOf(files, rules);
  const running = new Set<Job>();
  return {
    take: () => {
      const job = takeJob(left, running);
      if (job !== undefined) running.add(job);
      return job?.name;
    },
    end: (name) => {
      for (const job of running) if (job.name === name) running.delete(job);
    },
  };
}

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
    const held = jobsOf(files).flatMap((job) => job.files);
    assert.deepEqual(held.sort(), files.sort());
  });

  it('run the files of a folder as one job, in the order in which the lane names them', () =>
    assert.deepEqual(jobs('test/a/x/1.test.ts', 'test/b/y/2.test.ts', 'test/a/x/z/3.test.ts'), [
      'first: test/b/y: test/b/y/2.test.ts',
      'first: test/a/x: test/a/x/1.test.ts test/a/x/z/3.test.ts',
    ]));

  it('hold a file where the longest name that leads to it stands', () =>
    assert.deepEqual(
      jobs('test/a/1.test.ts', 'test/a/slow/2.test.ts', 'test/b/x/alone.test.ts', 'test/b/x/alone2.test.ts'),
      [
        ...['first: test/b/x: test/b/x/alone2.test.ts', 'first: test/a: test/a/1.test.ts'],
        'second: test/a/slow/2.test.ts: test/a/slow/2.test.ts',
        'second: test/b/x/alone.test.ts: test/b/x/alone.test.ts',
      ],
    ));

  it('lose no file: one that no lane holds is an error', () =>
    assert.throws(() => jobs('test/c/1.test.ts'), /test\/c\/1\.test\.ts is in no lane/));

  it('run no two jobs at a time of those that go one at a time, and others beside one of them', () => {
    const { take, end } = taking('test/work/one/1.test.ts', 'test/work/one/2.test.ts', 'test/work/q.test.ts');
    assert.deepEqual([take(), take(), take()], ['test/work/one/1.test.ts', 'test/work/q.test.ts', undefined]);
    end('test/work/one/1.test.ts');
    assert.deepEqual([take(), take()], ['test/work/one/2.test.ts', undefined]);
  });

  it('run as many jobs beside each other as have room, one that waits beside four that work', () => {
    const work = ['a', 'b', 'c', 'd', 'e'].map((name) => `test/work/${name}.test.ts`);
    const wait = ['f', 'g'].map((name) => `test/wait/${name}.test.ts`);
    const { take, end } = taking(...work, ...wait);
    const first = [take(), take(), take(), take(), take(), take()];
    assert.deepEqual(first, [...work.slice(0, 4), wait[0], undefined]);
    end(work[1]!);
    assert.deepEqual([take(), take()], [work[4], undefined]);
    end(work[0]!);
    assert.deepEqual([take(), take()], [wait[1], undefined]);
  });

  it('leave room for a job that takes most of the machine, and run others beside it', () => {
    const rules: readonly LaneRule[] = [
      { name: 'memory', share: 18, job: 'file', holds: ['test/memory'] },
      { name: 'faults', share: 27, job: 'file', holds: ['test/faults'] },
      { name: 'work', share: 9, job: 'file', holds: ['test/work'] },
      { name: 'wait', share: 4, job: 'file', holds: ['test/wait'] },
    ];
    const work = ['a', 'b', 'c'].map((name) => `test/work/${name}.test.ts`);
    const [memory, faults, wait] = ['memory', 'faults', 'wait'].map((name) => `test/${name}/1.test.ts`);
    const { take, end } = takingBy(rules, memory!, faults!, ...work, wait!);
    assert.deepEqual([take(), take(), take(), take()], [memory, work[0], wait, undefined]);
    end(memory!);
    assert.deepEqual([take(), take()], [faults, undefined]);
    end(work[0]!);
    assert.deepEqual([take(), take()], [work[1], undefined]);
    end(faults!);
    assert.deepEqual([take(), take()], [work[2], undefined]);
  });

  it('run a job that takes the whole machine once nothing runs, and nothing beside it', () => {
    const { take, end } = taking('test/alone/a.test.ts', 'test/alone/b.test.ts', 'test/wait/c.test.ts');
    assert.deepEqual([take(), take()], ['test/wait/c.test.ts', undefined]);
    end('test/wait/c.test.ts');
    assert.deepEqual([take(), take()], ['test/alone/a.test.ts', undefined]);
  });
});
