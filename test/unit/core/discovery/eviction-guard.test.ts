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

const GRACE_MS = 60_000;

/** `a b! c?`: a passes, b is critical, c warns. */
function answer(text: string): Listed[] {
  return text
    .split(' ')
    .filter((word) => word !== '')
    .map((word) => ({ key: word[0]!, status: statusOf(word[1]) }));
}

function statusOf(mark: string | undefined): Health {
  if (mark === '!') return 'critical';
  return mark === '?' ? 'warning' : 'passing';
}

function shown(items: readonly Listed[]): string {
  return items
    .map(({ key, status }) => `${key}${{ passing: '', critical: '!', warning: '?' }[status]}`)
    .join(' ');
}

/** A registry that is told one answer after another. */
class Story {
  state: Registry<Listed> | undefined;
  /** Keys of those that answer us. */
  answering = 'abcdefghijkl';
  nowMs = 1_000;

  constructor(private readonly graceMs = GRACE_MS) {}

  says(text: string): string {
    return this.become(apply(this.state, answer(text), this.evidence, this.nowMs, this.graceMs));
  }
  later(ms: number): string {
    this.nowMs += ms;
    return this.become(reevaluate(this.state!, this.evidence, this.nowMs, this.graceMs));
  }
  get isHolding(): boolean {
    return this.state?.guard !== undefined;
  }
  private readonly evidence = ({ key }: Listed): boolean => this.answering.includes(key);
  private become(state: Registry<Listed>): string {
    this.state = state;
    return shown(state.members);
  }
}

describe('the registry', () => {
  let story: Story;
  beforeEach(() => {
    story = new Story();
  });

  it('believes the first answer, even an empty one', () => {
    assert.equal(story.says(''), '');
    assert.equal(new Story().says('a b! c?'), 'a b! c?');
  });

  it('believes at once that one of several is gone', () => {
    story.says('a b c');
    assert.equal(story.says('a c'), 'a c');
    assert.equal(story.isHolding, false);
  });

  it('believes at once that one of two is gone', () => {
    story.says('a b');
    assert.equal(story.says('b'), 'b');
  });

  it('believes at once that half are critical', () => {
    story.says('a b c d');
    assert.equal(story.says('a b! c! d'), 'a b! c! d');
  });

  it('believes replacements, however many at once', () => {
    story.says('a b c');
    assert.equal(story.says('d e f'), 'd e f');
    assert.equal(story.isHolding, false);
  });

  it('keeps those that answer when the answer is empty, until the grace time is over', () => {
    story.says('a b c');
    assert.equal(story.says(''), 'a b c');
    assert.equal(story.later(GRACE_MS - 1), 'a b c');
    assert.equal(story.later(1), '');
    assert.equal(story.state?.ended, 'expired');
  });

  it('keeps the only one that vanished', () => {
    story.says('a');
    assert.equal(story.says(''), 'a');
    assert.equal(story.later(GRACE_MS), '');
  });

  it('does not keep the only one that was called critical first, as a drain does', () => {
    story.says('a');
    assert.equal(story.says('a!'), 'a!');
    assert.equal(story.says(''), '');
    assert.equal(story.isHolding, false);
  });

  it('keeps most of a set as it was when they turn critical at once', () => {
    story.says('a b? c d');
    assert.equal(story.says('a! b! c! d'), 'a b? c d');
    assert.equal(story.isHolding, true);
    assert.equal(story.later(GRACE_MS), 'a! b! c! d');
  });

  it('keeps only those that answer', () => {
    story.says('a b c d');
    story.answering = 'ab';
    assert.equal(story.says('d!'), 'd! a b');
  });

  it('honours everything at once when none of those called critical answers', () => {
    story.says('a b c d');
    story.answering = '';
    assert.equal(story.says('a! b! c! d'), 'a! b! c! d');
    assert.equal(story.isHolding, false);
  });

  it('keeps all when the answer is empty and none answers: no evidence is none against them', () => {
    story.says('a b');
    story.answering = '';
    assert.equal(story.says(''), 'a b');
    assert.equal(story.later(GRACE_MS - 1), 'a b');
    assert.equal(story.later(1), '');
  });

  it('lets go of a kept one that has not answered for some seconds', () => {
    story.says('a b c');
    story.says('');
    story.answering = 'ab';
    assert.equal(story.later(1_000), 'a b c');
    assert.equal(story.later(SILENT_MS - 1), 'a b c');
    assert.equal(story.later(1), 'a b');
  });

  it('forgives a silence that ends', () => {
    story.says('a b c');
    story.says('');
    story.answering = 'ab';
    story.later(SILENT_MS - 1);
    story.answering = 'abc';
    story.later(0);
    story.answering = 'ab';
    assert.equal(story.later(SILENT_MS - 1), 'a b c');
  });

  it('honours a drain of all: called critical, then silent, then gone', () => {
    story.says('a b c');
    assert.equal(story.says('a! b! c!'), 'a b c');
    story.answering = '';
    story.later(1_000);
    assert.equal(story.says(''), 'a b c');
    assert.equal(story.later(SILENT_MS), '');
    assert.equal(story.state?.ended, 'silent');
  });

  it('ends the hold when the registry lists enough again', () => {
    story.says('a b c d');
    story.says('');
    assert.equal(story.says('a'), 'a b c d');
    assert.equal(story.says('a b'), 'a b');
    assert.equal(story.state?.ended, 'recovered');
  });

  it('ends the hold when enough others have come', () => {
    story.says('a b c d');
    story.says('');
    assert.equal(story.says('e f'), 'e f');
  });

  it('does not extend a hold, whatever the registry says meanwhile', () => {
    story.says('a b c d e');
    story.says('a b!');
    story.later(GRACE_MS / 2);
    story.says('a! b!');
    story.says('');
    story.later(GRACE_MS / 2 - 1);
    assert.equal(story.isHolding, true);
    assert.equal(story.later(1), '');
  });

  it('takes a loss in quick steps for one', () => {
    story.says('a b c d e f');
    for (const step of ['b c d e f', 'c d e f', 'd e f']) assert.equal(story.says(step), step);
    assert.equal(story.says('e f'), 'e f d');
    assert.equal(story.says(''), 'e f d');
  });

  it('takes a loss in quick steps for one, however long nothing had changed before', () => {
    story.says('a b');
    story.later(60_000);
    assert.equal(story.says('b'), 'b');
    story.later(100);
    assert.equal(story.says('b!'), 'b');
    assert.equal(story.says(''), 'b');
    assert.equal(story.isHolding, true);
  });

  it('takes a loss in slow steps for a smaller service', () => {
    story.says('a b c d e f');
    for (const step of ['b c d e f', 'c d e f', 'd e f', 'e f', 'f']) {
      story.later(SUDDEN_MS);
      assert.equal(story.says(step), step);
    }
  });

  it('believes everything at once without a grace time', () => {
    const eager = new Story(0);
    eager.says('a b c');
    assert.equal(eager.says(''), '');
  });

  it('never doubts an answer that takes away only what was critical', () => {
    story.says('a! b! c!');
    assert.equal(story.says(''), '');
  });
});

