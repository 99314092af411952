/** Several instances of one model behind one queue: where calls go, and what the end of one instance means. */
import assert from 'node:assert/strict';
import { gzipSync } from 'node:zlib';
import { MessageWriter } from '../../../sidecar/codec/protobuf.js';
import { EndClass } from '../../../sidecar/core/health/process-end.js';
import { ErrorCode, grpcMessage } from '../../kit/http2/h2-frames.js';
import type { PeerStream } from '../../kit/http2/scripted-peer.js';
import { assertEnd, assertUnprocessed } from '../../kit/stack/call-ends.js';
import {
  type Application,
  anInbound,
  aRoute,
  type Backend,
  type CallOptions,
  type InboundStack,
  Stack,
} from '../../kit/stack/stack.js';

describe('Scenario: several instances of one model', () => {
  let stack: Stack;
  let side: InboundStack;
  let peer: Application;

  beforeEach(() => {
    stack = new Stack();
    side = stack.inbound(anInbound({ queue: { concurrency: 1, maxWaiting: 8 }, routes: [aRoute()] }), {
      models: ['digits'],
      instances: 3,
    });
    peer = stack.app(side.listener, 'app');
    for (const i of [1, 2, 3]) process(i).answer = (stream) => stream.reply();
  });

  const instance = (i: number) => side.backend.instances[i - 1]!;
  const process = (i: number): Backend => stack.backend(i === 1 ? 'model digits' : `model digits.${i}`);
  const call = (options: CallOptions = {}): PeerStream => stack.settle(peer.call(options));
  /** Calls that each process has had. */
  const seen = (): number[] => [1, 2, 3].map((i) => process(i).requests.length);
  const holdAll = (): void => {
    for (const i of [1, 2, 3]) process(i).answer = () => {};
  };
  const ofSequence = (id: number, end = false): CallOptions => {
    const entry = (key: string, field: number, value: number) =>
      new MessageWriter().text(1, key).bytes(2, Buffer.from([field * 8, value]));
    const message = new MessageWriter().text(1, 'digits').message(4, entry('sequence_id', 2, id));
    if (end) message.message(4, entry('sequence_end', 1, 1));
    return { body: grpcMessage(message.finish()) };
  };

  it('as many calls run at once as instances times concurrency, each at another instance', () => {
    holdAll();
    const calls = Array.from({ length: 5 }, () => call());
    assert.deepEqual(seen(), [1, 1, 1]);
    assert.deepEqual([side.backend.queue.running, side.backend.queue.waiting], [3, 2]);
    const answered = new Set([process(2).last]);
    stack.settle(process(2).last.reply());
    assert.deepEqual(seen(), [1, 2, 1], 'the next one goes where a place became free');
    for (const i of [1, 3, 2, 1, 2, 3]) {
      const { last } = process(i);
      if (!answered.has(last)) stack.settle(last.reply());
      answered.add(last);
    }
    assert.deepEqual(
      calls.map(({ status }) => status),
      [0, 0, 0, 0, 0],
    );
  });

  it('one that is away takes no calls, the model stays ready, and the places are those of the others', () => {
    instance(2).setState({ kind: 'away', why: 'killed by SIGKILL' });
    assert.equal(side.backend.state.kind, 'ready');
    assert.equal(side.backend.queue.concurrency, 2);
    for (let i = 0; i < 6; i++) assert.equal(call().status, 0);
    assert.deepEqual(seen(), [3, 0, 3]);
    stack.settle(instance(2).setState({ kind: 'ready' }));
    for (let i = 0; i < 6; i++) call();
    assert.equal(process(2).requests.length, 2);
  });

  it('calls wait while one still starts, and are refused when all are away', () => {
    for (const i of [1, 3]) instance(i).setState({ kind: 'away', why: 'it is broken' });
    instance(2).setState({ kind: 'starting' });
    const waiting = call();
    assert.equal(waiting.isOver, false);
    stack.settle(instance(2).setState({ kind: 'away', why: 'it is broken too' }));
    assertEnd(waiting, [14, 'model-unavailable']);
    assertEnd(call(), [14, 'model-unavailable']);
  });

  it('a call whose request is complete only after all have gone away is refused as well', () => {
    const { body } = ofSequence(7);
    const slow = call({ body: null });
    stack.settle(slow.data((body as Buffer).subarray(0, 9)));
    for (const i of [1, 2, 3]) instance(i).setState({ kind: 'away', why: 'it is broken' });
    stack.settle(slow.data((body as Buffer).subarray(9)).end());
    assertUnprocessed(slow, [14, 'model-unavailable'], { 'grpc-message': /it is broken/ });
    assert.deepEqual(seen(), [0, 0, 0]);
  });

  it('the end of one process ends its own calls only', () => {
    holdAll();
    for (const { lostCalls } of side.backend.instances) lostCalls.hasSupervisor = true;
    const calls = [call(), call(), call()];
    const struck = calls[seen().indexOf(1)]!;
    stack.settle(process(1).peer.socket.break());
    stack.settle(instance(1).onProcessEnd({ class: EndClass.crashed, how: 'killed by SIGSEGV' }));
    stack.settle(instance(1).setState({ kind: 'away', why: 'killed by SIGSEGV' }));
    const ended = calls.filter(({ isOver }) => isOver);
    assert.equal(ended.length, 1);
    assertEnd(struck, [14, 'model-crashed']);
    for (const i of [2, 3]) stack.settle(process(i).last.reply());
    assert.deepEqual(calls.map(({ status }) => status).sort(), [0, 0, 14]);
  });

  describe('whose calls are idempotent', () => {
    beforeEach(() => {
      side.inbound.state.update(
        anInbound({
          queue: { concurrency: 1, maxWaiting: 8 },
          routes: [{ ...aRoute(), idempotent: true }],
        }),
        side.intentions([{ from: '*', to: '*', action: 'allow' }]),
        [],
      );
      for (const { lostCalls } of side.backend.instances) lostCalls.hasSupervisor = true;
      holdAll();
    });
    const lose = (i: number, how: EndClass): void => {
      stack.settle(process(i).peer.socket.break());
      stack.settle(instance(i).onProcessEnd({ class: how, how: 'killed' }));
      stack.settle(instance(i).setState({ kind: 'away', why: 'killed' }));
    };

    it('a call whose process was killed from outside is sent once more, as it was', () => {
      const one = call({ body: grpcMessage(new MessageWriter().text(1, 'digits').text(3, 'x').finish()) });
      const at = seen().indexOf(1) + 1;
      lose(at, EndClass.ended);
      assert.equal(one.isOver, false);
      const other = seen().findIndex((n, i) => i !== at - 1 && n === 1) + 1;
      assert.deepEqual(process(other).last.body, process(at).last.body);
      lose(other, EndClass.ended);
      assertEnd(one, [14, 'model-crashed']);
      assert.equal(
        seen().reduce((sum, n) => sum + n),
        2,
        'not a third time',
      );
    });

    for (const [what, refuse] of [
      ['resets its stream', (stream: PeerStream) => void stream.reset(ErrorCode.refusedStream)],
      ['says GOAWAY', (stream: PeerStream) => void stream.peer.goaway(0)],
    ] as const)
      it(`a call that was lost with one process is not marked as unprocessed where the next one ${what}`, () => {
        const one = call();
        const at = seen().indexOf(1) + 1;
        lose(at, EndClass.ended);
        const other = seen().findIndex((n, i) => i !== at - 1 && n === 1) + 1;
        stack.settle(refuse(process(other).last));
        assert.deepEqual([one.status, one.resetCode], [14, undefined]);
        assert.equal(one.trailer('outrider-unprocessed'), undefined);
      });

    it('a call that the only process refused is refused as never processed, so that another replica has it', () => {
      const one = call();
      const at = seen().indexOf(1) + 1;
      for (const i of [1, 2, 3]) if (i !== at) instance(i).setState({ kind: 'away', why: 'it is broken' });
      stack.settle(process(at).last.reset(ErrorCode.refusedStream));
      const isMarked =
        one.resetCode === ErrorCode.refusedStream || one.trailer('outrider-unprocessed') === 'true';
      assert.equal(isMarked, true);
    });

    it('a call that may have crashed its process goes nowhere else', () => {
      const one = call();
      lose(seen().indexOf(1) + 1, EndClass.crashed);
      assertEnd(one, [14, 'model-crashed']);
      assert.equal(
        seen().reduce((sum, n) => sum + n),
        1,
      );
    });

    it('the first call of a sequence is sent once more, and the sequence stays where that went', () => {
      const one = call(ofSequence(7));
      const first = seen().indexOf(1) + 1;
      stack.settle(process(first).peer.socket.break());
      stack.settle(instance(first).onProcessEnd({ class: EndClass.ended, how: 'killed' }));
      const second = seen().findIndex((n, i) => i !== first - 1 && n === 1) + 1;
      stack.settle(process(second).last.reply());
      assertEnd(one, [0]);
      // It is back before anything else was called.
      stack.advance(1_000);
      for (let calls = 2; calls <= 4; calls++) {
        const next = call(ofSequence(7));
        assert.equal(process(second).requests.length, calls, String(seen()));
        stack.settle(process(second).last.reply());
        assertEnd(next, [0]);
      }
    });

    it('a later call of a sequence is lost with its process, which alone had the state', () => {
      const one = call(ofSequence(7));
      const first = seen().indexOf(1) + 1;
      stack.settle(process(first).last.reply());
      assertEnd(one, [0]);
      const next = call(ofSequence(7));
      lose(first, EndClass.ended);
      assertEnd(next, [14, 'connection-lost']);
      assert.equal(
        seen().reduce((sum, n) => sum + n),
        2,
      );
    });

    it('a call is lost with the last instance', () => {
      for (const i of [2, 3]) instance(i).setState({ kind: 'away', why: 'killed' });
      const one = call();
      lose(1, EndClass.ended);
      assertEnd(one, [14, 'connection-lost']);
    });
  });

  it('a broken connection is avoided before its process is known to have ended', () => {
    process(1).mode = 'refuses';
    stack.settle(process(1).peer.socket.break());
    for (let i = 0; i < 6; i++) assert.equal(call().status, 0);
    assert.deepEqual(seen(), [0, 3, 3]);
  });

  it('a sequence stays at its instance until it ends, however the others are loaded', () => {
    for (let i = 0; i < 4; i++) assert.equal(call(ofSequence(7)).status, 0);
    const at = seen().indexOf(4) + 1;
    assert.ok(at > 0, `calls of one sequence went to ${seen()}`);
    for (let i = 0; i < 5; i++) call();
    const before = process(at).requests.length;
    call(ofSequence(7, true));
    assert.equal(process(at).requests.length, before + 1, 'its last call too');
  });

  it("the end of a sequence is not that of another caller's with the same id", () => {
    const intentions = ['app', 'other'].map((from) => ({ from, to: 'digits', action: 'allow' }) as const);
    side.inbound.state.setIntentions(side.intentions(intentions), side.listener.sessions);
    const other = stack.app(side.listener, 'other');
    call(ofSequence(7));
    const at = seen().indexOf(1) + 1;
    assert.equal(stack.settle(other.call(ofSequence(7, true))).status, 0);
    const before = process(at).requests.length;
    for (let i = 0; i < 3; i++) call(ofSequence(7));
    assert.equal(process(at).requests.length, before + 3);
  });

  it('sequences are spread over the instances', () => {
    for (let id = 1; id <= 30; id++) call(ofSequence(id));
    assert.deepEqual(seen(), [10, 10, 10]);
  });

  it('a sequence in compressed requests stays as well', () => {
    const { body } = ofSequence(9);
    const bytes = gzipSync((body as Buffer).subarray(5));
    const packed = grpcMessage(bytes, bytes.length, 1);
    for (let i = 0; i < 4; i++) call({ body: packed, metadata: [['grpc-encoding', 'gzip']] });
    assert.ok(seen().includes(4), String(seen()));
  });

  it('a sequence whose instance has gone goes on at another, and stays there when the first is back', () => {
    call(ofSequence(7));
    const first = seen().indexOf(1) + 1;
    instance(first).setState({ kind: 'away', why: 'it was killed' });
    for (let i = 0; i < 3; i++) call(ofSequence(7));
    const second = seen().findIndex((n, i) => i !== first - 1 && n === 3) + 1;
    assert.ok(second > 0, String(seen()));
    stack.settle(instance(first).setState({ kind: 'ready' }));
    call(ofSequence(7));
    assert.equal(process(second).requests.length, 4);
  });
});
