/** An engine is asked for its load each second, over a real socket and on a manual clock. */
import assert from 'node:assert/strict';
import { join } from 'node:path';
import { EngineLoads } from '../../../sidecar/app/engine-loads.js';
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

describe('EngineLoads', () => {
  let stack: Stack;
  let heard: number[];
  let calls: AskedCall[];
  let loads: EngineLoads;

  const serve = async (answer: (call: AskedCall) => void): Promise<void> => {
    stack = new Stack();
    heard = [];
    calls = [];
    const path = join(scratchForTest().path, 's');
    await serveOnSocket(path, (call) => {
      calls.push(call);
      answer(call);
    });
    const onLoad = ({ running }: { running: number }): void => void heard.push(running);
    loads = new EngineLoads({ kind: 'unix', path }, VLLM.loads!, anAppContext(stack), onLoad);
    afterTest(() => loads.stop());
    loads.update(true);
  };
  const says = ({ stream }: AskedCall): void =>
    respond(
      stream,
      prefixed(new MessageWriter().message(4, new MessageWriter().number(2, calls.length)).finish()),
    );
  const isWaiting = (): Promise<void> => until('it waits', () => stack.clock.pending() === 1);

  it('asks each second while it serves, and then not', async () => {
    await serve(says);
    for (let second = 1; second <= 3; second++) {
      await until('it is heard', () => heard.length === second);
      await isWaiting();
      stack.clock.advance(1_000);
    }
    await until('it is heard', () => heard.length === 4);
    assert.deepEqual(heard, [1, 2, 3, 4]);
    assert.equal(calls[0]!.headers[':path'], '/vllm.grpc.engine.VllmEngine/GetLoads');
    await isWaiting();
    loads.update(false);
    stack.clock.advance(60_000);
    assert.deepEqual([calls.length, stack.clock.pending()], [4, 0]);
    loads.update(true);
    await until('it is heard again', () => heard.length === 5);
  });

  it('does not ask again one that does not know the question, until it starts anew', async () => {
    await serve(({ stream }) => respondStatus(stream, 12));
    await until('it is asked', () => calls.length === 1);
    await until('nothing waits', () => stack.clock.pending() === 0);
    stack.clock.advance(60_000);
    assert.deepEqual([calls.length, heard], [1, []]);
    loads.update(false);
    loads.update(true);
    await until('it is asked', () => calls.length === 2);
  });

  it('goes on after an answer that does not come, or says nothing', async () => {
    await serve((call) => {
      if (calls.length === 2) respond(call.stream, prefixed(Buffer.alloc(0)));
      else if (calls.length > 2) says(call);
    });
    await until('it is heard', () => {
      // Slow enough for the socket: a question is answered within forty turns of the event loop.
      stack.clock.advance(50);
      return heard.length > 0;
    });
    assert.ok(heard[0]! >= 3, `${heard}`);
  });
});
