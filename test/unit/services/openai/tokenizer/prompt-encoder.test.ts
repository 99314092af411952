import assert from 'node:assert/strict';
import {
  type EncodingThread,
  PromptEncoder,
  type TextPrompt,
} from '../../../../../services/openai/tokenizer/prompt-encoder.js';
import { ManualClock } from '../../../../kit/time/manual-clock.js';

const LIMIT_MS = 5_000;

/** A thread whose encodings end when the test says so. */
class HeldThread implements EncodingThread {
  readonly asked: string[] = [];
  isStopped = false;
  private finish: (ids: readonly number[]) => void = () => {};
  private fail: (error: Error) => void = () => {};

  encode(prompt: TextPrompt): Promise<readonly number[]> {
    this.asked.push(prompt.kind === 'text' ? prompt.text : 'chat');
    return new Promise((resolve, reject) => {
      this.finish = resolve;
      this.fail = reject;
    });
  }

  stop(): void {
    this.isStopped = true;
    this.fail(new Error('the thread was stopped'));
  }

  async end(ids: readonly number[] = [1]): Promise<void> {
    this.finish(ids);
    await settled();
  }
}

const settled = () => new Promise<void>((resolve) => setImmediate(resolve));

describe('the encoder of prompts', () => {
  let clock: ManualClock;
  let threads: HeldThread[];
  let encoder: PromptEncoder;
  let startFails: boolean;
  let ended: Error[];

  beforeEach(() => {
    clock = new ManualClock();
    threads = [new HeldThread()];
    startFails = false;
    ended = [];
    encoder = new PromptEncoder(threads[0]!, {
      start: async () => {
        if (startFails) throw new Error('no memory');
        threads.push(new HeldThread());
        return threads.at(-1)!;
      },
      onEnd: (error) => void ended.push(error),
      limitMs: LIMIT_MS,
      after: (ms, fn) => {
        const timer = clock.after(ms, fn);
        return () => timer.cancel();
      },
    });
  });

  const NEVER_GONE = new AbortController().signal;
  async function ask(text: string, gone = NEVER_GONE, caller = text[0]!) {
    const asked = encoder.encode({ kind: 'text', text }, caller, gone);
    asked.catch(() => {});
    await settled();
    return { ids: asked };
  }

  it('takes ids as they are', async () => {
    assert.deepEqual(await encoder.encode({ kind: 'ids', ids: [4, 5] }, 'a', NEVER_GONE), [4, 5]);
    assert.deepEqual(threads[0]!.asked, []);
  });

  it('encodes one prompt at a time, by turns of the callers', async () => {
    const first = await ask('a1');
    for (const text of ['a2', 'a3', 'b1']) await ask(text);
    assert.deepEqual(threads[0]!.asked, ['a1']);
    for (let i = 0; i < 4; i++) await threads[0]!.end([i]);
    assert.deepEqual(threads[0]!.asked, ['a1', 'a2', 'b1', 'a3']);
    assert.deepEqual(await first.ids, [0]);
    assert.equal(clock.pending(), 0);
  });

  it('leaves out the prompt of a client that has gone, whose call ends at once', async () => {
    await ask('a1');
    const gone = new AbortController();
    const left = await ask('a2', gone.signal);
    await ask('a3');
    gone.abort();
    await assert.rejects(left.ids, { name: 'AbortError' });
    await threads[0]!.end();
    assert.deepEqual(threads[0]!.asked, ['a1', 'a3']);
    await assert.rejects((await ask('a4', gone.signal)).ids, { name: 'AbortError' });
  });

  it('replaces a thread that takes too long for a prompt, and goes on with the next', async () => {
    const slow = await ask('a1');
    const next = await ask('b1');
    clock.advance(LIMIT_MS);
    await assert.rejects(slow.ids, /The prompt takes the tokenizer longer than 5 s/);
    await settled();
    assert.deepEqual([threads[0]!.isStopped, threads.length], [true, 2]);
    assert.deepEqual(threads[1]!.asked, ['b1']);
    await threads[1]!.end([7]);
    assert.deepEqual([await next.ids, clock.pending()], [[7], 0]);
  });

  it('says when there is no other thread, and fails what waits', async () => {
    startFails = true;
    await ask('a1');
    const next = await ask('b1');
    clock.advance(LIMIT_MS);
    await assert.rejects(next.ids, /no memory/);
    assert.match(String(ended[0]), /no memory/);
  });
});
