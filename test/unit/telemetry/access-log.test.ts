/** The line of each call in the access log, of the outbound and of the inbound side. */
import assert from 'node:assert/strict';
import { createLineWriter } from '../../../sidecar/runtime/log/logger.js';
import { AccessLog } from '../../../sidecar/telemetry/access-log.js';
import {
  aGenerateRequest,
  framedRequest,
  GENERATE,
  messagesFor,
  requestIn,
} from '../../kit/engines/scripted-engine.js';
import { Setting } from '../../kit/http2/h2-frames.js';
import type { Field } from '../../kit/http2/hpack-lite.js';
import type { PeerStream } from '../../kit/http2/scripted-peer.js';
import {
  type Application,
  anInbound,
  anUpstream,
  aRoute,
  aSafeRoute,
  aStreamRoute,
  type InboundStack,
  MESSAGE,
  PATH,
  Stack,
} from '../../kit/stack/stack.js';

const TRACE = '0af7651916cd43dd8448eb211c80319c';

interface Line {
  readonly [name: string]: unknown;
  readonly attempts: readonly { readonly ended: string; readonly ms: number; readonly why?: string }[];
}

describe('the access log', () => {
  let stack: Stack;
  let texts: string[];

  const record = (sampleRatio = 1): void => {
    stack = new Stack();
    texts = [];
    const destination = { write: (text: string) => void texts.push(text) };
    const write = createLineWriter('access', { instance: 'app-1' }, destination);
    stack.context.recorder = new AccessLog(write, sampleRatio, 'app', stack.context);
  };
  const lines = (): Line[] => texts.map((text) => JSON.parse(text) as Line);
  const only = (): Line => {
    assert.equal(texts.length, 1, texts.join(''));
    return lines()[0]!;
  };

  describe('outbound', () => {
    let app: Application;
    const start = (routes = [aRoute()], sampleRatio = 1, over = {}): void => {
      record(sampleRatio);
      app = stack.app(stack.outbound(anUpstream(['a', 'b'], { routes, ...over })).listener);
    };
    const last = (name: string) => stack.backend(name).last;
    /** Calls, and the endpoint fails the call with this status and these trailers. */
    const failed = (name: string, status: number, trailers: Field[] = []): void => {
      stack.settle(app.call());
      stack.settle(last(name).fail(status, trailers));
    };

    it('a line says which attempt went on with a stream, after how many messages, and that the one before fell silent', () => {
      const route = {
        idempotent: true,
        retry: aSafeRoute().retry!,
        resumable: true,
        messageTimeoutMs: 2_000,
      };
      start([aStreamRoute(route)]);
      stack.settle(app.call());
      stack.settle(last('a').begin().data(MESSAGE).data(MESSAGE));
      stack.advance(4_000);
      const goOn = last('b').begin([['outrider-resumed-from', '2']]);
      stack.settle(goOn.data(MESSAGE).trailers(0));
      const [first, second] = only().attempts as readonly Record<string, unknown>[];
      const { ms: _first, ...silent } = first!;
      assert.deepEqual(silent, { endpoint: 'a:1', name: 'a', ended: 'message-timeout', atMs: 0 });
      assert.deepEqual([second!['name'], second!['resumedAfter'], second!['status']], ['b', 2, 'OK']);
    });

    it('a line has the last sixteen attempts of a stream that goes on and on, and the number of those before, which are let go', () => {
      const retry = { attempts: 8, on: [14], backoff: { baseMs: 0, maxMs: 0 } };
      start([aStreamRoute({ idempotent: true, retry, resumable: true })], 1, {
        budget: { ratio: 1, perSecond: 1_000 },
        ejection: { mode: 'observe' },
      });
      stack.settle(app.call());
      const MANY = Buffer.concat(Array.from({ length: 16 }, () => MESSAGE));
      for (let attempt = 0; attempt < 20; attempt++) {
        const stream = last(attempt % 2 === 0 ? 'a' : 'b');
        stream.begin(attempt === 0 ? [] : [['outrider-resumed-from', String(16 * attempt)]]);
        stack.settle(stream.data(MANY));
        stack.settle(stream.trailers(attempt === 19 ? 0 : 14));
        stack.advance(10);
      }
      const { attempts, attemptsBefore, status } = only();
      const kept = attempts as unknown as readonly { readonly resumedAfter: number }[];
      assert.deepEqual([status, kept.length, attemptsBefore], ['OK', 16, 4]);
      assert.deepEqual([kept[0]!.resumedAfter, kept[15]!.resumedAfter], [16 * 4, 16 * 19]);
    });

    it('a line has caller, method, status, duration and sizes', () => {
      start();
      app.call({ timeout: '2S', metadata: [['traceparent', `00-${TRACE}-b7ad6b7169203331-01`]] });
      stack.advance(25);
      stack.settle(last('a').reply(Buffer.from('answer')));
      const { time, ...rest } = only();
      assert.match(String(time), /^\d{4}-\d\d-\d\dT.*Z$/);
      assert.deepEqual(rest, {
        ...{ log: 'access', instance: 'app-1', direction: 'outbound', upstream: 'digits', method: PATH },
        ...{ caller: 'app', status: 'OK', ms: 25, requestBytes: MESSAGE.length, responseBytes: 6 },
        ...{ deadlineLeftMs: 1_975, trace: TRACE },
        attempts: [{ endpoint: 'a:1', name: 'a', ended: 'trailers', status: 'OK', atMs: 0, ms: 25 }],
      });
    });

    it('a line has every attempt, with its start and its end', () => {
      start([aSafeRoute()]);
      app.call();
      stack.advance(10);
      last('a').fail(14, [['outrider-reason', 'model-unavailable']]);
      stack.advance(5);
      stack.settle(last('b').reply());
      const why = { status: 'UNAVAILABLE', reason: 'model-unavailable' };
      assert.deepEqual(only().attempts, [
        { endpoint: 'a:1', name: 'a', ended: 'trailers', ...why, atMs: 0, ms: 10 },
        { endpoint: 'b:1', name: 'b', ended: 'trailers', status: 'OK', atMs: 10, ms: 5 },
      ]);
    });

    it('a line has attempts that the attempt timeout ended', () => {
      const retry = { attempts: 2, on: [4, 14], backoff: { baseMs: 0, maxMs: 0 } };
      start([aSafeRoute({ attemptTimeoutMs: 100, retry })]);
      app.call();
      stack.advance(150);
      stack.settle(last('b').reply());
      const [first] = only().attempts;
      assert.equal(first?.ended, 'attempt-timeout');
      assert.ok(first.ms >= 100 && first.ms < 150, `${first.ms} ms`);
    });

    it('a line has attempts that were reset, with the code', () => {
      start();
      stack.settle(app.call());
      stack.settle(last('a').reset(8));
      const [attempt] = only().attempts;
      assert.deepEqual([attempt?.ended, attempt?.why], ['reset', 'reset with code 8']);
    });

    it("a line has the reason of a local reply, this sidecar's or another's", () => {
      start();
      const call = stack.settle(app.call());
      stack.settle(last('a').peer.socket.destroy());
      failed('b', 8, [['outrider-reason', 'overloaded']]);
      assert.equal(call.status, 14);
      const found = lines().map(({ status, reason, attempts }) => [status, reason, attempts[0]?.ended]);
      assert.deepEqual(found, [
        ['UNAVAILABLE', 'connection-lost', 'connection-lost'],
        ['RESOURCE_EXHAUSTED', 'overloaded', 'trailers'],
      ]);
    });

    it('a reason from outside the mesh, or with other characters, is left out', () => {
      start([aRoute()], 1, { tls: 'plaintext' });
      failed('a', 14, [['outrider-reason', 'overloaded']]);
      assert.equal(only()['reason'], undefined);
      stack.close();
      start();
      failed('a', 14, [['outrider-reason', 'Bearer s3cret']]);
      assert.equal(only()['reason'], undefined);
    });

    it('a cancelled call and one whose deadline passed have a line', () => {
      start();
      const call = stack.settle(app.call());
      call.reset(8);
      app.call({ timeout: '50m' });
      stack.advance(60);
      const found = lines().map(({ status, reason, attempts }) => [status, reason, attempts[0]?.ended]);
      assert.deepEqual(found, [
        ['CANCELLED', undefined, 'cancelled'],
        ['DEADLINE_EXCEEDED', 'deadline-exceeded', 'deadline'],
      ]);
      assert.ok(Number(lines()[1]!['deadlineLeftMs']) <= 0);
    });

    it('a stream has one line, at its end', () => {
      start([aStreamRoute()]);
      stack.settle(app.call());
      const stream = last('a').begin([]);
      for (let i = 0; i < 3; i++) {
        stream.data(Buffer.alloc(1_000));
        stack.advance(10);
      }
      assert.equal(texts.length, 0);
      stack.settle(stream.trailers(0));
      const { responseBytes, ms, deadlineLeftMs } = only();
      assert.deepEqual([responseBytes, ms, deadlineLeftMs], [3_000, 30, undefined]);
    });

    it('a line has nothing of the payload', () => {
      start();
      const metadata: Field[] = [
        ['authorization', 'Bearer s3cret'],
        ['x-anything', 's3cret'],
        ['traceparent', `00-${TRACE}-b7ad6b7169203331-01-s3cret${'x'.repeat(200)}`],
      ];
      stack.settle(app.call({ metadata, body: Buffer.from('\0\0\0\0\x06s3cret', 'latin1') }));
      last('a').fail(13, [
        ['grpc-message', 's3cret'],
        ['x-answer', 's3cret'],
      ]);
      stack.run();
      assert.deepEqual([only()['method'], only()['trace']], [PATH, undefined]);
      stack.settle(app.call({ path: `${PATH}?token=s3cret` }));
      assert.equal(lines()[1]!['method'], PATH);
      assert.ok(!texts.join('').includes('s3cret'), texts.join(''));
    });

    it('a line is bounded, whatever the path', () => {
      start();
      stack.settle(app.call({ path: `/${'a'.repeat(5_000)}/x"` }));
      only();
      assert.ok(texts[0]!.length < 1_000);
    });

    it('every call that was retried has a line, and every stream that continued elsewhere, though they end well', () => {
      start([aSafeRoute()], 0);
      failed('a', 14);
      stack.settle(last('b').reply());
      assert.deepEqual([only()['status'], only().attempts.length], ['OK', 2]);
      const retry = aSafeRoute().retry!;
      start([aStreamRoute({ idempotent: true, retry, resumable: true })], 0);
      stack.settle(app.call());
      stack.settle(last('a').begin().data(MESSAGE).trailers(14));
      const goOn = last('b').begin([['outrider-resumed-from', '1']]);
      stack.settle(goOn.data(MESSAGE).trailers(0));
      assert.deepEqual([only()['status'], only().attempts.length], ['OK', 2]);
    });

    it('a line says how long an attempt waited for a connection, and nothing where it was sent at once', () => {
      record();
      const backend = stack.backend('a');
      backend.peerOptions = { settings: [[Setting.maxConcurrentStreams, 0]] };
      app = stack.app(stack.outbound(anUpstream(['a'], { routes: [aRoute()] })).listener);
      stack.settle(app.call());
      stack.advance(40);
      for (const peer of backend.peers) stack.settle(peer.announce([[Setting.maxConcurrentStreams, 10]]));
      stack.advance(3);
      stack.settle(last('a').reply());
      stack.settle(app.call());
      stack.settle(last('a').reply());
      const [waited, sent] = lines().map(({ attempts: [attempt] }) => attempt as Record<string, unknown>);
      assert.deepEqual([waited!['name'], waited!['waitedMs'], waited!['ms']], ['a', 40, 43]);
      assert.ok(!('waitedMs' in sent!));
    });

    it('`sample_ratio` applies to successful calls only', () => {
      start([aRoute()], 0.25);
      for (let i = 0; i < 400; i++) {
        stack.settle(app.call());
        stack.settle(last(i % 2 === 0 ? 'a' : 'b').reply());
      }
      assert.ok(texts.length > 60 && texts.length < 140, `${texts.length} lines`);
      texts = [];
      for (let i = 0; i < 20; i++) failed(i % 2 === 0 ? 'a' : 'b', 3);
      assert.equal(texts.length, 20);
    });

    it('a status that the route declares a success is sampled, a local reply is not', () => {
      start([aRoute({ outcomes: { success: [5] } })], 0);
      const answered = (reasons: Field[] = []): void => {
        for (const name of ['a', 'b']) stack.backend(name).answer = (stream) => stream.fail(5, reasons);
        stack.settle(app.call());
      };
      answered();
      assert.deepEqual(texts, []);
      answered([['outrider-reason', 'unknown-route']]);
      assert.equal(only()['status'], 'NOT_FOUND');
    });

    it('every call with a degraded response has a line', () => {
      start([aRoute()], 0);
      stack.settle(app.call());
      const { recorder } = stack.context;
      const degraded = 'fallback; from=digits-small';
      stack.context.recorder = {
        record: (call, status) => recorder!.record(Object.assign(Object.create(call), { degraded }), status),
      };
      stack.settle(last('a').reply());
      assert.equal(only()['degraded'], degraded);
    });

    it('a call keeps no list of its attempts while there is no recorder', () => {
      start([aSafeRoute()]);
      stack.context.recorder = null;
      failed('a', 14);
      stack.settle(last('b').reply());
      assert.equal(texts.length, 0);
    });
  });

  describe('of a language-model engine', () => {
    const request = aGenerateRequest({
      sampling_params: { temperature: 0, max_tokens: 20, ignore_eos: true },
    });
    const ask = (app: Application): PeerStream =>
      stack.settle(app.call({ path: GENERATE, body: framedRequest(request) }));
    const answer = (stream: PeerStream): Buffer[] => messagesFor(requestIn(stream.body), () => 4, 3);
    const tokens = ({ inputTokens, cachedTokens, outputTokens }: Line) => [
      inputTokens,
      cachedTokens,
      outputTokens,
    ];
    /** A whole answer, one that its caller leaves after two messages, and a failure before the first. */
    const assertCounts = (app: Application, arrived: () => PeerStream): void => {
      ask(app);
      stack.settle(
        arrived()
          .begin()
          .data(Buffer.concat(answer(arrived())))
          .trailers(0),
      );
      const left = ask(app);
      stack.settle(
        arrived()
          .begin()
          .data(Buffer.concat(answer(arrived()).slice(0, 2))),
      );
      stack.settle(left.reset());
      ask(app);
      stack.settle(arrived().fail(3));
      const none = [undefined, undefined, undefined];
      assert.deepEqual(lines().map(tokens), [[4, 3, 20], [4, 3, 8], none]);
    };

    it('a line of its caller has the tokens of prompt, cache and answer, as far as they are known', () => {
      record();
      const over = { routes: [aStreamRoute()], engine: 'vllm' } as const;
      const app = stack.app(stack.outbound(anUpstream(['a'], over)).listener);
      assertCounts(app, () => stack.backend('a').last);
    });

    it('a line of its own sidecar has them as well', () => {
      record();
      const side = stack.inbound(anInbound({ engine: 'vllm', routes: [aStreamRoute()] }));
      assertCounts(stack.app(side.listener, 'app'), () => side.model.last);
    });
  });

  describe('inbound', () => {
    let side: InboundStack;
    let peer: Application;
    const start = (over = {}): void => {
      record();
      side = stack.inbound(anInbound(over));
      peer = stack.app(side.listener, 'app');
    };

    it('an inbound line has the caller of the certificate, and the time in the queue', () => {
      start({ queue: { concurrency: 1 } });
      stack.settle(peer.call());
      peer.call();
      stack.advance(30);
      side.model.requests[0]!.reply();
      stack.advance(20);
      stack.settle(side.model.requests[1]!.reply());
      const { direction, service, caller, ms, attempts } = lines()[1]!;
      assert.deepEqual([direction, service, caller, ms], ['inbound', 'digits', 'app', 50]);
      const attempt = { endpoint: 'local', ended: 'trailers', status: 'OK', atMs: 30, ms: 20 };
      assert.deepEqual(attempts, [attempt]);
    });

    it('a call that never reached the model has a line', () => {
      start({ intentions: [] });
      stack.settle(peer.call());
      const { status, reason, attempts } = only();
      assert.deepEqual([status, reason, attempts], ['PERMISSION_DENIED', 'not-allowed', []]);
    });

    it('a caller without identity is not named', () => {
      start();
      stack.app(side.listener).call();
      stack.run();
      assert.deepEqual([only()['caller'], only()['reason']], [undefined, 'no-identity']);
    });
  });
});
