import assert from 'node:assert/strict';
import fc from 'fast-check';
import {
  apply,
  type Health,
  type Listed,
  type Registry,
  reevaluate,
  SILENT_MS,
  SUDDEN_MS,
} from '../../../../sidecar/core/discovery/eviction-guard.js';
import { runs } from '../../../kit/mocha/effort.js';

const GRACE_MS = 60_000;
const MARKS: Readonly<Record<Health, string>> = { passing: '', critical: '!', warning: '?' };
const STATUSES = Object.keys(MARKS) as Health[];

/** `a b! c? d~`: a passes, b is critical, c warns, d is in maintenance. */
function answer(text: string): Listed[] {
  const statusOf = (mark = ''): Health => STATUSES.find((status) => MARKS[status] === mark)!;
  const words = text.split(' ').filter((word) => word !== '');
  return words.map((word) =>
    word[1] === '~'
      ? { key: word[0]!, status: 'critical', isMaintained: true }
      : { key: word[0]!, status: statusOf(word[1]) },
  );
}

/** The members in the same notation; then `held` while the guard holds, or how it has just ended. */
function shown({ members, guard, ended }: Registry<Listed>): string {
  const words = members.map(({ key, status, isMaintained }) => `${key}${isMaintained ? '~' : MARKS[status]}`);
  return [...words, guard === undefined ? (ended ?? '') : 'held'].filter((word) => word !== '').join(' ');
}

/**
 * What the registry says, alone where it is believed; the ms that pass, alone where nothing changes; or a fact that changes:
 * the keys of the instances that answer us, the grace time.
 */
type Step =
  | string
  | number
  | readonly [what: string | number, shown: string]
  | { readonly answering?: string; readonly graceMs?: number };

/** Fails unless a registry shows what is said of each step. */
function tells(...steps: readonly Step[]): void {
  let state: Registry<Listed> | undefined;
  let facts = { answering: 'abcdefghijkl', graceMs: GRACE_MS };
  let nowMs = 1_000;
  let last = '';
  const evidence = ({ key }: Listed): boolean => facts.answering.includes(key);
  const take = (what: string | number, expected: string): void => {
    if (typeof what === 'number') {
      nowMs += what;
      state = reevaluate(state!, evidence, nowMs, facts.graceMs);
    } else state = apply(state, answer(what), evidence, nowMs, facts.graceMs);
    last = shown(state);
    assert.equal(last, expected, `after "${what}"`);
  };
  for (const step of steps) {
    if (typeof step === 'string') take(step, step);
    else if (typeof step === 'number') take(step, last);
    else if ('length' in step) take(step[0], step[1]);
    else facts = { ...facts, ...step };
  }
}

