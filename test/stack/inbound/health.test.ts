/** Peers ask the inbound side how its model is: what is known is answered here, what is not, by the model. */
import assert from 'node:assert/strict';
import { healthQuestion } from '../../../sidecar/codec/health.js';
import { HealthResponder } from '../../../sidecar/health/model/responder.js';
import { Flag } from '../../kit/http2/h2-frames.js';
import type { PeerStream } from '../../kit/http2/scripted-peer.js';
import { assertEnd } from '../../kit/stack/call-ends.js';
import { ModelStack } from '../../kit/stack/model-stack.js';

const CHECK = '/grpc.health.v1.Health/Check';
const WATCH = '/grpc.health.v1.Health/Watch';
const SERVING = '00000000020801';
const NOT_SERVING = '00000000020802';

describe('Questions about health, inbound,', () => {
  let stack: ModelStack;
  let known: Record<string, boolean | undefined>;

  beforeEach(() => {
    stack = new ModelStack({ queue: { concurrency: 1, maxWaiting: 1 } });
    known = { '': true, digits: true };
    stack.side.inbound.health = new HealthResponder((service) => known[service]);
    stack.model.answer = (stream) => stream.reply(Buffer.from('the model'));
  });

  const ask = (service: string, path = CHECK, from = stack.peer): PeerStream =>
    stack.call({ path, body: healthQuestion(service) }, from);
  const answer = (service: string): string => ask(service).body.toString('hex');

  it('a health check is answered from what is known, and the model is not asked', () => {
    for (const service of ['', 'digits']) {
      const asked = ask(service);
      assert.deepEqual([asked.status, asked.body.toString('hex')], [0, SERVING]);
      assert.equal(asked.header('content-type'), 'application/grpc');
    }
    known['digits'] = false;
    assert.deepEqual([answer('digits'), stack.requests.length], [NOT_SERVING, 0]);
    const tally = stack.context.stats.calls.reduce((sum, { started }) => sum + started, 0);
    assert.equal(tally, 3, 'they are calls of peers like others');
  });

  it('a health check goes to the model where nothing is known, where it is a Watch, and where it cannot be read', () => {
    assert.equal(ask('letters').body.toString(), 'the model');
    assert.equal(ask('digits', WATCH).body.toString(), 'the model');
    const odd = stack.peer.call({ path: CHECK, body: Buffer.from([1, 0, 0, 0, 0]) });
    const empty = stack.peer.call({ path: CHECK, body: Buffer.alloc(0) });
    const large = stack.call({ path: CHECK, body: Buffer.alloc(40_000, 1) });
    for (const each of [odd, empty, large]) assert.equal(each.body.toString(), 'the model');
    assert.deepEqual(
      stack.requests.map(({ body }) => body.length),
      [healthQuestion('letters').length, healthQuestion('digits').length, 5, 0, 40_000],
    );
  });

  it('a health check is answered however its octets are split', () => {
    const asked = stack.peer.call({ path: CHECK, body: null });
    const bytes = healthQuestion('digits');
    for (let i = 0; i < bytes.length; i++) {
      stack.settle(asked.data(bytes.subarray(i, i + 1), i === bytes.length - 1 ? Flag.endStream : 0));
    }
    assert.equal(asked.body.toString('hex'), SERVING);
    const begun = stack.peer.call({ path: CHECK, body: null, timeout: '1S' });
    stack.advance(1100);
    assert.equal(begun.status, 4, 'a question that is never asked');
  });

  it('a health check is answered while the model is busy, without the queue', () => {
    stack.model.answer = () => {};
    const calls = [stack.peer.call(), stack.peer.call()];
    stack.run();
    assert.equal(answer(''), SERVING);
    for (const each of stack.requests) each.reply();
    stack.run();
    for (const each of stack.requests) if (each.lists.length > 0 && each.chunks.length > 0) each.reply();
    stack.advance(20_000);
    assert.ok(calls.every(({ isOver }) => isOver));
  });

  it('a health check is answered while the model is away or starts', () => {
    known[''] = false;
    stack.side.instance.setState({ kind: 'away', why: 'it crashed' });
    assert.equal(answer(''), NOT_SERVING);
    assertEnd(ask('letters'), [14, 'model-unavailable']);
    stack.side.instance.setState({ kind: 'starting' });
    assert.equal(answer(''), NOT_SERVING);
  });

  it('a health check needs an intention like any other call', () => {
    assertEnd(ask('', CHECK, stack.caller('stranger')), [7, 'not-allowed']);
  });
});
