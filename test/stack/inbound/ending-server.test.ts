/** A model server that shuts down answers that it has no such model: that is no answer about the model. */
import assert from 'node:assert/strict';
import { EndClass } from '../../../sidecar/core/health/process-end.js';
import type { ServerLife } from '../../../sidecar/health/model/server-life.js';
import { assertEnd, assertUnprocessed } from '../../kit/stack/call-ends.js';
import { ModelStack, type ModelStackOptions } from '../../kit/stack/model-stack.js';
import { aRoute, type CallOptions, type InboundOptions } from '../../kit/stack/stack.js';

const NO_VERSIONS = "Request for unknown model: 'digits' has no available versions";
const NOT_FOUND = 5;
const LAST_STREAM = 2 ** 31 - 1;

describe('Inbound, where the server of the model shuts down,', () => {
  let stack: ModelStack;
  /** Questions to the server that wait for their answers. */
  let questions: ((life: ServerLife) => void)[];

  const start = (over: InboundOptions = {}, options: ModelStackOptions = {}): void => {
    stack = new ModelStack(over, options);
    questions = [];
    for (const { instances } of stack.side.inbound.state.backends)
      for (const { endingServer } of instances)
        endingServer.ask = (_timeoutMs, onLife) => void questions.push(onLife);
    stack.model.answer = (stream) => stream.fail(NOT_FOUND, [['grpc-message', NO_VERSIONS]]);
  };
  const says = (life: ServerLife): void => {
    const asked = questions.shift();
    assert.ok(asked !== undefined, 'the server is asked');
    stack.settle(asked(life));
  };
  const away = (why: string): void => stack.settle(stack.side.instance.setState({ kind: 'away', why }));
  const call = (options: CallOptions = {}) => stack.call(options);
  const UNAVAILABLE = [14, 'model-unavailable'] as const;

  beforeEach(() => start());

  it('a call that gets NOT_FOUND from a server that says it is ending goes to another replica', () => {
    const moved = call();
    assert.equal(moved.isEnded, false);
    says('ending');
    assertUnprocessed(moved, UNAVAILABLE, { 'grpc-message': /its server is shutting down/ });
  });

  it('the NOT_FOUND of a server that is live stays as it is, with its words', () => {
    const refused = call();
    says('live');
    assertEnd(refused, [NOT_FOUND], {
      'grpc-message': NO_VERSIONS,
      'outrider-unprocessed': undefined,
    });
    assert.equal(stack.side.backend.queue.running, 0);
  });

  it('it stays after 250 ms, or at the deadline, where the server does not say it; then it is not asked for a while', () => {
    const short = call({ timeout: '100m' });
    stack.advance(105);
    assertEnd(short, [NOT_FOUND]);
    const long = call();
    stack.advance(240);
    assert.equal(long.isEnded, false);
    stack.advance(30);
    assertEnd(long, [NOT_FOUND]);
    says('silent');
    assertEnd(call(), [NOT_FOUND]);
    stack.advance(5_100);
    call();
    says('live');
  });

  it('the server is asked again for an answer that came after the question', () => {
    const first = call();
    const second = call();
    assert.equal(questions.length, 1);
    says('live');
    assertEnd(first, [NOT_FOUND]);
    says('ending');
    assertUnprocessed(second, UNAVAILABLE);
  });

  it('a process that ends, or that does not serve any more, while the answer is held is the reason for it', () => {
    const ended = call();
    stack.settle(stack.side.instance.onProcessEnd({ class: EndClass.ended, how: 'ended by SIGTERM' }));
    assertUnprocessed(ended, UNAVAILABLE, { 'grpc-message': /ended by SIGTERM/ });
    const stopped = call();
    away('stopping');
    assertUnprocessed(stopped, UNAVAILABLE, { 'grpc-message': /stopping/ });
  });

  it('an answer that comes from a process which does not serve any more needs no question', () => {
    stack.model.answer = () => {};
    const late = call();
    away('stopping');
    stack.settle(stack.requests[0]!.fail(NOT_FOUND));
    assertUnprocessed(late, UNAVAILABLE);
    assert.equal(questions.length, 0);
  });

  it('a connection that has said GOAWAY is evidence only where the server takes no other', () => {
    const aged = call();
    stack.settle(stack.model.peer.goaway(LAST_STREAM));
    says('silent');
    assertEnd(aged, [NOT_FOUND], { 'outrider-unprocessed': undefined });

    start();
    const gone = call();
    stack.model.mode = 'refuses';
    stack.settle(stack.model.peer.goaway(LAST_STREAM));
    says('silent');
    assertUnprocessed(gone, UNAVAILABLE);
  });

  it('NOT_FOUND of a method that names no model is what the method says, whatever its server does', () => {
    assertEnd(call({ path: '/shop.Items/Get' }), [NOT_FOUND]);
    stack.model.answer = () => {};
    const late = call({ path: '/shop.Items/Get' });
    away('stopping');
    stack.settle(stack.requests.at(-1)!.fail(NOT_FOUND));
    assertEnd(late, [NOT_FOUND]);
    assert.equal(questions.length, 0);
  });

  it('another instance of the model takes the call where it may be repeated', () => {
    start({ routes: [aRoute({ idempotent: true })] }, { instances: 2 });
    const moved = call();
    const reached = stack.requests.length === 1 ? 'model.2' : 'model';
    stack.backend(reached).answer = (stream) => stream.reply();
    says('ending');
    assertEnd(moved, [0]);
  });

  it('a call that is cancelled, or ends at its deadline, is not answered twice', () => {
    const cancelled = call();
    stack.settle(cancelled.reset());
    says('ending');
    assert.equal(stack.side.backend.queue.running, 0);
  });
});