describe('The eviction guard', () => {
  for (const first of ['', 'a b! c?'])
    it(`believes the first answer, even an empty one: "${first}"`, () => tells(first));

  it('believes at once that one of several is gone', () => tells('a b c', 'a c'));

  it('believes at once that one of two is gone', () => tells('a b', 'b'));

  it('believes at once that half are critical', () => tells('a b c d', 'a b! c! d'));

  it('believes replacements, however many at once', () => tells('a b c', 'd e f'));

  it('retains instances that answer calls when the registry lists none, until the grace time is over', () =>
    tells('a b c', ['', 'a b c held'], GRACE_MS - 1, [1, 'expired']));

  it('retains the only instance when it vanishes', () => tells('a', ['', 'a held'], [GRACE_MS, 'expired']));

  it('does not retain the only instance that was critical first, as a drain does', () =>
    tells('a', 'a!', ''));

  it('believes maintenance at once, of however many instances', () => {
    tells('a b c', 'a b~ c~', 'a~ b~ c~', 'a b c');
    tells('a b', 'a~ b~');
  });

  it('does not retain an instance that is put into maintenance while others are retained', () =>
    tells(
      'a b c d e f',
      ['a! b! c! d! e! f', 'a b c d e f held'],
      ['a! b~ c~ d! e! f', 'a b~ c~ d e f held'],
      ['a! b~ c~ d~ e! f', 'a b~ c~ d~ e f held'],
      ['a! b~ c~ d~ e~ f', 'a! b~ c~ d~ e~ f recovered'],
    ));

  it('doubts a loss beside maintenance as it does without', () => {
    tells('a b c d e f', ['a~ b~ c', 'a~ b~ c d e f held']);
    tells('a b c d e f', 'a~ b~ c d');
    tells('a~ b~ c d', [SUDDEN_MS, 'a~ b~ c d'], 'a~ b~ c', ['a~ b~', 'a~ b~ c held'], ['', 'c held']);
  });

  it('believes a loss after a scale-in whose instances were in maintenance when they vanished', () => {
    tells('a b c d e f g h i j', 'a b c d e f~ g~ h~ i~ j~', 3_000, 'a b c d e', 3_000, 'a b c d e!');
    // In steps, and those that are left are doubted as before.
    tells(
      ...['a b c d e f g h', 'a b c d e~ f~ g~ h~', 'a b c d e~ f~', 'a b c d', 'a b c d!', 'a b c! d!'],
      ['a! b c! d!', 'a b c! d! held'],
    );
  });

  it('ends when enough are left of what it expects, also once those in maintenance have vanished', () =>
    tells(
      'a b c d e f g h',
      ['a! b! c! d! e! f! g! h', 'a b c d e f g h held'],
      ['a! b! c~ d~ e~ f! g! h', 'a b c~ d~ e~ f g h held'],
      ['a! b! f! g! h', 'a b f g h held'],
      ['a! b! f! g h', 'a b f g h held'],
      ['a! b! f g h', 'a! b! f g h recovered'],
    ));

  it('takes only those off that were in maintenance, not as many others', () =>
    tells(...['a~ b~ c d e f', 'c d e f', 'c~ d~ e f', 'e f', 10, 'a~ b~ e f'], ['a~ b~', 'a~ b~ e f held']));

  it('retains most of a set as it was when it turns critical at once', () =>
    tells('a b? c d', ['a! b! c! d', 'a b? c d held'], [GRACE_MS, 'a! b! c! d expired']));

  it('retains only instances that answer calls', () =>
    tells('a b c d', { answering: 'ab' }, ['d!', 'd! a b held']));

  it('believes the registry at once when no critical instance answers calls', () =>
    tells('a b c d', { answering: '' }, 'a! b! c! d'));

  it('retains all instances when the registry lists none and none was called', () =>
    tells('a b', { answering: '' }, ['', 'a b held'], GRACE_MS - 1, [1, 'expired']));

  it('drops a retained instance that has not answered for some seconds', () =>
    tells('a b c', ['', 'a b c held'], { answering: 'ab' }, 1_000, SILENT_MS - 1, [1, 'a b held']));

  it('keeps a retained instance that answers again', () => {
    const [silent, back] = [{ answering: 'ab' }, { answering: 'abc' }];
    tells('a b c', ['', 'a b c held'], silent, SILENT_MS - 1, back, 0, silent, SILENT_MS - 1);
  });

  it('believes a drain of all: critical, then silent, then gone', () => {
    const critical: Step = ['a! b! c!', 'a b c held'];
    tells('a b c', critical, { answering: '' }, 1_000, ['', 'a b c held'], [SILENT_MS, 'silent']);
  });

  it('ends when the registry lists enough again', () =>
    tells('a b c d', ['', 'a b c d held'], ['a', 'a b c d held'], ['a b', 'a b recovered']));

  it('ends when enough other instances have come', () =>
    tells('a b c d', ['', 'a b c d held'], ['e f', 'e f recovered']));

  it('does not last longer, whatever the registry lists meanwhile', () => {
    const lists: Step[] = [['a b!', 'a b c d e held'], GRACE_MS / 2, ['a! b!', 'a b c d e held']];
    tells('a b c d e', ...lists, ['', 'a b c d e held'], GRACE_MS / 2 - 1, [1, 'expired']);
  });

  it('counts a loss in quick steps as one', () =>
    tells('a b c d e f', 'b c d e f', 'c d e f', 'd e f', ['e f', 'e f d held'], ['', 'e f d held']));

  it('counts a loss in quick steps as one, however long nothing had changed before', () =>
    tells('a b', 60_000, 'b', 100, ['b!', 'b held'], ['', 'b held']));

  it('takes a loss in slow steps for a smaller service, and believes it', () => {
    const steps = ['b c d e f', 'c d e f', 'd e f', 'e f', 'f'].flatMap((step) => [SUDDEN_MS, step]);
    tells('a b c d e f', ...steps);
  });

  it('believes everything at once without a grace time', () => tells({ graceMs: 0 }, 'a b c', ''));

  it('never doubts an answer that removes only critical instances', () => tells('a! b! c!', ''));
});

