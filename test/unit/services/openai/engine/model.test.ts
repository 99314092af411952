import assert from 'node:assert/strict';
import { startBoth } from '../../../../../services/openai/engine/model.js';

class Thread {
  isStopped = false;

  stop(): void {
    this.isStopped = true;
  }
}

describe('both threads of a tokenizer', () => {
  it('start', async () => {
    const threads = await startBoth(async () => new Thread());
    assert.deepEqual(
      threads.map(({ isStopped }) => isStopped),
      [false, false],
    );
  });

  for (const failing of [0, 1])
    it(`the ${failing === 0 ? 'first' : 'second'} one does not: the other is stopped, also if it comes later`, async () => {
      const started: Thread[] = [];
      let starts = 0;
      const start = async (): Promise<Thread> => {
        const i = starts++;
        if (i === failing) throw new Error('no memory');
        await new Promise(setImmediate);
        const thread = new Thread();
        started.push(thread);
        return thread;
      };
      await assert.rejects(startBoth(start), /no memory/);
      assert.deepEqual(
        started.map(({ isStopped }) => isStopped),
        [true],
      );
    });
});
