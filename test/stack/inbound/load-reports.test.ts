/** Callers are told of the load: in trailers where they are to be, and by streams of reports. */
import assert from 'node:assert/strict';
import {
  LoadReport,
  loadStreamRequest,
  OwnMetric,
  readLoadReport,
  STREAM_CORE_METRICS,
  WATCHES_LOAD,
} from '../../../sidecar/codec/orca.js';
import {
  BINARY_REPORT,
  readReportValue,
  TEXT_REPORT,
  writeReportValue,
} from '../../../sidecar/codec/orca-metadata.js';
import { ErrorCode, Flag, grpcMessage } from '../../kit/http2/h2-frames.js';
import type { PeerStream } from '../../kit/http2/scripted-peer.js';
import { assertEnd } from '../../kit/stack/call-ends.js';
import { metricsIn } from '../../kit/stack/metrics.js';
import { ModelStack } from '../../kit/stack/model-stack.js';
import { aStreamRoute, type InboundOptions } from '../../kit/stack/stack.js';

const DEFAULTS = { trailers: false, outOfBand: true };

const noFault = (fault: string): void => assert.fail(fault);

/** The report in the trailers of a call; undefined: there is none. */
function trailerOf(stream: PeerStream): LoadReport | undefined {
  const value = stream.trailer(BINARY_REPORT);
  return value === undefined ? undefined : readReportValue(value, noFault);
}

/** The reports that have come on a stream. */
function reportsOn(stream: PeerStream): LoadReport[] {
  const reports: LoadReport[] = [];
  for (let { body } = stream; body.length > 0; ) {
    const length = body.readUInt32BE(1);
    reports.push(readLoadReport(body.subarray(5, 5 + length), noFault)!);
    body = body.subarray(5 + length);
  }
  return reports;
}