describe('The eviction guard under any sequence of answers', () => {
  const status = fc.constantFrom(...STATUSES);
  const anyAnswer = fc
    .dictionary(fc.constantFrom(...'abcdef'), status, { maxKeys: 6 })
    .map((by) => Object.entries(by).map(([key, each]) => ({ key, status: each })));
  const step = fc.record({
    /** Undefined: only time passes. */
    answer: fc.option(
      fc.oneof({ weight: 1, arbitrary: fc.constant<Listed[]>([]) }, { weight: 3, arbitrary: anyAnswer }),
      { nil: undefined },
    ),
    answering: fc.subarray([...'abcdef']),
    afterMs: fc.constantFrom(0, 1, 500, 1_000, 3_000, 11_000, GRACE_MS),
  });

  type Look = (before: Registry<Listed> | undefined, after: Registry<Listed>, nowMs: number) => void;
  const always = (look: Look): void => {
    fc.assert(
      fc.property(fc.array(step, { maxLength: 25 }), (steps) => {
        let state: Registry<Listed> | undefined;
        let nowMs = 0;
        for (const { answer: said, answering, afterMs } of steps) {
          nowMs += afterMs;
          const before = state;
          const evidence = ({ key }: Listed): boolean => answering.includes(key);
          state = apply(before, said ?? before?.answer ?? [], evidence, nowMs, GRACE_MS);
          look(before, state, nowMs);
        }
      }),
      { numRuns: runs(400) },
    );
  };
  const usableIn = (items: readonly Listed[]): Listed[] => items.filter((each) => each.status !== 'critical');

  it('has every usable instance of the answer, as it is there', () =>
    always((_, after) => {
      for (const item of usableIn(after.answer)) assert.ok(after.members.includes(item));
    }));

  it('has every instance of the answer once, and no other but retained ones', () =>
    always((_, after) => {
      const keys = after.members.map(({ key }) => key);
      assert.equal(new Set(keys).size, keys.length);
      for (const { key } of after.answer) assert.ok(keys.includes(key));
      for (const { key } of after.members)
        assert.ok(after.guard?.retained.has(key) || after.answer.some((item) => item.key === key));
    }));

  it('retains only instances that were usable before, as they were', () =>
    always((before, after) => {
      for (const { item } of after.guard?.retained.values() ?? [])
        assert.ok(usableIn(before?.members ?? []).includes(item));
    }));

  it('never empties a working set within the grace time, unless it was critical first', () =>
    always((before, after, nowMs) => {
      if (before === undefined || before.usable === 0 || after.members.length > 0) return;
      const isOver = before.guard !== undefined && nowMs >= before.guard.untilMs;
      const wereCalled = usableIn(before.members).every(
        ({ key }) => before.guard?.retained.get(key)?.wasCalledCritical === true,
      );
      assert.ok(isOver || wereCalled);
    }));

  it('believes the registry when the grace time is over, and never moves that time', () =>
    always((before, after, nowMs) => {
      if (before?.guard === undefined) return;
      if (nowMs >= before.guard.untilMs) assert.deepEqual(after.members, after.answer);
      else if (after.guard !== undefined) assert.equal(after.guard.untilMs, before.guard.untilMs);
    }));

  it('counts usable instances, and reports once how it ended', () =>
    always((before, after) => {
      assert.equal(after.usable, usableIn(after.members).length);
      assert.equal(after.ended !== undefined, before?.guard !== undefined && after.guard === undefined);
      if (after.guard === undefined) assert.deepEqual(after.members, after.answer);
      else assert.ok(after.guard.retained.size > 0);
    }));
});
