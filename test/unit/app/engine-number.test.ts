/** An engine is asked how many requests it runs at once, over a real socket and on a manual clock. */
import assert from 'node:assert/strict';
import { join } from 'node:path';
import { EngineNumber } from '../../../sidecar/app/engine-number.js';
import { VLLM } from '../../../sidecar/codec/engines/vllm.js';
import { MessageWriter } from '../../../sidecar/codec/protobuf.js';
import { afterTest } from '../../kit/mocha/after-test.js';
import { scratchForTest } from '../../kit/mocha/scratch.js';
import {
  type AskedCall,
  prefixed,
  respond,
  respondStatus,
  serveOnSocket,
} from '../../kit/service/socket-server.js';
import { anAppContext } from '../../kit/stack/app-context.js';
import { until } from '../../kit/stack/sidecar-in-memory.js';
import { Stack } from '../../kit/stack/stack.js';

describe('EngineNumber', () => {
  let stack: Stack;
  let heard: number[];
  let calls: AskedCall[];
  let slots: EngineNumber;

  const serve = async (answer: (call: AskedCall) => void): Promise<void> => {
    stack = new Stack();
    heard = [];
    calls = [];
    const path = join(scratchForTest().path, 's');
    await serveOnSocket(path, (call) => {
      calls.push(call);
      answer(call);
    });
    const onAnswer = (count: number): void => void heard.push(count);
    slots = new EngineNumber({ kind: 'unix', path }, VLLM.slots!, anAppContext(stack), onAnswer);
    afterTest(() => slots.stop());
    slots.update(true);
  };
  const says = (count: number) => (call: AskedCall) =>
    respond(call.stream, prefixed(new MessageWriter().number(20, count).finish()));

  it('asks at each start, and no more often', async () => {
    await serve((call) => says(8 * calls.length)(call));
    await until('it is heard', () => heard.length === 1);
    assert.equal(calls[0]!.headers[':path'], '/vllm.grpc.engine.VllmEngine/GetServerInfo');
    slots.update(true);
    slots.update(false);
    stack.clock.advance(3_600_000);
    assert.deepEqual(heard, [8]);
    slots.update(true);
    await until('it is heard again', () => heard.length === 2);
    assert.deepEqual(heard, [8, 16]);
  });

  it('takes an engine of before, which does not know the method, at its word', async () => {
    await serve((call) => respondStatus(call.stream, 12));
    await until('it is heard', () => heard.length === 1);
    assert.deepEqual([heard, stack.clock.pending()], [[0], 0]);
  });

  it('asks an engine that does not answer, or fails, five times, and then once a minute until it does', async () => {
    await serve((call) => {
      if (calls.length === 2) respondStatus(call.stream, 14);
      if (calls.length === 7) says(30)(call);
    });
    await until('it gives up for now', () => {
      // Slow enough for the socket: a question is there within forty turns of the event loop.
      stack.clock.advance(50);
      return heard.length === 1;
    });
    assert.deepEqual([heard, calls.length], [[0], 5]);
    stack.clock.advance(59_999);
    assert.equal(calls.length, 5);
    await until('it answers', () => {
      stack.clock.advance(50);
      return heard.length === 2;
    });
    assert.deepEqual([heard, calls.length, stack.clock.pending()], [[0, 30], 7, 0]);
  });

  it('keeps the number of before while an engine that has started again does not answer', async () => {
    await serve((call) => {
      if (calls.length === 1 || calls.length === 8) says(8 * calls.length)(call);
      else respondStatus(call.stream, 14);
    });
    await until('it is heard', () => heard.length === 1);
    slots.update(false);
    slots.update(true);
    await until('it answers', () => {
      stack.clock.advance(50);
      return heard.length === 2;
    });
    assert.deepEqual([heard, calls.length], [[8, 64], 8]);
  });

  it('believes an engine that says after a start that it does not know the method', async () => {
    await serve((call) => (calls.length === 1 ? says(8)(call) : respondStatus(call.stream, 12)));
    await until('it is heard', () => heard.length === 1);
    slots.update(false);
    slots.update(true);
    await until('it is heard again', () => heard.length === 2);
    assert.deepEqual([heard, stack.clock.pending()], [[8, 0], 0]);
  });
});
