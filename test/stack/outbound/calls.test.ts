/** Single outbound calls: routes, deadlines, headers on their way, and local replies. */
import assert from 'node:assert/strict';
import { parseGrpcTimeout } from '../../../sidecar/core/deadline/grpc-timeout.js';
import { Flag } from '../../kit/http2/h2-frames.js';
import type { Field } from '../../kit/http2/hpack-lite.js';
import type { PeerStream } from '../../kit/http2/scripted-peer.js';
import { UpstreamStack, type UpstreamStackOptions } from '../../kit/scenario/upstream-stack.js';
import { assertEnd, assertUnprocessed } from '../../kit/stack/call-ends.js';
import { anUpstream, aRoute, aStreamRoute, MESSAGE } from '../../kit/stack/stack.js';

const CHECK = '/grpc.health.v1.Health/Check';
const HTML: Field = ['content-type', 'text/html'];
const PAGE = Buffer.from('<p>');

const CALL_FIELDS: readonly Field[] = [
  [':method', 'POST'],
  [':scheme', 'http'],
  [':path', '/a.B/C'],
  ['content-type', 'application/grpc'],
  ['te', 'trailers'],
];

describe('Outbound: a call', () => {
  let stack: UpstreamStack;

  const start = (routes = [aRoute()], over = {}, options: UpstreamStackOptions = {}): UpstreamStack => {
    stack = new UpstreamStack(['a'], { routes, ...over }, options);
    return stack;
  };
  /** The newest request at the endpoint. */
  const last = (): PeerStream => stack.backend('a').last;

  describe('on its way', () => {
    it('a call goes to an endpoint, and its response to the caller', () => {
      start();
      stack.answers((stream) => stream.reply(Buffer.from('seven'), 0, [['x-trace', 'done']]));
      const call = stack.call();
      assertEnd(call, [0], { 'x-trace': 'done' });
      assert.equal(call.body.toString(), 'seven');
      assert.deepEqual(last().body, MESSAGE);
    });

    it('a request carries the authority and the scheme of the mesh, not those of the application', () => {
      start().call({ authority: 'localhost:50051' });
      const pseudo = [':authority', ':scheme', ':method'].map((name) => last().header(name));
      assert.deepEqual(pseudo, ['digits', 'https', 'POST']);
      const names = last().lists[0]!.map(([name]) => name[0]);
      assert.deepEqual(names.slice(0, 4), [':', ':', ':', ':'], 'pseudo-headers come first');
    });

    it('forwarded headers of a proxy before the application are passed on', () => {
      start().call({ metadata: [['forwarded', 'for=10.0.0.1']] });
      assert.equal(last().header('forwarded'), 'for=10.0.0.1');
    });

    it('a request to an upstream outside the mesh has the scheme http', () => {
      start([aRoute()], { tls: 'plaintext' }).call();
      assert.equal(last().header(':scheme'), 'http');
    });

    it('metadata is passed on in its order, binary and repeated fields too', () => {
      start();
      const ones = ['1', '2'];
      const traces = ['AAECAw', 'BAUGBwg='];
      const metadata = ones.flatMap((one, i): Field[] => [
        ['x-one', one],
        ['trace-bin', traces[i]!],
      ]);
      stack.call({ metadata });
      assert.deepEqual([valuesOf('x-one'), valuesOf('trace-bin')], [ones, traces]);
    });

    it('binary metadata with several values in one field goes on in as many fields', () => {
      start();
      const metadata: Field[] = [
        ['a-bin', 'AAEC'],
        ['a-bin', 'BAUG, BwgJCg'],
        ['a-bin', 'AA=='],
        ['x-one', '1'],
      ];
      for (let n = 0; n < 4; n++) {
        stack.call({ metadata });
        assert.deepEqual(valuesOf('a-bin'), ['AAEC', 'BAUG', 'BwgJCg', 'AA==']);
        assert.deepEqual(valuesOf('x-one'), ['1']);
      }
    });

    it('binary metadata that is not base64 goes to no endpoint, which would be blamed, or end the connection', () => {
      start();
      for (const value of ['!', 'AAF=', 'A', 'AA-_', 'AAEC,?', 'A=', 'é'])
        for (const body of [null, MESSAGE, MESSAGE]) {
          const call = stack.call({ metadata: [['a-bin', value]], body });
          assertEnd(call, [13, 'protocol-error'], { 'grpc-message': /the metadata a-bin is not base64$/ });
        }
      assert.equal(stack.backend('a').requests.length, 0);
      stack.assertIdle();
    });

    it('a very long path and very long metadata are passed on', () => {
      const method = `/pkg.${'S'.repeat(400)}/${'m'.repeat(500)}`;
      start();
      stack.answers((stream) => stream.reply());
      const call = stack.call({ path: method, metadata: [['x-long', 'v'.repeat(9000)]] });
      assert.deepEqual([last().header(':path'), last().header(':authority')], [method, 'digits']);
      assert.deepEqual([last().header('x-long')?.length, call.status], [9000, 0]);
    });

    it('outrider-* metadata of the application is stripped', () => {
      start();
      const metadata = ['outrider-caller', 'outrider-unprocessed'].map((name): Field => [name, 'true']);
      stack.call({ metadata });
      const names = last().lists[0]!.map(([name]) => name);
      assert.ok(!names.some((name) => name.startsWith('outrider-')), `${names}`);
    });

    const valuesOf = (name: string): string[] =>
      last()
        .lists[0]!.filter(([key]) => key === name)
        .map(([, value]) => value);

    for (const said of ['1', '9', '0', '10', '-1', 'many', '']) {
      const sent = ['1', '9'].includes(said) ? [said] : [];
      it(`says that the caller has tried "${said}" times before as ${sent[0] ?? 'nothing'}`, () => {
        start().call({ metadata: [['grpc-previous-rpc-attempts', said]] });
        assert.deepEqual(valuesOf('grpc-previous-rpc-attempts'), sent);
      });
    }

    it('outrider-* metadata of a response is believed from the mesh, and stripped from others', () => {
      start();
      stack.answers((stream) => stream.fail(3, [['outrider-reason', 'too-large']]));
      assert.equal(stack.call().reason, 'too-large');
      const foreign = stack.outbound(anUpstream(['b'], { tls: 'plaintext' }));
      stack.backend('b').answer = (stream) =>
        stream.begin([['outrider-caller', 'x']]).trailers(3, [['outrider-reason', 'too-large']]);
      const outside = stack.settle(stack.app(foreign.listener).call());
      assertEnd(outside, [3]);
      assert.equal(outside.header('outrider-caller'), undefined);
    });

    it('both directions of a stream are relayed message by message before either has ended', () => {
      const call = start([aStreamRoute()]).call({ body: null });
      stack.settle(call.data(Buffer.from('one')));
      stack.settle(last().begin());
      assert.equal(call.header(':status'), '200', 'response headers are passed on at once');
      stack.settle(last().data(Buffer.from('uno')));
      assert.equal(call.body.toString(), 'uno');
      stack.settle(call.data(Buffer.from('two')));
      assert.equal(last().body.toString(), 'onetwo');
      stack.settle(call.end());
      assert.equal(last().isEnded, true);
      stack.settle(last().trailers(0));
      assert.equal(call.status, 0);
    });

    it('a response that is complete before its request is passed on', () => {
      const call = start([aStreamRoute()]).call({ body: null });
      stack.settle(call.data(Buffer.from('one')));
      stack.settle(last().fail(9));
      assert.equal(call.status, 9);
      stack.settle(call.data(Buffer.from('late')));
    });

    it('request trailers end the request', () => {
      const call = start().call({ body: null });
      stack.settle(call.data(MESSAGE).headers([['x-late', '1']], Flag.endStream));
      assert.deepEqual([last().isEnded, last().lists.length], [true, 1]);
      stack.settle(last().reply());
      assert.equal(call.status, 0);
    });

    it('a call without a message is relayed', () => {
      start();
      stack.answers((stream) => stream.begin().trailers(0));
      const call = stack.call({ body: Buffer.alloc(0) });
      assert.deepEqual([call.status, call.bytes], [0, 0]);
    });
  });

  describe('and its deadline', () => {
    const sent = (): number => parseGrpcTimeout(last().header('grpc-timeout') ?? '');

    for (const [asked, route, expected] of [
      ['2S', 15_000, 2000],
      ['60S', 15_000, 15_000],
      [undefined, 15_000, 15_000],
      ['nonsense', 1000, 1000],
      ['99999999H', 0, 2_147_483_647],
    ] as const) {
      it(`the deadline is ${expected} ms when the caller allows ${asked} and the route ${route}`, () => {
        start([aRoute({ timeoutMs: route })]).call(asked === undefined ? {} : { timeout: asked });
        assert.ok(sent() <= expected && sent() > expected * 0.98, `${sent()}`);
      });
    }

    it('a call has no deadline when neither its caller nor its route sets one', () => {
      start([aStreamRoute()]).call();
      assert.equal(last().header('grpc-timeout'), undefined);
    });

    it('a call that had to wait tells its endpoint the time that is left', () => {
      start([aRoute()], {}, { peer: { settings: null } }).caller.call({ timeout: '900m' });
      stack.advance(500);
      stack.settle(stack.backend('a').peer.announce([]));
      assert.equal(sent(), 400);
    });

    it('grpc-timeout never becomes zero, however little time is left', () => {
      start().call({ timeout: '1n' });
      assert.ok(sent() > 0 && sent() <= 0.000_001);
    });

    it('a deadline ends the call with DEADLINE_EXCEEDED and resets its attempt', () => {
      const call = start().caller.call({ timeout: '200m' });
      stack.advance(199);
      assert.equal(call.isOver, false);
      stack.advance(10);
      assertEnd(call, [4, 'deadline-exceeded'], { 'grpc-message': /deadline of 200 ms exceeded/ });
      assert.deepEqual([call.isTrailersOnly, last().resetCode], [true, 8]);
    });

    it('a deadline ends a stream that has begun in its trailers', () => {
      const call = start([aStreamRoute()]).call({ timeout: '200m' });
      last().begin().data(Buffer.from('part'));
      stack.advance(250);
      assertEnd(call, [4, 'deadline-exceeded']);
      assert.deepEqual([call.body.toString(), call.lists.length, last().resetCode], ['part', 2, 8]);
    });

    it('a call whose deadline has passed on arrival goes to no endpoint', () => {
      start();
      assertEnd(stack.call({ timeout: '0m' }), [4, 'deadline-exceeded']);
      assert.equal(stack.requests.length, 0);
    });

    it('a response after the deadline is dropped', () => {
      const call = start().call({ timeout: '100m' });
      stack.advance(150);
      stack.settle(last().reply());
      assert.deepEqual([call.status, call.lists.length], [4, 1]);
    });
  });

  it('a stream that is idle for too long is ended, and a frame in either direction keeps it', () => {
    const call = start([aStreamRoute({ idleTimeoutMs: 1000 })]).call({ body: null });
    last().begin();
    for (let i = 0; i < 5; i++) {
      stack.advance(800);
      stack.settle((i % 2 === 0 ? call : last()).data(Buffer.from('.')));
    }
    assert.equal(call.isOver, false);
    stack.advance(1010);
    assertEnd(call, [4, 'idle-timeout']);
    assert.equal(last().resetCode, 8);
  });

  describe('answered by the sidecar itself', () => {
    it('a call of an unknown route gets UNIMPLEMENTED, trailers-only, with a reason', () => {
      const call = start([aRoute({ methods: [CHECK] })]).call();
      assertEnd(call, [12, 'unknown-route'], { ':status': '200', 'content-type': 'application/grpc' });
      assert.equal(call.isTrailersOnly, true);
    });

    const long = `/a/${'b'.repeat(1100)}`;
    for (const path of ['/', '/a', '/a//b', '/a/../b', '/a/b/c', '/a/b?x', '/a/%62', long]) {
      it(`a call of the path ${path.slice(0, 20)} gets UNIMPLEMENTED, whatever the routes`, () => {
        start();
        assertEnd(stack.call({ path }), [12, 'unknown-route']);
      });
    }

    it('the message of a local reply percent-encodes what is not printable', () => {
      start();
      const message = stack.call({ path: '/a/\u00e9%' }).trailer('grpc-message')!;
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
        stack.call({ path });
        return Math.round(parseGrpcTimeout(last().header('grpc-timeout')!) / 100) * 100;
      });
      assert.deepEqual(timeouts, [1000, 2000, 3000]);
    });

    for (const [what, options] of [
      ['another content type', { contentType: 'text/html' }],
      ['a type that only begins like it', { contentType: 'application/grpcweb' }],
      ['another method', { method: 'GET' }],
    ] as const) {
      it(`a request that is no gRPC gets 415: ${what}`, () => {
        const call = start().call(options);
        assert.match(call.body.toString(), /gRPC/);
        assert.deepEqual([call.header(':status'), call.isEnded, stack.requests.length], ['415', true, 0]);
      });
    }

    it('a call gets UNAVAILABLE when there is no endpoint', () => {
      stack = new UpstreamStack([]);
      assertUnprocessed(stack.call(), [14, 'no-endpoint']);
    });

    it('a call gets UNAVAILABLE when no endpoint can be connected to', () => {
      const call = start([aRoute()], {}, { mode: 'refuses' }).caller.call();
      stack.advance(100);
      assertEnd(call, [14, 'connect-failed'], { 'grpc-message': /a:1: ECONNREFUSED/ });
    });

    const answers: [string, (far: PeerStream) => PeerStream, number, string][] = [
      ['HTTP 503', (far) => far.headers([[':status', '503'], HTML]).data(PAGE, 1), 14, 'protocol-error'],
      ['HTTP 404', (far) => far.headers([[':status', '404']], Flag.endStream), 12, 'protocol-error'],
      ['HTML with 200', (far) => far.headers([[':status', '200'], HTML]).data(PAGE, 1), 2, 'protocol-error'],
      ['no grpc-status', (far) => far.begin().headers([['x', 'y']], Flag.endStream), 13, 'protocol-error'],
      ['DATA that ends the stream', (far) => far.begin().data(PAGE, 1), 13, 'protocol-error'],
      ['a reset', (far) => far.reset(2), 13, 'upstream-reset'],
      ['a reset with CANCEL', (far) => far.reset(8), 1, 'upstream-reset'],
    ];
    for (const [what, respond, status, reason] of answers) {
      it(`a status replaces ${what} of an endpoint`, () => {
        const call = start().call();
        stack.settle(respond(last()));
        assertEnd(call, [status, reason]);
        assert.equal(call.header('content-type'), 'application/grpc');
      });
    }

    it('a trailers-only answer of another content type is UNKNOWN, unless it has a status', () => {
      start();
      for (const [more, status] of [
        [[], 2],
        [[['grpc-status', '5']], 5],
      ] as const) {
        const call = stack.call();
        stack.settle(last().headers([[':status', '200'], HTML, ...more], Flag.endStream));
        assert.equal(call.status, status);
      }
    });

    it('a reset with CANCEL at the deadline is the deadline', () => {
      start();
      for (const [afterMs, status, reason] of [
        [900, 1, 'upstream-reset'],
        [995, 4, 'deadline-exceeded'],
        [999, 4, 'deadline-exceeded'],
      ] as const) {
        const call = stack.call({ timeout: '1S' });
        stack.advance(afterMs);
        stack.settle(last().reset(8));
        assertEnd(call, [status, reason]);
      }
    });

    for (const contentType of ['application/grpc', 'application/grpc+proto', 'application/grpc+json'])
      it(`a reply to a request of ${contentType} has the same content type`, () => {
        start([aRoute({ methods: ['/a.B/C'] })]);
        const call = stack.call({ contentType });
        assertEnd(call, [12, 'unknown-route']);
        assert.equal(call.header('content-type'), contentType);
      });

    it('a request without a message ends by DATA of its own, however the caller ended it', () => {
      start();
      for (const flags of [0, Flag.endStream]) {
        const call = stack.caller.request(CALL_FIELDS, flags);
        if (flags === 0) call.end();
        stack.run();
        const frames = stack.backend('a').peer.frames.filter(({ streamId }) => streamId === last().id);
        assert.deepEqual([frames.map((frame) => frame.flags & Flag.endStream), last().isEnded], [[0], true]);
      }
    });

    it('whitespace around the values of metadata is stripped', () => {
      start();
      stack.answers((stream) => stream.reply(Buffer.from('yes'), 0, [['x-back', '\tfrom there ']]));
      const call = stack.call({ metadata: [['x-on', '  to there\t']] });
      assertEnd(call, [0], { 'x-back': 'from there' });
      assert.equal(last().header('x-on'), 'to there');
    });

    it('a host of the caller does not contradict the authority that the endpoint gets', () => {
      start().call({ metadata: [['host', 'evil.example']] });
      assert.deepEqual([last().header(':authority'), last().header('host')], ['digits', undefined]);
    });
  });

  describe('whose caller leaves', () => {
    it('a call whose caller leaves is reset at the endpoint within the turn', () => {
      const call = start([aStreamRoute()]).caller.call({ body: null, timeout: '10S' });
      stack.settle(call.data(Buffer.alloc(1000)));
      const before = stack.context.wheel.size;
      call.reset();
      stack.turn(); // The reset is read, and passed on with the flush of the same turn.
      stack.turn(); // The endpoint reads.
      assert.deepEqual([last().resetCode, stack.context.wheel.size], [8, before - 1]);
    });

    it('a call whose caller leaves before it was written never gets to the endpoint', () => {
      start();
      stack.settle(stack.caller.call({ body: null }).data(MESSAGE).reset());
      assert.equal(stack.requests.length, 0);
    });

    it("a caller's lost connection ends all of its calls", () => {
      start();
      for (let i = 0; i < 10; i++) stack.caller.call();
      stack.run();
      stack.settle(stack.caller.socket.break());
      const codes = stack.requests.map(({ resetCode }) => resetCode);
      assert.deepEqual(codes, new Array(10).fill(8));
    });

    it('a call whose caller leaves while it waits for a connection gives up its place', () => {
      start([aRoute()], {}, { mode: 'silent' });
      stack.settle(stack.call().reset());
    });
  });
});
