/** The index of a server of another make, read over real sockets on a manual clock. */
import assert from 'node:assert/strict';
import { IndexWatch } from '../../../../sidecar/app/models/index-watch.js';
import { encodeIndex } from '../../../../sidecar/codec/repository.js';
import type { Address } from '../../../../sidecar/config/model.js';
import { grpcMessage } from '../../../kit/http2/h2-frames.js';
import { SidecarInMemory, until } from '../../../kit/stack/sidecar-in-memory.js';
import type { Backend } from '../../../kit/stack/stack.js';
import { ManualClock } from '../../../kit/time/manual-clock.js';

describe('The index of a model server', () => {
  let bench: SidecarInMemory;
  let clock: ManualClock;
  let backend: Backend;
  let watch: IndexWatch;
  let answers: number;

  beforeEach(async () => {
    bench = new SidecarInMemory();
    clock = new ManualClock();
    answers = 0;
    const server = await bench.server('model');
    backend = server.backend;
    watch = new IndexWatch(server.address as Address, { timers: clock }, () => {
      answers++;
    });
  });
  afterEach(async () => {
    watch.close();
    await bench.close();
  });

  const says = (...lines: readonly string[]): void => {
    const models = lines.map((line) => {
      const [name = '', version = '', state = ''] = line.split(' ');
      return { name, version, state, reason: '' };
    });
    backend.answer = (stream) => void stream.reply(grpcMessage(encodeIndex(models)));
  };
  const listed = (): string | undefined =>
    watch.models?.map(({ name, version }) => `${name}:${version}`).join(' ');
  /** Lets the question be asked, and its answer come. */
  const asks = async (times: number): Promise<void> => {
    await until('it has asked', () => backend.requests.length >= times);
    // The limit of the question has gone, and the next one is due.
    await until('it has heard', () => clock.pending() === 1 && clock.nextDueMs() > 100_000);
  };

  it('is asked for at once and every five seconds, and has the models that are ready', async () => {
    says('digits 1 READY', 'digits 2', 'words 1 LOADING', 'bad 1 UNAVAILABLE');
    assert.equal(watch.models, undefined);
    watch.start();
    await until('an answer', () => answers === 1);
    assert.equal(listed(), 'digits:1 digits:2');
    says('words 1 READY');
    clock.advance(5_000);
    await until('another answer', () => answers === 2);
    assert.equal(listed(), 'words:1');
    says();
    clock.advance(5_000);
    await until('an empty one', () => answers === 3);
    assert.equal(watch.models, undefined);
  });

  for (const [what, answer] of [
    ['does not know the method', (stream) => void stream.fail(12)],
    ['answers with other bytes', (stream) => void stream.reply(grpcMessage(Buffer.from('0aff', 'hex')))],
  ] as [string, Backend['answer']][])
    it(`is asked for every five minutes where the server ${what}`, async () => {
      backend.answer = answer;
      watch.start();
      await asks(1);
      clock.advance(299_000);
      assert.deepEqual([backend.requests.length, answers, watch.models], [1, 0, undefined]);
      says('digits 1 READY');
      clock.advance(1_000);
      await until('an answer', () => answers === 1);
      assert.equal(listed(), 'digits:1');
    });
});
