/** Sidecars that a tap follows, of which some hang or restart. */
import assert from 'node:assert/strict';
import { type FollowedAll, followAll } from '../../../../sidecar/cli/tap/follow.js';
import { ManualClock } from '../../../kit/time/manual-clock.js';

/** One try of a sidecar, whose end the test decides. */
interface Try {
  readonly name: string;
  answer(): void;
  end(why: string): void;
  isClosed: boolean;
}

describe('followed sidecars', () => {
  let clock: ManualClock;
  let tries: Try[];
  let said: string[];
  let all: FollowedAll;
  let gone: Awaited<FollowedAll['gone']> | undefined;
  beforeEach(() => {
    clock = new ManualClock();
    tries = [];
    said = [];
    gone = undefined;
    all = followAll([{ name: 'a' }, { name: 'b' }], { open, say: (line) => said.push(line), timers: clock });
    void all.gone.then((is) => {
      gone = is;
    });
  });

  function open({ name }: { readonly name: string }) {
    const one: Try = { name, answer: () => {}, end: () => {}, isClosed: false };
    const opened = new Promise<void>((resolve) => {
      one.answer = resolve;
    });
    const done = new Promise<string>((resolve) => {
      one.end = resolve;
    });
    tries.push(one);
    const close = () => {
      one.isClosed = true;
    };
    return { opened, done, close };
  }

  /** What was settled has been told. */
  const settled = () => new Promise((resolve) => setImmediate(resolve));

  it('go on without one that hangs, say so once, and have it again when it is back', async () => {
    tries[0]!.answer();
    tries[1]!.end('no answer in 3000 ms');
    await settled();
    clock.advance(1_000);
    tries[2]!.end('no answer in 3000 ms');
    await settled();
    clock.advance(1_000);
    tries[3]!.answer();
    await settled();
    assert.deepEqual(
      tries.map(({ name }) => name),
      ['a', 'b', 'b', 'b'],
    );
    assert.deepEqual(said, ['b: no answer in 3000 ms; it is asked again', 'b: is there again']);
    assert.equal(gone, undefined);
  });

  it('are gone when none answers any more, with what the first one said', async () => {
    tries[1]!.answer();
    tries[0]!.end('connect ECONNREFUSED');
    await settled();
    tries[1]!.end('it has ended');
    await settled();
    assert.deepEqual(gone, { name: 'a', why: 'connect ECONNREFUSED', wasOpen: true });
  });

  it('are gone too where one has been named twice', async () => {
    const twice = followAll([{ name: 'a' }, { name: 'a' }], { open, say: () => {}, timers: clock });
    for (const each of tries.slice(2)) each.end('it has ended');
    assert.deepEqual(await twice.gone, { name: 'a', why: 'it has ended', wasOpen: false });
  });

  it('leave nothing open or waiting when they are closed', async () => {
    tries[1]!.end('it has ended');
    await settled();
    all.close();
    assert.deepEqual([tries[0]!.isClosed, clock.pending()], [true, 0]);
    tries[0]!.end('closed');
    await settled();
    assert.equal(clock.pending(), 0);
  });
});
