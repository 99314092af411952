/** Single outbound calls: routes, deadlines, headers on their way, and local replies. */
import assert from 'node:assert/strict';
import { parseGrpcTimeout } from '../../../sidecar/core/deadline/grpc-timeout.js';
import { Flag } from '../../kit/http2/h2-frames.js';
import {
  type Application,
  anUpstream,
  aRoute,
  aStreamRoute,
  MESSAGE,
  type OutboundStack,
  Stack,
} from '../../kit/stack/stack.js';

const CHECK = '/grpc.health.v1.Health/Check';

describe('Outbound: a call', () => {
  let stack: Stack;
  let out: OutboundStack;
  let app: Application;

  const start = (routes = [aRoute()], over = {}): void => {
    out = stack.outbound(anUpstream(['a'], { routes, ...over }));
    app = stack.app(out.listener);
  };
  beforeEach(() => {
    stack = new Stack();
  });
  afterEach(() => stack.close());

  describe('on its way', () => {
    it('a call goes to an endpoint, and its response to the caller', () => {
      start();
      stack.backend('a').answer = (stream) => stream.reply(Buffer.from('seven'), 0, [['x-trace', 'done']]);
      const call = stack.settle(app.call());
      assert.equal(call.status, 0);
      assert.equal(call.body.toString(), 'seven');
      assert.equal(call.trailer('x-trace'), 'done');
      assert.deepEqual(stack.backend('a').last.body, MESSAGE);
      stack.assertIdle();
    });

    it('a request carries the authority and the scheme of the mesh, not those of the application', () => {
      start();
      stack.settle(app.call({ authority: 'localhost:50051' }));
      const { last } = stack.backend('a');
      assert.equal(last.header(':authority'), 'digits');
      assert.equal(last.header(':scheme'), 'https');
      assert.equal(last.header(':method'), 'POST');
      assert.deepEqual(
        last.lists[0]!.slice(0, 4).map(([name]) => name[0]),
        [':', ':', ':', ':'],
        'pseudo-headers come first',
      );
    });

    it('forwarded headers of a proxy before the application are passed on', () => {
      start();
      stack.settle(app.call({ metadata: [['forwarded', 'for=10.0.0.1']] }));
      assert.equal(stack.backend('a').last.header('forwarded'), 'for=10.0.0.1');
    });

    it('a request to an upstream outside the mesh has the scheme http', () => {
      start([aRoute()], { tls: 'plaintext' });
      stack.settle(app.call());
      assert.equal(stack.backend('a').last.header(':scheme'), 'http');
    });

    it('metadata is passed on in its order, binary and repeated fields too', () => {
      start();
      const metadata: [string, string][] = [
        ['x-one', '1'],
        ['trace-bin', 'AAECAw'],
        ['x-one', '2'],
        ['trace-bin', 'BAUG,BwgJ'],
      ];
      stack.settle(app.call({ metadata }));
      const seen = stack
        .backend('a')
        .last.lists[0]!.filter(([name]) => name === 'x-one' || name === 'trace-bin');
      for (const name of ['x-one', 'trace-bin']) {
        const values = (list: readonly (readonly [string, string])[]): string[] =>
          list.filter(([key]) => key === name).map(([, value]) => value);
        assert.deepEqual(values(seen), values(metadata));
      }
    });

    it('a very long path and very long metadata are passed on', () => {
      const method = `/pkg.${'S'.repeat(400)}/${'m'.repeat(500)}`;
      start();
      stack.backend('a').answer = (stream) => stream.reply();
      const call = stack.settle(app.call({ path: method, metadata: [['x-long', 'v'.repeat(9000)]] }));
      const { last } = stack.backend('a');
      assert.equal(last.header(':path'), method);
      assert.equal(last.header(':authority'), 'digits');
      assert.equal(last.header('x-long')?.length, 9000);
      assert.equal(call.status, 0);
    });

    it('outrider-* metadata of the application is stripped', () => {
      start();
      app.call({
        metadata: [
          ['outrider-caller', 'somebody-else'],
          ['outrider-unprocessed', 'true'],
        ],
      });
      stack.run();
      const names = stack.backend('a').last.lists[0]!.map(([name]) => name);
      assert.deepEqual(
        names.filter((name) => name.startsWith('outrider-')),
        [],
      );
    });

    for (const [said, sent] of [
      ['1', '1'],
      ['9', '9'],
      ['0', undefined],
      ['10', undefined],
      ['-1', undefined],
      ['many', undefined],
      ['', undefined],
    ] as const) {
      it(`says that the caller has tried "${said}" times before as ${sent ?? 'nothing'}`, () => {
        start();
        stack.settle(app.call({ metadata: [['grpc-previous-rpc-attempts', said]] }));
        const fields = stack.backend('a').last.lists[0]!;
        assert.deepEqual(
          fields.filter(([name]) => name === 'grpc-previous-rpc-attempts').map(([, value]) => value),
          sent === undefined ? [] : [sent],
        );
      });
    }

    it('outrider-* metadata of a response is believed from the mesh, and stripped from others', () => {
      start();
      stack.backend('a').answer = (stream) => stream.fail(3, [['outrider-reason', 'too-large']]);
      const inside = stack.settle(app.call());
      assert.equal(inside.reason, 'too-large');
      const foreign = stack.outbound(anUpstream(['b'], { tls: 'plaintext' }));
      const other = stack.app(foreign.listener);
      stack.backend('b').answer = (stream) =>
        stream.begin([['outrider-caller', 'x']]).trailers(3, [['outrider-reason', 'too-large']]);
      const outside = stack.settle(other.call());
      assert.equal(outside.status, 3);
      assert.equal(outside.reason, undefined);
      assert.equal(outside.header('outrider-caller'), undefined);
    });

    it('both directions of a stream are relayed message by message before either has ended', () => {
      start([aStreamRoute()]);
      const call = app.call({ body: null });
      stack.settle(call.data(Buffer.from('one')));
      const { last } = stack.backend('a');
      stack.settle(last.begin());
      assert.equal(call.header(':status'), '200', 'response headers are passed on at once');
      stack.settle(last.data(Buffer.from('uno')));
      assert.equal(call.body.toString(), 'uno');
      stack.settle(call.data(Buffer.from('two')));
      assert.equal(last.body.toString(), 'onetwo');
      stack.settle(call.end());
      assert.equal(last.isEnded, true);
      stack.settle(last.trailers(0));
      assert.equal(call.status, 0);
      stack.assertIdle();
    });

    it('a response that is complete before its request is passed on', () => {
      start([aStreamRoute()]);
      const call = app.call({ body: null });
      stack.settle(call.data(Buffer.from('one')));
      stack.backend('a').last.fail(9);
      stack.run();
      assert.equal(call.status, 9);
      stack.settle(call.data(Buffer.from('late')));
      stack.assertIdle();
    });

    it('request trailers end the request', () => {
      start();
      const call = app.call({ body: null });
      stack.settle(call.data(MESSAGE).headers([['x-late', '1']], Flag.endStream));
      const { last } = stack.backend('a');
      assert.deepEqual([last.isEnded, last.lists.length], [true, 1]);
      stack.settle(last.reply());
      assert.equal(call.status, 0);
    });

    it('a call without a message is relayed', () => {
      start();
      stack.backend('a').answer = (stream) => stream.begin().trailers(0);
      const call = stack.settle(app.call({ body: Buffer.alloc(0) }));
      assert.deepEqual([call.status, call.bytes], [0, 0]);
    });
  });

  describe('and its deadline', () => {
    const sent = (): number => parseGrpcTimeout(stack.backend('a').last.header('grpc-timeout') ?? '');

    for (const [asked, route, expected] of [
      ['2S', 15_000, 2000],
      ['60S', 15_000, 15_000],
      [undefined, 15_000, 15_000],
      ['nonsense', 1000, 1000],
      ['99999999H', 0, 2_147_483_647],
    ] as const) {
      it(`the deadline is ${expected} ms when the caller allows ${asked} and the route ${route}`, () => {
        start([aRoute({ timeoutMs: route })]);
        stack.settle(app.call(asked === undefined ? {} : { timeout: asked }));
        assert.ok(sent() <= expected && sent() > expected * 0.98, `${sent()}`);
      });
    }

    it('a call has no deadline when neither its caller nor its route sets one', () => {
      start([aStreamRoute()]);
      stack.settle(app.call());
      assert.equal(stack.backend('a').last.header('grpc-timeout'), undefined);
    });

    it('a call that had to wait tells its endpoint the time that is left', () => {
      const a = stack.backend('a');
      a.peerOptions = { settings: null };
      start();
      app.call({ timeout: '900m' });
      stack.advance(500);
      stack.settle(a.peer.announce([]));
      assert.equal(sent(), 400);
    });

    it('grpc-timeout never becomes zero, however little time is left', () => {
      start();
      stack.settle(app.call({ timeout: '1n' }));
      assert.ok(sent() > 0 && sent() <= 0.000_001);
    });

    it('a deadline ends the call with DEADLINE_EXCEEDED and resets its attempt', () => {
      start();
      const call = app.call({ timeout: '200m' });
      stack.advance(199);
      assert.equal(call.isOver, false);
      stack.advance(10);
      assert.deepEqual([call.status, call.reason], [4, 'deadline-exceeded']);
      assert.equal(call.isTrailersOnly, true);
      assert.match(call.trailer('grpc-message')!, /deadline of 200 ms exceeded/);
      assert.equal(stack.backend('a').last.resetCode, 8);
      stack.assertIdle();
    });

    it('a deadline ends a stream that has begun in its trailers', () => {
      start([aStreamRoute()]);
      const call = stack.settle(app.call({ timeout: '200m' }));
      stack.backend('a').last.begin().data(Buffer.from('part'));
      stack.advance(250);
      assert.deepEqual([call.status, call.reason, call.body.toString()], [4, 'deadline-exceeded', 'part']);
      assert.equal(call.lists.length, 2);
      assert.equal(stack.backend('a').last.resetCode, 8);
      stack.assertIdle();
    });

    it('a call whose deadline has passed on arrival goes to no endpoint', () => {
      start();
      const call = stack.settle(app.call({ timeout: '0m' }));
      assert.deepEqual([call.status, call.reason], [4, 'deadline-exceeded']);
      assert.equal(stack.backend('a').requests.length, 0);
      stack.assertIdle();
    });

    it('a response after the deadline is dropped', () => {
      start();
      const call = stack.settle(app.call({ timeout: '100m' }));
      const { last } = stack.backend('a');
      stack.advance(150);
      stack.settle(last.reply());
      assert.equal(call.status, 4);
      assert.equal(call.lists.length, 1);
    });
  });

  it('a stream that is idle for too long is ended, and a frame in either direction keeps it', () => {
    start([aStreamRoute({ idleTimeoutMs: 1000 })]);
    const call = stack.settle(app.call({ body: null }));
    const { last } = stack.backend('a');
    last.begin();
    for (let i = 0; i < 5; i++) {
      stack.advance(800);
      if (i % 2 === 0) call.data(Buffer.from('.'));
      else last.data(Buffer.from('.'));
      stack.run();
    }
    assert.equal(call.isOver, false);
    stack.advance(1010);
    assert.deepEqual([call.status, call.reason], [4, 'idle-timeout']);
    assert.equal(last.resetCode, 8);
    stack.assertIdle();
  });

  describe('answered by the sidecar itself', () => {
    it('a call of an unknown route gets UNIMPLEMENTED, trailers-only, with a reason', () => {
      start([aRoute({ methods: [CHECK] })]);
      const call = stack.settle(app.call());
      assert.equal(call.isTrailersOnly, true);
      assert.deepEqual([call.status, call.reason], [12, 'unknown-route']);
      assert.equal(call.header(':status'), '200');
      assert.equal(call.header('content-type'), 'application/grpc');
      stack.assertIdle();
    });

    for (const path of [
      '/',
      '/a',
      '/a//b',
      '/a/../b',
      '/a/b/c',
      '/a/b?x',
      '/a/%62',
      `/a/${'b'.repeat(1100)}`,
    ]) {
      it(`a call of the path ${path.slice(0, 20)} gets UNIMPLEMENTED, whatever the routes`, () => {
        start();
        const call = stack.settle(app.call({ path }));
        assert.deepEqual([call.status, call.reason], [12, 'unknown-route']);
      });
    }

    it('the message of a local reply percent-encodes what is not printable', () => {
      start();
      const call = stack.settle(app.call({ path: '/a/\u00e9%' }));
      const message = call.trailer('grpc-message')!;
      assert.match(message, /^[\x20-\x7e]*$/);
      assert.match(decodeURIComponent(message), /no route for/);
      assert.ok(!message.includes('% '), message);
    });

    it('the first route that takes the method gets the call', () => {
      start([
        aRoute({ methods: [CHECK], timeoutMs: 1000 }),
        aRoute({ methods: ['/grpc.health.v1.Health/*'], timeoutMs: 2000 }),
        aRoute({ timeoutMs: 3000 }),
      ]);
      const timeouts = [CHECK, '/grpc.health.v1.Health/Watch', '/other.Service/M'].map((path) => {
        stack.settle(app.call({ path }));
        return Math.round(parseGrpcTimeout(stack.backend('a').last.header('grpc-timeout')!) / 100) * 100;
      });
      assert.deepEqual(timeouts, [1000, 2000, 3000]);
    });

    for (const [what, options] of [
      ['another content type', { contentType: 'text/html' }],
      ['a type that only begins like it', { contentType: 'application/grpcweb' }],
      ['another method', { method: 'GET' }],
    ] as const) {
      it(`a request that is no gRPC gets 415: ${what}`, () => {
        start();
        const call = stack.settle(app.call(options));
        assert.equal(call.header(':status'), '415');
        assert.match(call.body.toString(), /gRPC/);
        assert.equal(call.isEnded, true);
        assert.equal(stack.backend('a').requests.length, 0);
      });
    }

    it('a call gets UNAVAILABLE when there is no endpoint', () => {
      const none = stack.outbound(anUpstream([]));
      const call = stack.app(none.listener).call();
      stack.run();
      assert.deepEqual([call.status, call.reason], [14, 'no-endpoint']);
      assert.equal(call.trailer('outrider-unprocessed'), 'true');
    });

    it('a call gets UNAVAILABLE when no endpoint can be connected to', () => {
      stack.backend('a').mode = 'refuses';
      start();
      const call = app.call();
      stack.advance(100);
      assert.deepEqual([call.status, call.reason], [14, 'connect-failed']);
      assert.match(call.trailer('grpc-message')!, /a:1: ECONNREFUSED/);
      stack.assertIdle();
    });

    for (const [what, respond, status, reason] of [
      ['HTTP 503', 'http-503', 14, 'protocol-error'],
      ['HTTP 404', 'http-404', 12, 'protocol-error'],
      ['HTML with 200', 'html', 2, 'protocol-error'],
      ['no grpc-status', 'no-status', 13, 'protocol-error'],
      ['DATA that ends the stream', 'no-trailers', 13, 'protocol-error'],
      ['a reset', 'reset', 13, 'upstream-reset'],
      ['a reset with CANCEL', 'cancel', 1, 'upstream-reset'],
    ] as const) {
      it(`a status replaces ${what} of an endpoint`, () => {
        start();
        const call = stack.settle(app.call());
        const { last } = stack.backend('a');
        const html: [string, string] = ['content-type', 'text/html'];
        if (respond === 'http-503') last.headers([[':status', '503'], html]).data(Buffer.from('<p>'), 1);
        else if (respond === 'http-404') last.headers([[':status', '404']], Flag.endStream);
        else if (respond === 'html') last.headers([[':status', '200'], html]).data(Buffer.from('<p>'), 1);
        else if (respond === 'no-status') last.begin().headers([['x', 'y']], Flag.endStream);
        else if (respond === 'no-trailers') last.begin().data(Buffer.from('x'), 1);
        else if (respond === 'reset') last.reset(2);
        else last.reset(8);
        stack.run();
        assert.deepEqual([call.status, call.reason], [status, reason]);
        assert.equal(call.header('content-type'), 'application/grpc');
        stack.assertIdle();
      });
    }
  });

  describe('whose caller leaves', () => {
    it('a call whose caller leaves is reset at the endpoint within the turn', () => {
      start([aStreamRoute()]);
      const call = app.call({ body: null, timeout: '10S' });
      stack.settle(call.data(Buffer.alloc(1000)));
      const { last } = stack.backend('a');
      const before = stack.context.wheel.size;
      call.reset();
      stack.turn(); // The reset is read, and passed on with the flush of the same turn.
      stack.turn(); // The endpoint reads.
      assert.equal(last.resetCode, 8);
      assert.equal(stack.context.wheel.size, before - 1);
      stack.assertIdle();
    });

    it('a call whose caller leaves before it was written never gets to the endpoint', () => {
      start();
      const call = app.call({ body: null });
      call.data(MESSAGE);
      stack.settle(call.reset());
      assert.equal(stack.backend('a').requests.length, 0);
      stack.assertIdle();
    });

    it("a caller's lost connection ends all of its calls", () => {
      start();
      for (let i = 0; i < 10; i++) app.call();
      stack.run();
      stack.settle(app.socket.break());
      const { requests } = stack.backend('a');
      assert.deepEqual(
        requests.map(({ resetCode }) => resetCode),
        Array.from({ length: 10 }, () => 8),
      );
      stack.assertIdle();
    });

    it('a call whose caller leaves while it waits for a connection gives up its place', () => {
      stack.backend('a').mode = 'silent';
      start();
      const call = stack.settle(app.call());
      stack.settle(call.reset());
      stack.assertIdle();
    });
  });
});