describe('the registry, whatever happens', () => {
  const status = fc.constantFrom<Health>('passing', 'warning', 'critical');
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
      { numRuns: 2_000 },
    );
  };
  const usableIn = (items: readonly Listed[]): Listed[] => items.filter((each) => each.status !== 'critical');

  it('has everyone in who is usable in the answer, as it is there', () =>
    always((_, after) => {
      for (const item of usableIn(after.answer)) assert.ok(after.members.includes(item));
    }));

  it('has everyone in who is in the answer, once, and nobody else but those kept', () =>
    always((_, after) => {
      const keys = after.members.map(({ key }) => key);
      assert.equal(new Set(keys).size, keys.length);
      for (const { key } of after.answer) assert.ok(keys.includes(key));
      for (const { key } of after.members) {
        assert.ok(after.guard?.retained.has(key) || after.answer.some((item) => item.key === key));
      }
    }));

  it('keeps only who was usable before, and as it was', () =>
    always((before, after) => {
      for (const { item } of after.guard?.retained.values() ?? []) {
        assert.ok(usableIn(before?.members ?? []).includes(item));
      }
    }));

  it('never empties a working set within the grace time, unless it was called critical first', () =>
    always((before, after, nowMs) => {
      if (before === undefined || before.usable === 0 || after.members.length > 0) return;
      const isOver = before.guard !== undefined && nowMs >= before.guard.untilMs;
      const wereCalled = usableIn(before.members).every(
        ({ key }) => before.guard?.retained.get(key)?.wasCalledCritical === true,
      );
      assert.ok(isOver || wereCalled);
    }));

  it('honours everything when the grace time is over, and never moves that time', () =>
    always((before, after, nowMs) => {
      if (before?.guard === undefined) return;
      if (nowMs >= before.guard.untilMs) assert.deepEqual(after.members, after.answer);
      else if (after.guard !== undefined) assert.equal(after.guard.untilMs, before.guard.untilMs);
    }));

  it('counts what is usable, and says once how a hold ended', () =>
    always((before, after) => {
      assert.equal(after.usable, usableIn(after.members).length);
      assert.equal(after.ended !== undefined, before?.guard !== undefined && after.guard === undefined);
      if (after.guard === undefined) assert.deepEqual(after.members, after.answer);
      else assert.ok(after.guard.retained.size > 0);
    }));
});
