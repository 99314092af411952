import assert from 'node:assert/strict';
import { createServer, type Http2Server, type IncomingHttpHeaders, type ServerHttp2Stream } from 'node:http2';
import type { AddressInfo } from 'node:net';
import { performance } from 'node:perf_hooks';
import { type Backend, startBackend } from './backend.js';
import { type LoadSpec, messageOf } from './protocol.js';
import { type LoadResult, Run } from './run.js';

const now = (): number => performance.now();

function spec(port: number, changes: Partial<LoadSpec> = {}): LoadSpec {
  const traffic = { kind: 'unary', connections: 2, inFlight: 4, requestBytes: 105 } as const;
  const usual = { ...traffic, varyingHeaders: false, warmMs: 20, measureMs: 60, seed: 7 };
  return { ...usual, port, pids: [process.pid], ...changes };
}

function withoutTrailers(stream: ServerHttp2Stream): void {
  stream.respond({ ':status': 200 });
  stream.end(messageOf(105));
}

describe('the load of the benchmark', () => {
  let backend: Backend;

  async function against(kind: 'unary' | 'stream', changes: Partial<LoadSpec> = {}): Promise<LoadResult> {
    backend = await startBackend(kind);
    try {
      return await new Run(spec(backend.port, { kind, ...changes }), now, () => backend.executions()).go();
    } finally {
      await backend.close();
    }
  }

  function assertSound(result: LoadResult): void {
    assert.deepEqual(result.failures, {});
    assert.ok(result.measured > 0);
    assert.equal(result.ok, result.issued);
    assert.equal(result.executions, result.issued);
  }

  it('counts as many executions and OK statuses as calls', async () => {
    assertSound(await against('unary'));
  });

  it('sends requests larger than a window, and the backend checks their length', async () => {
    assertSound(await against('unary', { requestBytes: 602_112, inFlight: 1 }));
  });

  it('takes a thousand messages of one streaming call', async () => {
    assertSound(await against('stream', { inFlight: 1 }));
  });

  it('starts paced calls at the rate asked for, and says how late', async () => {
    const result = await against('unary', { ratePerSecond: 2000, measureMs: 300 });
    assertSound(result);
    const rate = result.measured / result.seconds;
    assert.ok(rate > 1400 && rate < 2600, `${rate} calls/s`);
    assert.ok(result.lateP99Us <= result.maxUs, 'lateness is part of the latency');
  });

  it('warms up by calls, and not without end', async () => {
    const byCalls = await against('unary', { warmMs: 100, warmCalls: 200 });
    assertSound(byCalls);
    assert.ok(byCalls.ok - byCalls.measured >= 200);
    assertSound(await against('unary', { warmMs: 2, warmCalls: Number.POSITIVE_INFINITY }));
  });

  it('gives calls and connections up without calling that a failure', async () => {
    const churn = { callsPerConnection: 20, resetRatio: 0.05 };
    const result = await against('unary', { churn, calls: 2000, measureMs: Number.POSITIVE_INFINITY });
    assert.deepEqual(result.failures, {});
    assert.ok(result.abandoned > 0);
    assert.equal(result.ok + result.abandoned, result.issued);
  });
});

describe('the load of the benchmark, against another server', () => {
  let server: Http2Server;
  let answer: (stream: ServerHttp2Stream) => void;
  let seen: IncomingHttpHeaders[];

  beforeEach(async () => {
    seen = [];
    server = createServer();
    server.on('sessionError', () => {});
    server.on('stream', (stream, headers) => {
      seen.push(headers);
      stream.on('error', () => {});
      stream.resume();
      stream.on('end', () => answer(stream));
    });
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  });

  afterEach(() => new Promise((resolve) => server.close(resolve)));

  async function failuresWhen(answering: (stream: ServerHttp2Stream) => void): Promise<string[]> {
    answer = answering;
    const { port } = server.address() as AddressInfo;
    const result = await new Run(spec(port, { varyingHeaders: true }), now, () => 0).go();
    if (Object.keys(result.failures).length === 0) assert.equal(result.ok, result.issued);
    else assert.equal(result.ok, 0);
    return Object.keys(result.failures);
  }

  function respond(stream: ServerHttp2Stream, body: Buffer, status: string, http = 200): void {
    stream.respond({ ':status': http, 'content-type': 'application/grpc' }, { waitForTrailers: true });
    stream.on('wantTrailers', () => stream.sendTrailers({ 'grpc-status': status }));
    stream.end(body);
  }

  it('sends a header list that Node decodes, with values that never come twice', async () => {
    answer = (stream) => respond(stream, messageOf(105), '0');
    const { port } = server.address() as AddressInfo;
    const counted = { varyingHeaders: true, calls: 100, measureMs: Number.POSITIVE_INFINITY };
    const result = await new Run(spec(port, counted), now, () => 0).go();
    assert.deepEqual(result.failures, {});
    assert.equal(result.ok, result.issued);
    assert.ok(seen.length >= 100);
    for (const headers of seen) {
      assert.equal(headers[':path'], '/outrider.bench.Echo/Unary');
      assert.equal(headers['content-type'], 'application/grpc');
      assert.equal(headers['te'], 'trailers');
      assert.match(String(headers['grpc-timeout']), /^09\d{6}u$/);
      assert.match(String(headers['traceparent']), /^00-[0-9a-f]{32}-[0-9a-f]{16}-01$/);
    }
    assert.equal(new Set(seen.map((headers) => headers['traceparent'])).size, seen.length);
  });

  it('keeps to the number of calls that the server takes at once, also when calls are paced', async () => {
    let open = 0;
    let most = 0;
    server.updateSettings({ maxConcurrentStreams: 3 });
    answer = (stream) => {
      most = Math.max(most, ++open);
      setTimeout(() => {
        open--;
        respond(stream, messageOf(105), '0');
      }, 20);
    };
    const { port } = server.address() as AddressInfo;
    const paced = spec(port, { connections: 1, ratePerSecond: 2000, measureMs: 150 });
    const result = await new Run(paced, now, () => 0).go();
    assert.deepEqual(result.failures, {});
    assert.equal(result.ok, result.issued);
    assert.equal(most, 3);
    assert.ok(result.p99Us > 40_000, `${result.p99Us} µs`);
  });

  const FAILURES: readonly (readonly [string, (stream: ServerHttp2Stream) => void, string])[] = [
    ['a gRPC status that is not OK', (stream) => respond(stream, messageOf(105), '14'), 'grpc-status 14'],
    ['an HTTP status that is not 200', (stream) => respond(stream, messageOf(105), '0', 503), 'http 503'],
    ['a message of another length', (stream) => respond(stream, messageOf(104), '0'), 'message of 104 bytes'],
    ['a missing message', (stream) => respond(stream, Buffer.alloc(0), '0'), '0 messages'],
    ['half a message', (stream) => respond(stream, messageOf(105).subarray(0, 50), '0'), '0 messages'],
    ['missing trailers', withoutTrailers, 'no trailers'],
    ['a reset', (stream) => stream.close(2), 'reset 2'],
  ];
  for (const [what, answering, failure] of FAILURES)
    it(`sees ${what}`, async () => assert.deepEqual(await failuresWhen(answering), [failure]));
});
