import assert from 'node:assert/strict';
import { EventEmitter } from 'node:events';
import { Metadata, type ServerUnaryCall } from '@grpc/grpc-js';
import { FaultyModel } from '../../../../../sidecar/cli/chaos/models/faulty-model.js';
import { type Behaviour, fails } from '../../../../../sidecar/cli/chaos/protocol/behaviour.js';

const UNAVAILABLE = 14;

/** A call as far as a model looks at it. */
class TestCall extends EventEmitter {
  cancelled = false;
  hasHeaders = false;
  readonly metadata = new Metadata();
  readonly written: unknown[] = [];

  sendMetadata(): void {
    this.hasHeaders = true;
  }

  write(message: unknown): void {
    this.written.push(message);
  }

  end(): void {
    this.emit('end');
  }
}

describe('a model that is told to misbehave', () => {
  let lines: string[];
  let model: FaultyModel;
  beforeEach(() => {
    lines = [];
    const note = (kind: string) => (id: string) => void lines.push(`${kind} ${id}`);
    const log = { began: note('began'), ended: note('ended'), cancelled: note('cancelled') };
    model = new FaultyModel({ places: 1, log });
  });

  /** The status of a call, and whether headers came before it. */
  function unary(call = new TestCall()): Promise<readonly [number, boolean]> {
    return new Promise((resolve) =>
      model.unary(
        call as unknown as ServerUnaryCall<unknown, unknown>,
        { id: 'call-1', usualMs: () => 0, run: () => 'answer' },
        (error) => resolve([(error as { code?: number } | null)?.code ?? 0, call.hasHeaders]),
      ),
    );
  }

  it('answers, and writes the run down', async () => {
    assert.deepEqual(await unary(), [0, false]);
    assert.deepEqual(lines, ['began call-1', 'ended call-1']);
  });

  const forms: readonly (readonly [Behaviour, readonly [number, boolean], readonly string[]])[] = [
    [fails('at-once'), [UNAVAILABLE, false], []],
    [fails('trailers-only'), [UNAVAILABLE, false], ['began call-1']],
    [fails('trailers', { code: 5 }), [5, true], ['began call-1']],
  ];
  for (const [behaviour, ends, written] of forms)
    it(`fails as it is told: ${JSON.stringify(behaviour)}`, async () => {
      model.behave(behaviour);
      assert.deepEqual(await unary(), ends);
      assert.deepEqual(lines, written);
    });

  it('fails a share of the calls, evenly spread, and none in the second turn', async () => {
    model.behave(fails('at-once', { share: 0.5 }));
    const codes = [];
    for (let i = 0; i < 4; i++) codes.push((await unary())[0]);
    assert.deepEqual(codes, [0, UNAVAILABLE, 0, UNAVAILABLE]);
    model.behave(fails('at-once', { turnMs: 60_000 }));
    assert.equal((await unary())[0], UNAVAILABLE);
  });

  it('is slow in one run of so many', () => {
    model.behave({ does: 'slow', factor: 10, every: 3 });
    assert.deepEqual(
      [1, 2, 3, 4].map(() => model.runMs(2)),
      [2, 2, 20, 2],
    );
  });

  it('keeps the place of a call that hangs until its caller gives up, and says that it has', async () => {
    model.behave({ does: 'hang' });
    const call = new TestCall();
    void unary(call);
    assert.equal(model.places.busy, 1);
    call.cancelled = true;
    call.emit('cancelled');
    assert.deepEqual([model.places.busy, lines], [0, ['began call-1', 'cancelled call-1']]);
  });

  it('goes on with a stream after the messages that its caller has', async () => {
    const stream = new TestCall();
    stream.metadata.set('outrider-resume-after', '2');
    const ended = new Promise((resolve) => stream.once('end', resolve));
    model.tell(stream, {
      ...{ id: 'call-2', count: 4, failsAt: 0 },
      ...{ firstMs: () => 0, pauseMs: () => 0, message: (number: number) => number },
    });
    await ended;
    assert.deepEqual(
      [stream.written, lines],
      [
        [2, 3],
        ['began call-2', 'ended call-2'],
      ],
    );
  });
});
