/** The model's process ends while calls run in it: what they are told depends on how it ended. */
import assert from 'node:assert/strict';
import { EndClass } from '../../../sidecar/core/health/process-end.js';
import type { PeerStream } from '../../kit/http2/scripted-peer.js';
import { assertEnd } from '../../kit/stack/call-ends.js';
import { ModelStack } from '../../kit/stack/model-stack.js';

describe('Inbound, when the process of the model ends', () => {
  let stack: ModelStack;

  beforeEach(() => {
    stack = new ModelStack();
    stack.side.instance.lostCalls.hasSupervisor = true;
  });

  const running = (): PeerStream => {
    const call = stack.call();
    assert.ok(stack.requests.length > 0);
    return call;
  };
  const breakConnection = (): void => void stack.settle(stack.model.peer.socket.break());
  const end = (of: EndClass, how = 'killed by SIGSEGV'): void =>
    stack.settle(stack.side.instance.onProcessEnd({ class: of, how }));

  for (const of of [EndClass.crashed, EndClass.killedBusy]) {
    it(`a call in a process that is ${of} gets model-crashed, and is not marked as unprocessed`, () => {
      const call = running();
      breakConnection();
      stack.advance(200);
      assert.equal(call.isEnded, false, 'the end of the process is waited for');
      end(of);
      assertEnd(call, [14, 'model-crashed']);
      assert.equal(call.trailer('outrider-unprocessed'), undefined);
      assert.match(call.trailer('grpc-message')!, /ended while the call ran in it: killed by SIGSEGV/);
    });
  }

  for (const of of [EndClass.ended, EndClass.killedFrozen]) {
    it(`a process that is ${of} implicates no call`, () => {
      const call = running();
      breakConnection();
      end(of);
      assertEnd(call, [14, 'connection-lost']);
    });
  }

  it('the end of the process may be reported before the loss of the connection is seen', () => {
    const call = running();
    end(EndClass.crashed);
    stack.side.instance.setState({ kind: 'away', why: 'killed by SIGSEGV' });
    breakConnection();
    assertEnd(call, [14, 'model-crashed']);
  });

  it('an end of the process longer ago is not blamed for a connection that is lost', () => {
    end(EndClass.crashed);
    stack.advance(300);
    const call = running();
    breakConnection();
    stack.advance(300);
    assertEnd(call, [14, 'connection-lost']);
  });

  it('a call waits for the end of the process for 250 ms at most', () => {
    const call = running();
    breakConnection();
    stack.advance(240);
    assert.equal(call.isEnded, false);
    stack.advance(40);
    assertEnd(call, [14, 'connection-lost']);
    end(EndClass.crashed);
  });

  it('a call waits for the end of the process neither beyond its deadline nor after it is cancelled', () => {
    const short = stack.peer.call({ metadata: [['grpc-timeout', '100m']] });
    const cancelled = stack.call();
    breakConnection();
    cancelled.reset();
    stack.advance(120);
    assert.equal(short.status, 4);
    end(EndClass.crashed);
    assertEnd(short, [4, 'deadline-exceeded']);
  });

  it('a call to a model without a supervisor does not wait for the end of the process', () => {
    stack.side.instance.lostCalls.hasSupervisor = false;
    const call = running();
    breakConnection();
    assertEnd(call, [14, 'connection-lost']);
  });
});
