/**
 * A stream is judged by the time to its first message, beside other streams: what picks endpoints, the latency detector, slow
 * start and the delay of hedges go by it. How long a stream lasts says nothing.
 */
import assert from 'node:assert/strict';
import { grpcMessage } from '../../kit/http2/h2-frames.js';
import type { PeerStream } from '../../kit/http2/scripted-peer.js';
import { countBy } from '../../kit/scenario/counts.js';
import { DetectorPool, SLOW_START } from '../../kit/scenario/detector-pool.js';
import { UpstreamStack } from '../../kit/scenario/upstream-stack.js';
import { aRoute, aStreamRoute, type CallOptions } from '../../kit/stack/stack.js';

const STREAM = '/llm.Generator/Generate';
const ROUTES = [aRoute({ methods: ['/inference.GRPCInferenceService/*'] }), aStreamRoute()];
const LEAST_LOADED = { balance: { kind: 'least-loaded' }, routes: ROUTES } as const;
const USUAL_MS = 5;
/** From the first message to the end of a stream. */
const LASTS_MS = 200;

describe('Scenario: one replica is ten times slow in its first message', () => {
  let stack: UpstreamStack;

  /** `name` sends its first message after `ms`, and ends the stream after `lastsMs` more. A unary answer takes as long. */
  const streams = (name: string, ms: number, lastsMs = LASTS_MS): void =>
    stack.answers((stream) => {
      const isUnary = stream.header(':path') !== STREAM;
      const token = grpcMessage(Buffer.from(name));
      if (!isUnary) stream.begin();
      stack.clock.after(ms, () => {
        if (stream.resetCode !== undefined) return;
        if (isUnary) return void stream.reply(Buffer.from(name));
        stream.data(token);
        stack.clock.after(lastsMs, () => void stream.trailers(0));
      });
    }, name);
  const all = (ms = USUAL_MS, lastsMs = LASTS_MS): void => {
    for (const name of stack.names) streams(name, ms, lastsMs);
  };
  /** Calls every 10 ms; by the endpoint that got them. */
  const load = (count: number, options: CallOptions = { path: STREAM }): Record<string, number> => {
    const before = stack.names.map((name) => stack.backend(name).requests.length);
    const calls: PeerStream[] = [];
    for (let i = 0; i < count; i++) {
      calls.push(stack.caller.call(options));
      stack.advance(10);
    }
    stack.advance(10 * LASTS_MS);
    assert.deepEqual(
      countBy(calls, ({ status }) => status),
      { 0: count },
    );
    const got = stack.names.map((name, i) => [name, stack.backend(name).requests.length - before[i]!]);
    return Object.fromEntries(got) as Record<string, number>;
  };

  it('gets as few streams as it gets unary calls', () => {
    const sharesOf = (path: string): Record<string, number> => {
      stack = new UpstreamStack(['a', 'b', 'c'], LEAST_LOADED, { seed: 3 });
      all();
      load(100, { path });
      streams('a', 10 * USUAL_MS);
      load(1_000, { path });
      return load(600, { path });
    };
    const unary = sharesOf('/inference.GRPCInferenceService/ModelInfer');
    const streamed = sharesOf(STREAM);
    const told = JSON.stringify({ unary, streamed });
    assert.ok(streamed['a']! <= 12, told);
    assert.ok(unary['a']! <= 12 && streamed['b']! > 200 && streamed['c']! > 200, told);
  });

  it('is found out where the caller keeps its side open, too', () => {
    stack = new UpstreamStack(['a', 'b', 'c'], LEAST_LOADED, { seed: 3 });
    stack.answers(() => {});
    const sent = new Map<PeerStream, string>();
    const openStream = (): void => {
      const call = stack.call({ path: STREAM, body: null });
      call.data(grpcMessage(Buffer.from('prompt')));
      stack.run();
      const name = stack.names.find((each) => stack.backend(each).requests.some((one) => !sent.has(one)))!;
      const stream = stack.backend(name).requests.find((one) => !sent.has(one))!;
      sent.set(stream, name);
      stack.clock.after(name === 'a' ? 10 * USUAL_MS : USUAL_MS, () => {
        stream.begin().data(grpcMessage(Buffer.from(name)));
        stack.clock.after(LASTS_MS, () => void stream.trailers(0));
      });
      stack.advance(10);
    };
    for (let i = 0; i < 600; i++) openStream();
    const last = countBy([...sent.values()].slice(-300), (name) => name);
    assert.ok((last['a'] ?? 0) <= 12, JSON.stringify(last));
    stack.advance(2 * LASTS_MS);
  });

  it('keeps its unary calls, which it answers as fast as others', () => {
    stack = new UpstreamStack(['a', 'b', 'c'], LEAST_LOADED, { seed: 3 });
    all();
    streams('a', 20 * USUAL_MS);
    load(300);
    all();
    const shares = load(300, { path: '/inference.GRPCInferenceService/ModelInfer' });
    assert.ok(shares['a']! > 60, JSON.stringify(shares));
  });

  it('is ejected by the latency detector, which compares streams with streams of the same method', () => {
    stack = new DetectorPool(['a', 'b', 'c'], { routes: ROUTES });
    all();
    streams('a', 10 * USUAL_MS);
    load(150);
    assert.deepEqual(stack.states, ['ejected', 'eligible', 'eligible']);
    assert.match(stack.report('a').why, /median latency [345]\d\.\d ms/);
  });

  it('warms up by its first messages', () => {
    stack = new UpstreamStack(['a', 'b'], { routes: ROUTES, slowStart: SLOW_START });
    all();
    load(100);
    const { endpoint } = { endpoint: stack.endpoint('a') };
    stack.settle(stack.backend('a').peer.socket.break());
    stack.advance(5_000);
    streams('a', 10 * USUAL_MS);
    load(100);
    assert.ok(endpoint.slowStart !== null && endpoint.weightFactor < 0.3, `${endpoint.weightFactor}`);
    streams('a', USUAL_MS);
    load(200);
    assert.deepEqual([endpoint.slowStart, endpoint.weightFactor], [null, 1]);
  });

  describe('Nothing is held against an endpoint', () => {
    it('whose streams last ten times as long', () => {
      stack = new DetectorPool(['a', 'b', 'c'], { routes: ROUTES });
      all();
      streams('a', USUAL_MS, 8 * LASTS_MS);
      load(200);
      assert.deepEqual(stack.states, ['eligible', 'eligible', 'eligible']);
      const peaks = stack.names.map((name) => stack.endpoint(name).firstMessage!.peakMs);
      assert.ok(Math.max(...peaks) < 2 * USUAL_MS, peaks.join(' '));
    });

    it('whose callers take long to send their request', () => {
      stack = new DetectorPool(['a', 'b', 'c'], { routes: ROUTES });
      all();
      for (let i = 0; i < 40; i++) {
        const call = stack.call({ path: STREAM, body: null });
        stack.advance(300);
        stack.settle(call.data(grpcMessage(Buffer.from('late'))).end());
        stack.advance(10);
      }
      stack.advance(LASTS_MS);
      const peaks = stack.names.map((name) => stack.endpoint(name).firstMessage!.peakMs);
      assert.ok(Math.max(...peaks) < 2 * USUAL_MS, peaks.join(' '));
    });

    it('whose callers watch for what does not happen, and leave', () => {
      stack = new DetectorPool(['a', 'b', 'c'], { routes: ROUTES });
      stack.answers((stream) => void stream.begin());
      for (let i = 0; i < 30; i++) {
        const call = stack.call({ path: STREAM });
        stack.advance(2_000);
        stack.settle(call.reset());
      }
      assert.deepEqual(stack.states, ['eligible', 'eligible', 'eligible']);
      for (const name of stack.names) assert.equal(stack.endpoint(name).firstMessage?.samples ?? 0, 0, name);
    });
  });
});
