/** Several versions of one model, which come and go: which of them gets a call. */
import assert from 'node:assert/strict';
import { MessageWriter } from '../../../sidecar/codec/protobuf.js';
import { grpcMessage } from '../../kit/http2/h2-frames.js';
import type { PeerStream } from '../../kit/http2/scripted-peer.js';
import {
  type Application,
  anInbound,
  aRoute,
  aStreamRoute,
  type Backend,
  type CallOptions,
  type InboundStack,
  Stack,
} from '../../kit/stack/stack.js';

const STREAM = '/inference.GRPCInferenceService/ModelStreamInfer';

describe('Scenario: versions of one model', () => {
  let stack: Stack;
  let side: InboundStack;
  let peer: Application;

  beforeEach(() => {
    stack = new Stack();
    side = stack.inbound(
      anInbound({
        queue: { concurrency: 1, maxWaiting: 8 },
        routes: [aStreamRoute({ methods: [STREAM] }), aRoute()],
      }),
      {
        models: ['digits=1', 'digits=10', 'digits=9'],
      },
    );
    for (const version of ['1', '9', '10'])
      server(version).answer = (stream) => stream.reply(Buffer.from(version));
    peer = stack.app(side.listener, 'app');
  });

  const server = (version: string): Backend => stack.backend(`model digits=${version}`);
  const backend = (version: string) => side.inbound.state.backends.find((each) => each.version === version)!;
  const body = (version = ''): Buffer =>
    grpcMessage(new MessageWriter().text(1, 'digits').text(2, version).text(3, 'id').finish());
  const ask = (options: CallOptions): PeerStream => stack.settle(peer.call(options));
  const answerOf = (version?: string): string => ask({ body: body(version) }).body.toString();
  const said = (stream: PeerStream): string => decodeURIComponent(stream.trailer('grpc-message') ?? '');

  it('a call gets the version that it names, and without one the highest, by number', () => {
    assert.deepEqual(['', '1', '9', '10'].map(answerOf), ['10', '1', '9', '10']);
  });

  it('a call without a version gets the highest that is ready', () => {
    backend('10').instances[0]!.setState({ kind: 'away', why: 'it crashed' });
    assert.equal(answerOf(), '9');
    backend('9').instances[0]!.setState({ kind: 'starting' });
    assert.equal(answerOf(), '1');
    assert.equal(ask({ body: body('10') }).reason, 'model-not-ready');
  });

  it('a version that is held back gets no call, and is not known by its name', () => {
    backend('10').share = 0;
    assert.equal(answerOf(), '9');
    assert.match(said(ask({ body: body('10') })), /version 10 is not found; served: 1, 9$/);
    backend('10').share = 1;
    assert.equal(answerOf(), '10');
  });

  it('a version that is tried out gets its share of the calls that name none and belong to no sequence', () => {
    backend('9').share = 0.25;
    const answers = Array.from({ length: 200 }, () => answerOf());
    const tried = answers.filter((each) => each === '9').length;
    assert.ok(tried > 25 && tried < 75, `${tried} of 200`);
    assert.equal(answers.length - tried, answers.filter((each) => each === '10').length);
    assert.equal(answerOf('9'), '9');
    const name = new MessageWriter().text(1, 'sequence_id').message(2, new MessageWriter().text(3, 'a'));
    const sequence = grpcMessage(new MessageWriter().text(1, 'digits').message(4, name).finish());
    for (let i = 0; i < 40; i++) assert.equal(ask({ body: sequence }).body.toString(), '10');
    backend('9').instances[0]!.setState({ kind: 'starting' });
    for (let i = 0; i < 40; i++) assert.equal(answerOf(), '10', 'one that is not ready is not tried');
  });

  it('a version on standby gets calls only while the one that has taken over is not ready', () => {
    backend('10').isStandby = true;
    assert.equal(answerOf(), '9');
    for (const each of ['9', '1']) backend(each).instances[0]!.setState({ kind: 'away', why: 'it crashed' });
    assert.equal(answerOf(), '10');
  });

  it('a version that is not there is NOT_FOUND, with those that are', () => {
    const call = ask({ body: body('7') });
    assert.deepEqual([call.status, call.reason], [5, 'unknown-model']);
    assert.equal(said(call), "Request for unknown model: 'digits' version 7 is not found; served: 1, 9, 10");
  });

  it('a stream stays with its version, and one that names another ends with the reason', () => {
    const stream = ask({ path: STREAM, body: null });
    for (const version of ['', '10', '']) stack.settle(stream.data(body(version)));
    assert.equal(stream.status, -1, 'it goes on');
    stack.settle(stream.data(body('9')));
    assert.deepEqual([stream.status, stream.reason], [12, 'other-model']);
    assert.match(said(stream), /began with the model 'digits', and a later message names 'digits version 9'/);
    assert.deepEqual(
      ['9', '10'].map((version) => server(version).requests.length),
      [0, 1],
    );
  });

  it('a version that retires gets no new call, and finishes those that run or wait', () => {
    server('10').answer = () => {};
    const calls = [ask({ body: body() }), ask({ body: body() })];
    let isIdle = false;
    backend('10').retire();
    backend('10').whenIdle(() => {
      isIdle = true;
    });
    assert.equal(answerOf(), '9');
    assert.equal(ask({ body: body('10') }).status, 5);
    assert.equal(isIdle, false);
    for (const call of calls) {
      stack.settle(server('10').last.reply(Buffer.from('late')));
      assert.equal(call.body.toString(), 'late');
    }
    assert.equal(isIdle, true);
  });

  it('a call whose request is still coming when its version retires goes to the one that has taken over', () => {
    const whole = body();
    const call = ask({ body: null });
    stack.settle(call.data(whole.subarray(0, 16)));
    backend('10').retire();
    stack.settle(call.data(whole.subarray(16)).end());
    assert.deepEqual([call.status, call.body.toString()], [0, '9']);
    assert.equal(server('10').requests.length, 0);
  });

  it('a version that is gone is not found, and its counts stay', () => {
    answerOf('9');
    backend('9').retire();
    side.inbound.state.removeModel(backend('9'));
    assert.equal(ask({ body: body('9') }).status, 5);
    assert.equal(side.inbound.state.ended.of('digits', '9').admittedTotal, 1);
  });
});
