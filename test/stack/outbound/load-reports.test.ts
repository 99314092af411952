/** Endpoints are asked for their load, and what they say counts for the choice and goes no further. */
import assert from 'node:assert/strict';
import {
  LoadReport,
  OwnMetric,
  readLoadStreamRequest,
  STREAM_CORE_METRICS,
  writeLoadReport,
} from '../../../sidecar/codec/orca.js';
import { BINARY_REPORT, TEXT_REPORT, writeReportValue } from '../../../sidecar/codec/orca-metadata.js';
import { MessageWriter } from '../../../sidecar/codec/protobuf.js';
import { ChunkList } from '../../../sidecar/transport/chunk-list.js';
import { grpcMessage } from '../../kit/http2/h2-frames.js';
import type { PeerStream } from '../../kit/http2/scripted-peer.js';
import { afterTest } from '../../kit/mocha/after-test.js';
import { UpstreamStack } from '../../kit/scenario/upstream-stack.js';
import type { UpstreamOptions } from '../../kit/stack/stack.js';

const isWatch = (stream: PeerStream): boolean => stream.header(':path') === STREAM_CORE_METRICS;

function aReport(calls: number, concurrency = 4): LoadReport {
  const report = new LoadReport();
  report.named
    .set(OwnMetric.calls, calls)
    .set(OwnMetric.concurrency, concurrency)
    .set(OwnMetric.runSeconds, 10);
  return report;
}

/** A field that no report has. */
const unknownField = (bytes: number): Buffer =>
  Buffer.from(new MessageWriter().bytes(100, Buffer.alloc(bytes)).finish());

const message = (report: LoadReport): Buffer => grpcMessage(writeLoadReport(report));