describe('Load reports, inbound,', () => {
  let stack: ModelStack;
  const start = (over: Partial<typeof DEFAULTS> = {}, rest: InboundOptions = {}): void => {
    stack = new ModelStack({ queue: { concurrency: 2 }, loadReport: { ...DEFAULTS, ...over }, ...rest });
  };

  /** Opens a stream of reports. */
  const ask = (intervalMs: number, over: { watches?: boolean; from?: typeof stack.peer } = {}): PeerStream =>
    stack.call(
      {
        path: STREAM_CORE_METRICS,
        body: grpcMessage(loadStreamRequest(intervalMs)),
        metadata: over.watches === true ? [[WATCHES_LOAD, '1']] : [],
      },
      over.from ?? stack.peer,
    );

  it('a plain caller gets none in its trailers, unless all are to', () => {
    start();
    stack.model.answer = (stream) => stream.reply();
    assert.equal(trailerOf(stack.call()), undefined);
    stack.reload({ queue: { concurrency: 2 }, loadReport: { ...DEFAULTS, trailers: true } });
    for (let i = 0; i < 3; i += 1) assert.ok(trailerOf(stack.call()), 'every answer has one');
  });

  it('says how many calls run and wait, of those that may run, without the one that ends', () => {
    start({ trailers: true });
    const calls = Array.from({ length: 5 }, () => stack.call());
    assert.equal(stack.requests.length, 2);
    stack.settle(stack.requests[0]!.reply());
    const { named, applicationUtilization } = trailerOf(calls[0]!)!;
    assert.equal(named.get(OwnMetric.calls), 4);
    assert.equal(named.get(OwnMetric.concurrency), 2);
    assert.equal(applicationUtilization, 2);
  });

  it('says at once that a place has become free, in the trailers of a call that was counted as waiting', () => {
    start({ trailers: true }, { queue: { concurrency: 1 } });
    const calls = [stack.call(), stack.call()];
    stack.advance(20);
    const ends = calls.map((call) => {
      stack.settle(stack.requests.at(-1)!.reply());
      stack.advance(3);
      return trailerOf(call)!.named.get(OwnMetric.calls);
    });
    assert.deepEqual(ends, [1, 0]);
  });

  it('does not count a call that ends as one that runs for long', () => {
    start({ trailers: true }, { queue: { concurrency: 1 } });
    const end = (call: PeerStream): (number | undefined)[] => {
      stack.settle(stack.requests.at(-1)!.reply());
      const { named } = trailerOf(call)!;
      return [named.get(OwnMetric.calls), named.get(OwnMetric.longCalls)];
    };
    for (let i = 0; i < 10; i += 1) {
      const call = stack.call();
      stack.advance(20);
      assert.deepEqual(end(call), [0, undefined]);
    }
    const [long, next] = [stack.call(), stack.call()];
    stack.advance(1_000);
    assert.deepEqual(end(long), [1, undefined]);
    stack.advance(20);
    assert.deepEqual(end(next), [0, undefined]);
  });

  it('names the load of each model where there are several', () => {
    stack = new ModelStack(
      { queue: { concurrency: 2 }, loadReport: { ...DEFAULTS } },
      { models: ['digits', 'letters'] },
    );
    const stream = ask(1_000);
    const { queue } = stack.side.inbound.state.backends[1]!;
    queue.running = 3;
    stack.advance(1_050);
    queue.running = 0;
    const models = reportsOn(stream).map(({ named }) =>
      ['digits', 'letters'].map((name) => named.get(`outrider.utilization.${name}`)),
    );
    assert.deepEqual(models, [
      [0, 0],
      [0, 1.5],
    ]);
  });

  it('tells a sidecar that watches of the first call early, too', () => {
    start();
    const watch = ask(1_000, { watches: true });
    stack.advance(1_100);
    const call = stack.call();
    stack.advance(300);
    assert.equal(reportsOn(watch).at(-1)!.named.get(OwnMetric.calls), 1);
    stack.settle(stack.requests[0]!.reply());
    assert.equal(call.status, 0);
  });

  it('names the open streams on which nothing moves, and tells a sidecar that watches when one begins to', () => {
    start({}, { routes: [aStreamRoute()] });
    const watch = ask(1_000, { watches: true });
    const talk = stack.call({ body: null });
    stack.settle(talk.data(grpcMessage(Buffer.from('a'))));
    const last = (): (number | undefined)[] => {
      const { named } = reportsOn(watch).at(-1)!;
      return [named.get(OwnMetric.calls), named.get(OwnMetric.idleStreams)];
    };
    stack.advance(900);
    assert.deepEqual(last(), [1, undefined]);
    stack.advance(400);
    assert.deepEqual(last(), [0, 1]);
    stack.settle(talk.data(grpcMessage(Buffer.from('b'))));
    stack.advance(300);
    assert.deepEqual(last(), [1, undefined]);
    stack.settle(stack.requests[0]!.reply());
  });

  it('comes at the interval that a stream asks for, and not below the bound', () => {
    start();
    const second = ask(1_000);
    const eager = ask(1);
    assert.deepEqual(
      [second, eager].map((each) => reportsOn(each).length),
      [1, 1],
      'the first one at once',
    );
    stack.advance(3_050);
    assert.equal(reportsOn(second).length, 4);
    const count = reportsOn(eager).length;
    assert.ok(count >= 29 && count <= 32, `${count}`);
    const usual = ask(0);
    stack.advance(29_000);
    assert.equal(reportsOn(usual).length, 1, 'without an interval every 30 s');
  });

  it('tells a sidecar that watches of a change early, and in the trailers of its calls, each report once', () => {
    start();
    const stock = ask(1_000);
    const watch = ask(1_000, { watches: true });
    const call = stack.call();
    stack.advance(1_050);
    const calls = (): unknown[] => reportsOn(watch).map(({ named }) => named.get(OwnMetric.calls) ?? 0);
    assert.deepEqual(calls(), [0, 1]);
    const other = stack.call();
    stack.advance(300);
    assert.deepEqual(calls(), [0, 1, 2]);
    assert.equal(reportsOn(stock).length, 2);
    for (const each of stack.requests) each.reply();
    stack.run();
    assert.deepEqual(
      [call, other].map((each) => trailerOf(each) !== undefined),
      [true, false],
    );
    stack.model.answer = (stream) => stream.reply();
    const elsewhere = stack.caller('app');
    stack.advance(20);
    assert.equal(trailerOf(stack.call({}, elsewhere)), undefined, 'another connection, which does not watch');
    assert.ok(trailerOf(stack.call()));
    stack.settle(watch.reset(ErrorCode.cancel));
    stack.advance(20);
    assert.equal(trailerOf(stack.call()), undefined, 'nor one that watches no more');
  });

  it('is for callers that may call, as long as they may', () => {
    start();
    assertEnd(ask(1_000, { from: stack.caller('other') }), [7, 'not-allowed']);
    assertEnd(ask(1_000, { from: stack.caller() }), [16, 'no-identity']);
    const stream = ask(1_000);
    stack.advance(500);
    stack.reload({ intentions: [], loadReport: DEFAULTS });
    stack.advance(1_000);
    assertEnd(stream, [7, 'not-allowed']);
    assert.equal(stack.side.inbound.state.loadStreams.size, 0);
  });

  /** As many as one caller may have, over as many connections as they need. */
  const streamsOf = (service: string): PeerStream[] =>
    Array.from({ length: 8 }, () => stack.caller(service)).flatMap((from) =>
      Array.from({ length: 64 }, () => ask(1_000, { from })),
    );

  it('streams are bounded, and one that ends makes room', () => {
    const intentions = ['app', 'other', 'third'].map(
      (from) => ({ from, to: 'digits', action: 'allow' }) as const,
    );
    start({}, { intentions });
    const [first] = streamsOf('app');
    const own = /app: it has 512 streams of load reports, the most that one caller/;
    assertEnd(ask(1_000), [8, 'too-many-streams'], {
      'grpc-message': own,
      'outrider-unprocessed': undefined,
    });
    const others = streamsOf('other');
    assert.ok(
      others.every(({ isOver }) => !isOver),
      'one caller leaves room for others',
    );
    assertEnd(ask(1_000, { from: stack.caller('third') }), [8, 'too-many-streams'], {
      'grpc-message': /1024 streams of load reports are open, the most of all callers/,
    });
    stack.settle(first!.reset(ErrorCode.cancel));
    assert.equal(ask(1_000).isOver, false);
    const counted = metricsIn(stack, { inbound: stack.side.inbound.state });
    const value = (name: string): number => {
      const found = counted.find((each) => each.name === name)!;
      return found.kind === 'histogram' ? -1 : found.samples[0]!.value;
    };
    assert.deepEqual(['outrider_load_streams', 'outrider_load_streams_refused_total'].map(value), [1_024, 2]);
  });

  for (const [what, body] of [
    ['nothing', Buffer.alloc(0)],
    ['a message that is cut off', Buffer.from('000000000a', 'hex')],
    ['a compressed message', Buffer.from('0100000000', 'hex')],
    ['bytes that are no message', grpcMessage(Buffer.from('ffff', 'hex'))],
    ['16 KiB', Buffer.alloc(16 * 1024)],
  ] as const)
    it(`a request with ${what} gets INVALID_ARGUMENT`, () => {
      start();
      assertEnd(stack.call({ path: STREAM_CORE_METRICS, body }), [3, 'repository']);
      assert.equal(stack.side.inbound.state.loadStreams.size, 0);
    });

  it('a drain ends the streams, so that it waits for calls alone', () => {
    start();
    const stream = ask(30_000);
    void stack.side.listener.drain();
    stack.advance(1_100);
    assertEnd(stream, [14, 'draining']);
    stack.advance(5_000);
    assert.equal(stack.side.listener.sessions.size, 0);
  });

  it('a stream that is ended for the memory that its connection holds keeps no place', () => {
    start();
    const streams = [ask(1_000), ask(1_000, { watches: true })];
    const [session] = stack.side.listener.sessions;
    for (const stream of session!.connection.state.table.all()) session!.memory.endStream(stream);
    stack.run();
    assert.deepEqual(
      streams.map(({ resetCode }) => resetCode),
      [ErrorCode.enhanceYourCalm, ErrorCode.enhanceYourCalm],
    );
    assert.deepEqual([stack.side.inbound.state.loadStreams.size, session!.isToldLoad], [0, false]);
  });

  /** A stream whose request does not end. */
  const askOpen = (): PeerStream => stack.call({ path: STREAM_CORE_METRICS, body: null });

  it('a drain and changed intentions also end a stream whose request has not come', () => {
    start();
    const drained = askOpen();
    void stack.side.listener.drain();
    stack.advance(1_100);
    assertEnd(drained, [14, 'draining']);
    start();
    const refused = askOpen();
    stack.reload({ intentions: [], loadReport: DEFAULTS });
    stack.advance(1_100);
    assertEnd(refused, [7, 'not-allowed']);
  });

  it('a request that does not end in ten seconds keeps no place; one that does gets its reports', () => {
    start();
    const [late, never] = [askOpen(), askOpen()];
    stack.advance(9_000);
    assert.deepEqual([late!.isOver, never!.isOver], [false, false]);
    stack.settle(late!.data(grpcMessage(loadStreamRequest(1_000)), Flag.endStream));
    stack.advance(3_050);
    assertEnd(never!, [3, 'repository']);
    assert.equal(reportsOn(late!).length, 4);
    assert.equal(stack.side.inbound.state.loadStreams.size, 1);
  });

  it('a caller that does not read gets the next report, and no heap of them', () => {
    start();
    const slow = stack.caller('app', { settings: [[4, 0]] });
    const stream = ask(100, { from: slow });
    stack.advance(60_000);
    assert.equal(stream.bytes, 0);
    assert.ok(stack.context.memory.waiting.bytes < 16 * 1024, `${stack.context.memory.waiting.bytes}`);
  });

  it('what the model reports is added, ours counts for the queue, and none goes on as it was', () => {
    start({ trailers: true });
    const said = new LoadReport();
    Object.assign(said, { cpuUtilization: 0.75, memUtilization: 0.5, applicationUtilization: 99, rps: 1e6 });
    said.named.set('gpu_memory', 0.25).set(OwnMetric.calls, 99);
    said.utilization.set('gpu', 0.5);
    stack.model.answer = (stream) =>
      stream.reply(undefined, 0, [
        [BINARY_REPORT, writeReportValue(said)],
        ['x-own', 'stays'],
      ]);
    const call = stack.call();
    assert.equal(call.trailer('x-own'), 'stays');
    assert.equal(call.lists.at(-1)!.filter(([name]) => name === BINARY_REPORT).length, 1);
    const report = trailerOf(call)!;
    assert.deepEqual(
      [report.cpuUtilization, report.memUtilization, report.utilization.get('gpu')],
      [0.75, 0.5, 0.5],
    );
    assert.deepEqual([report.named.get('gpu_memory'), report.named.get(OwnMetric.calls)], [0.25, 0]);
    assert.ok(report.applicationUtilization! < 1 && report.rps! < 100);
  });

  it("what is wrong in the model's report is counted, and fails no call", () => {
    start();
    const replies = [
      [[TEXT_REPORT, 'TEXT cpu_utilization=NaN']],
      [[BINARY_REPORT, '!!!']],
      [
        [BINARY_REPORT, ''],
        [TEXT_REPORT, 'JSON {}'],
      ],
    ] as const;
    for (const fields of replies) {
      stack.model.answer = (stream) => stream.reply(undefined, 0, fields);
      stack.advance(200);
      const call = stack.call();
      assert.equal(call.status, 0);
      for (const name of [BINARY_REPORT, TEXT_REPORT]) assert.equal(call.trailer(name), undefined);
    }
    const { faults } = stack.side.inbound.state.load;
    assert.deepEqual([faults['not-finite'], faults.unreadable, faults['two-formats']], [1, 1, 1]);
  });

  it('goes to the model where the sidecar is not to answer', () => {
    start({ outOfBand: false });
    ask(1_000);
    assert.equal(stack.requests.length, 1);
  });
});
