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

describe('The eviction guard', () => {
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

  it('retains instances that answer calls when the registry lists none, until the grace time is over', () => {
    story.says('a b c');
    assert.equal(story.says(''), 'a b c');
    assert.equal(story.later(GRACE_MS - 1), 'a b c');
    assert.equal(story.later(1), '');
    assert.equal(story.state?.ended, 'expired');
  });

  it('retains the only instance when it vanishes', () => {
    story.says('a');
    assert.equal(story.says(''), 'a');
    assert.equal(story.later(GRACE_MS), '');
  });

  it('does not retain the only instance that was critical first, as a drain does', () => {
    story.says('a');
    assert.equal(story.says('a!'), 'a!');
    assert.equal(story.says(''), '');
    assert.equal(story.isHolding, false);
  });

  it('retains most of a set as it was when it turns critical at once', () => {
    story.says('a b? c d');
    assert.equal(story.says('a! b! c! d'), 'a b? c d');
    assert.equal(story.isHolding, true);
    assert.equal(story.later(GRACE_MS), 'a! b! c! d');
  });

  it('retains only instances that answer calls', () => {
    story.says('a b c d');
    story.answering = 'ab';
    assert.equal(story.says('d!'), 'd! a b');
  });

  it('believes the registry at once when no critical instance answers calls', () => {
    story.says('a b c d');
    story.answering = '';
    assert.equal(story.says('a! b! c! d'), 'a! b! c! d');
    assert.equal(story.isHolding, false);
  });

  it('retains all instances when the registry lists none and none was called', () => {
    story.says('a b');
    story.answering = '';
    assert.equal(story.says(''), 'a b');
    assert.equal(story.later(GRACE_MS - 1), 'a b');
    assert.equal(story.later(1), '');
  });

  it('drops a retained instance that has not answered for some seconds', () => {
    story.says('a b c');
    story.says('');
    story.answering = 'ab';
    assert.equal(story.later(1_000), 'a b c');
    assert.equal(story.later(SILENT_MS - 1), 'a b c');
    assert.equal(story.later(1), 'a b');
  });

  it('keeps a retained instance that answers again', () => {
    story.says('a b c');
    story.says('');
    story.answering = 'ab';
    story.later(SILENT_MS - 1);
    story.answering = 'abc';
    story.later(0);
    story.answering = 'ab';
    assert.equal(story.later(SILENT_MS - 1), 'a b c');
  });

  it('believes a drain of all: critical, then silent, then gone', () => {
    story.says('a b c');
    assert.equal(story.says('a! b! c!'), 'a b c');
    story.answering = '';
    story.later(1_000);
    assert.equal(story.says(''), 'a b c');
    assert.equal(story.later(SILENT_MS), '');
    assert.equal(story.state?.ended, 'silent');
  });

  it('ends when the registry lists enough again', () => {
    story.says('a b c d');
    story.says('');
    assert.equal(story.says('a'), 'a b c d');
    assert.equal(story.says('a b'), 'a b');
    assert.equal(story.state?.ended, 'recovered');
  });

  it('ends when enough other instances have come', () => {
    story.says('a b c d');
    story.says('');
    assert.equal(story.says('e f'), 'e f');
  });

  it('does not last longer, whatever the registry lists meanwhile', () => {
    story.says('a b c d e');
    story.says('a b!');
    story.later(GRACE_MS / 2);
    story.says('a! b!');
    story.says('');
    story.later(GRACE_MS / 2 - 1);
    assert.equal(story.isHolding, true);
    assert.equal(story.later(1), '');
  });

  it('counts a loss in quick steps as one', () => {
    story.says('a b c d e f');
    for (const step of ['b c d e f', 'c d e f', 'd e f']) assert.equal(story.says(step), step);
    assert.equal(story.says('e f'), 'e f d');
    assert.equal(story.says(''), 'e f d');
  });

  it('counts a loss in quick steps as one, however long nothing had changed before', () => {
    story.says('a b');
    story.later(60_000);
    assert.equal(story.says('b'), 'b');
    story.later(100);
    assert.equal(story.says('b!'), 'b');
    assert.equal(story.says(''), 'b');
    assert.equal(story.isHolding, true);
  });

  it('takes a loss in slow steps for a smaller service, and believes it', () => {
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

  it('never doubts an answer that removes only critical instances', () => {
    story.says('a! b! c!');
    assert.equal(story.says(''), '');
  });
});

describe('The eviction guard under any sequence of answers', () => {
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

  it('has every usable instance of the answer, as it is there', () =>
    always((_, after) => {
      for (const item of usableIn(after.answer)) assert.ok(after.members.includes(item));
    }));

  it('has every instance of the answer once, and no other but retained ones', () =>
    always((_, after) => {
      const keys = after.members.map(({ key }) => key);
      assert.equal(new Set(keys).size, keys.length);
      for (const { key } of after.answer) assert.ok(keys.includes(key));
      for (const { key } of after.members) {
        assert.ok(after.guard?.retained.has(key) || after.answer.some((item) => item.key === key));
      }
    }));

  it('retains only instances that were usable before, as they were', () =>
    always((before, after) => {
      for (const { item } of after.guard?.retained.values() ?? []) {
        assert.ok(usableIn(before?.members ?? []).includes(item));
      }
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