describe('Load reports, outbound,', () => {
  let stack: UpstreamStack;
  const start = (over: UpstreamOptions = {}): void => {
    stack = new UpstreamStack(['a', 'b'], {
      balance: { kind: 'least-loaded' },
      loadReports: { intervalMs: 1000, forward: false },
      ...over,
    });
    stack.advance(1_500);
  };

  /** The streams of reports that endpoints were asked for. */
  const watches = (name: string): PeerStream[] => stack.backend(name).requests.filter(isWatch);
  const says = (name: string, calls: number): void =>
    void stack.settle(
      watches(name)
        .at(-1)!
        .data(message(aReport(calls))),
    );
  const endpoint = (name: string) => stack.out.cluster.endpoints.find(({ label }) => label === `${name}:1`)!;
  const call = (): PeerStream => stack.settle(stack.caller.call());
  const calls = (name: string): PeerStream[] => stack.backend(name).requests.filter((each) => !isWatch(each));
  /** Nothing is asked while there are no calls: one a second, each of them answered. */
  const busyFor = (ms: number): void => {
    for (let passed = 0; passed < ms; passed += 1_000) {
      call();
      for (const each of ['a', 'b'].flatMap(calls)) if (!each.isOver) stack.settle(each.reply());
      stack.advance(1_000);
    }
  };
  const faults = () => stack.out.cluster.reports.faults;

  it('each endpoint is asked once, on the connection of its calls', () => {
    start();
    for (const name of ['a', 'b']) {
      assert.equal(watches(name).length, 1);
      assert.equal(stack.backend(name).peers.length, 1);
      assert.equal(readLoadStreamRequest(watches(name)[0]!.body.subarray(5)), 1_000);
    }
    for (const name of ['a', 'b']) watches(name)[0]!.begin();
    for (let s = 0; s < 10; s += 1) {
      for (const name of ['a', 'b']) says(name, 1);
      busyFor(1_000);
    }
    assert.equal(watches('a').length, 1);
    assert.equal(stack.out.cluster.reports.read.stream, 20);
  });

  it('an endpoint is asked as soon as it is connected, and where a connection to it takes the place of another', () => {
    stack = new UpstreamStack(['a', 'b'], {
      balance: { kind: 'least-loaded' },
      loadReports: { intervalMs: 1000, forward: false },
    });
    stack.advance(100);
    assert.deepEqual([watches('a').length, watches('b').length], [1, 1], 'not an interval later');
    stack.settle(watches('a')[0]!.begin());
    says('a', 1);
    stack.kill('a');
    stack.revive('a');
    stack.advance(300);
    assert.equal(watches('a').length, 2);
    assert.equal(watches('b').length, 1);
  });

  it('a connection that ends before there is a report is not asked again at once', () => {
    start();
    stack.kill('a');
    stack.revive('a');
    stack.advance(900);
    assert.equal(stack.backend('a').peers.length, 2);
    assert.equal(watches('a').length, 1);
    stack.advance(1_000);
    assert.equal(watches('a').length, 2);
  });

  it('none is asked with one endpoint, round-robin, plaintext or "none", nor one whose proxy is another', () => {
    const asked = (over: UpstreamOptions, names = ['a', 'b']): number => {
      stack?.close();
      stack = new UpstreamStack(names, {
        balance: { kind: 'least-loaded' },
        loadReports: { intervalMs: 1000, forward: false },
        ...over,
      });
      stack.advance(5_000);
      return names.reduce((sum, name) => sum + watches(name).length, 0);
    };
    assert.equal(asked({}, ['a']), 0);
    assert.equal(asked({ balance: { kind: 'round-robin' } }), 0);
    assert.equal(asked({ tls: 'plaintext' }), 0);
    assert.equal(asked({ loadReports: { intervalMs: 0, forward: false } }), 0);
    const endpoints = ['a', 'b'].map((id) => ({
      ...{ address: { kind: 'tcp', host: id, port: 1 } as const, weight: 1, id },
      isForeign: id === 'b',
    }));
    assert.equal(asked({ endpoints }), 1);
  });

  it('where a scaler asks, each is asked, be it the only one, by any balancer and without calls', () => {
    const over = { loadReports: { intervalMs: 1000, forward: false } };
    stack = new UpstreamStack(['a'], over, { asksForLoad: true });
    stack.advance(1_500);
    assert.equal(watches('a').length, 1);
    stack.settle(watches('a')[0]!.begin());
    for (let second = 0; second < 30; second++) {
      says('a', 3);
      stack.advance(1_000);
    }
    assert.equal(watches('a').length, 1, 'the stream is kept');
    assert.equal(endpoint('a').reported!.saidAt(stack.clock.now())!.calls, 3);
    stack.advance(3_000);
    assert.equal(endpoint('a').reported!.saidAt(stack.clock.now()), null, 'it is too old');
  });

  it('the calls of others count for the choice, and for 3 s', () => {
    start();
    for (const name of ['a', 'b']) stack.settle(watches(name)[0]!.begin());
    says('a', 9);
    says('b', 1);
    stack.advance(101);
    for (let i = 0; i < 6; i += 1) call();
    assert.deepEqual([calls('a').length, calls('b').length], [0, 6]);
    assert.equal(endpoint('b').reported!.utilizationAt(endpoint('b').inFlight, stack.clock.now()), 7 / 4);
    stack.advance(3_100);
    assert.equal(endpoint('b').reported!.utilizationAt(0, stack.clock.now()), undefined);
    call();
    assert.equal(calls('a').length, 1, 'then our own calls alone do');
  });

  it('a report in the trailers of a call counts the same, and is not passed on', () => {
    start({ loadReports: { intervalMs: 0, forward: false } });
    for (const name of ['a', 'b'])
      stack.backend(name).answer = (stream) =>
        stream.reply(undefined, 0, [
          [BINARY_REPORT, writeReportValue(aReport(5))],
          ['x-own', 'stays'],
        ]);
    const got = call();
    assert.deepEqual([got.status, got.trailer(BINARY_REPORT), got.trailer('x-own')], [0, undefined, 'stays']);
    const known = stack.out.cluster.endpoints.filter(({ reported }) => reported !== null);
    assert.deepEqual(
      known.map(({ reported }) => reported!.others),
      [5],
    );
  });

  it('forward: both forms are passed on', () => {
    start({ loadReports: { intervalMs: 0, forward: true } });
    for (const name of ['a', 'b'])
      stack.backend(name).answer = (stream) =>
        stream.reply(undefined, 0, [
          [BINARY_REPORT, 'AAAA'],
          [TEXT_REPORT, 'TEXT eps=1'],
        ]);
    const got = call();
    assert.deepEqual([got.trailer(BINARY_REPORT), got.trailer(TEXT_REPORT)], ['AAAA', 'TEXT eps=1']);
  });

  it('a server without the service is left alone for a minute', () => {
    start();
    for (const name of ['a', 'b']) {
      stack.backend(name).answer = (stream) => stream.fail(12);
      stack.settle(watches(name)[0]!.fail(12));
    }
    busyFor(50_000);
    assert.equal(watches('a').length, 1);
    busyFor(40_000);
    assert.equal(watches('a').length, 2);
  });

  it('a stream that ends is asked for again, ever later while it fails', () => {
    start();
    for (const name of ['a', 'b'])
      stack.backend(name).answer = (stream) => isWatch(stream) && stream.fail(14);
    stack.settle(watches('a')[0]!.fail(14));
    busyFor(20_000);
    const { length } = watches('a');
    assert.ok(length >= 4 && length <= 7, `${length}`);
    assert.equal(call().status, -1, 'calls go there all the same');
  });

  it('one that falls silent is begun anew, and one of a connection that goes, on another', () => {
    start();
    stack.settle(watches('a')[0]!.begin());
    busyFor(8_000);
    assert.equal(watches('a').length, 2);
    assert.notEqual(watches('a')[0]!.resetCode, undefined);
    stack.settle(watches('a')[1]!.begin());
    says('a', 1);
    stack.backend('a').peer.goaway(2 ** 31 - 1);
    stack.run();
    assert.notEqual(watches('a')[1]!.resetCode, undefined, 'at once: the connection waits for nothing else');
    stack.advance(3_000);
    assert.equal(stack.backend('a').peers.length, 2);
    assert.equal(watches('a').length, 3);
  });

  it('hostile reports change nothing, are counted, and end no call', () => {
    start();
    stack.settle(watches('a')[0]!.begin());
    const send = (report: LoadReport): void => void stack.settle(watches('a').at(-1)!.data(message(report)));
    send(aReport(Number.NaN));
    send(aReport(-5));
    send(aReport(1e300));
    assert.equal(endpoint('a').reported, null);
    assert.equal(faults()['not-finite'], 1);
    assert.equal(faults()['out-of-range'], 2);
    const open = Array.from({ length: 8 }, () => call());
    stack.advance(101);
    const own = endpoint('a').inFlight;
    assert.ok(own >= 3);
    send(aReport(0));
    assert.equal(faults().contradicted, 1);
    assert.equal(endpoint('a').reported!.counts(stack.clock.now()), false);
    stack.settle(
      watches('a')
        .at(-1)!
        .data(Buffer.concat([Buffer.from([0, 0, 0x20, 0, 0]), Buffer.alloc(1024)])),
    );
    assert.equal(faults().unreadable, 1, 'a message of 2 MiB is not waited for');
    assert.notEqual(watches('a').at(-1)!.resetCode, undefined);
    for (const name of ['a', 'b']) for (const each of calls(name)) each.reply();
    stack.run();
    for (const each of open) assert.equal(each.status, 0);
  });

  it('messages may come in pieces', () => {
    start();
    const bytes = Buffer.concat([message(aReport(3)), message(aReport(4))]);
    const stream = stack.settle(watches('a')[0]!.begin());
    for (const byte of bytes) stack.settle(stream.data(Buffer.from([byte])));
    assert.equal(stack.out.cluster.reports.read.stream, 2);
    assert.equal(endpoint('a').reported!.others, 4);
  });

  it('a message in many small pieces is put together once', () => {
    start();
    const report = Buffer.concat([writeLoadReport(aReport(3)), unknownField(8_000)]);
    const bytes = grpcMessage(report);
    const stream = stack.settle(watches('a')[0]!.begin());
    const { whole } = ChunkList.prototype;
    let copied = 0;
    afterTest(() => {
      ChunkList.prototype.whole = whole;
    });
    ChunkList.prototype.whole = function (this: ChunkList) {
      copied += this.bytes;
      return whole.call(this);
    };
    for (let at = 0; at < bytes.length; at += 10) stack.settle(stream.data(bytes.subarray(at, at + 10)));
    assert.equal(endpoint('a').reported!.others, 3);
    assert.ok(copied <= 2 * bytes.length, `${copied} of ${bytes.length} bytes`);
  });

  it('a reload changes the interval, and ends the streams with "none"', () => {
    start();
    const { outbound } = stack.out;
    const config = outbound.state.cluster.config;
    const take = (intervalMs: number): void => {
      const next = { ...config, loadReports: { intervalMs, forward: false } };
      stack.health.configure(next);
      outbound.state.update(next);
      stack.advance(1_000);
    };
    take(500);
    assert.equal(readLoadStreamRequest(watches('a').at(-1)!.body.subarray(5)), 500);
    take(0);
    for (const each of watches('a')) assert.ok(each.isOver);
  });
});
