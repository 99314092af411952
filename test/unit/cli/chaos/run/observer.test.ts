import assert from 'node:assert/strict';
import type { EndpointView } from '../../../../../sidecar/cli/chaos/arms/arm.js';
import type { MarkRecord } from '../../../../../sidecar/cli/chaos/history/record.js';
import {
  changesBetween,
  Observer,
  processChanges,
  processMark,
} from '../../../../../sidecar/cli/chaos/run/observer.js';

const view = (replica: string, isIn: boolean): EndpointView => ({
  replica,
  isIn,
  isReady: isIn,
  why: isIn ? '' : 'five faults',
});

describe('the marks of a drill', () => {
  it('say when an endpoint left at the latest, and came back at the earliest', () => {
    const all = { atMs: 100, views: [view('a', true), view('b', false), view('c', true)] };
    const later = {
      atMs: 150,
      views: [view('a', false), view('b', true), view('c', true), view('d', false)],
    };
    assert.deepEqual(changesBetween(all, later), [
      { atMs: 150, kind: 'ejected', replica: 'a', text: 'a is taken out: five faults' },
      { atMs: 100, kind: 'restored', replica: 'b', text: 'b takes calls again' },
    ]);
  });

  it('name processes that end and begin', () => {
    assert.equal(processMark({ kind: 'gone', replica: 2, pid: 7 }, 5).kind, 'died');
    assert.deepEqual(processMark({ kind: 'ready', replica: 2, pid: 8 }, 9), {
      ...{
        atMs: 9,
        kind: 'restarted',
        replica: 'replica-2',
        text: 'the model of replica-2 serves (process 8)',
      },
    });
  });

  /** Of an observer that sees `looks` one after the other, until it has noted `count`. */
  const marksOf = (looks: (readonly EndpointView[] | undefined)[], count: number): Promise<MarkRecord[]> =>
    new Promise((resolve) => {
      const marks: MarkRecord[] = [];
      const observer = new Observer({
        everyMs: 1,
        look: async () => {
          const endpoints = looks.shift();
          if (endpoints === undefined) throw new Error('the sidecar restarts');
          return { endpoints };
        },
        now: () => 10 * looks.length,
        note: (mark) => {
          marks.push(mark);
          if (marks.length < count) return;
          observer.stop();
          resolve(marks);
        },
      });
      observer.start();
    });

  it('are made of looks that fail now and then', async () => {
    const [mark] = await marksOf([[view('a', true)], undefined, [view('a', false)]], 1);
    assert.equal(mark?.kind, 'ejected');
  });

  it('tell that an ejected endpoint is back, which the registry had lost meanwhile', async () => {
    const b = view('b', true);
    const looks = [
      [view('a', true), b],
      [view('a', false), b],
      [b],
      [view('a', true), b],
      [view('a', false)],
    ];
    const marks = await marksOf(looks, 3);
    assert.deepEqual(
      marks.map(({ kind, replica }) => [kind, replica]),
      [
        ['ejected', 'a'],
        ['restored', 'a'],
        ['ejected', 'a'],
      ],
    );
  });
});

const model = (pid: number | undefined, isReady: boolean, why = '') => [
  { replica: 'digits-1', pid, isReady, why },
];

describe('marks for model processes of a running mesh', () => {
  const kinds = (
    ...[before, after]: Parameters<typeof processChanges> extends [infer A, infer B, unknown] ? [A, B] : never
  ) => processChanges(before, after, 5).map(({ kind, replica, atMs }) => [kind, replica, atMs]);

  it('say that one ended, and that another serves', () => {
    assert.deepEqual(kinds(model(1, true), model(undefined, false, 'killed by SIGKILL')), [
      ['died', 'digits-1', 5],
    ]);
    assert.deepEqual(kinds(model(2, false), model(2, true)), [['restarted', 'digits-1', 5]]);
    // Both between two looks.
    assert.deepEqual(
      kinds(model(1, true), model(2, true)).map(([kind]) => kind),
      ['died', 'restarted'],
    );
  });

  it('are none where nothing changed, nor for one that is seen for the first time', () => {
    assert.deepEqual(kinds(model(1, true), model(1, true)), []);
    assert.deepEqual(kinds(model(2, false), model(3, false)), []);
    assert.deepEqual(kinds([], model(1, true)), []);
  });
});
