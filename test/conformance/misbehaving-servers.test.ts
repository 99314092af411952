/**
 * Broken and hostile upstreams behind the outbound listener: each call ends with a proper status in bounded time, the
 * connection is treated as RFC 9113 says, and calls to a healthy upstream go on.
 */

import assert from 'node:assert/strict';
import { status } from '@grpc/grpc-js';
import { ErrorCode, errorCodeOf, FrameType, Setting, windowUpdate } from '../kit/http2/h2-frames.js';
import * as behaviours from '../kit/http2/raw-behaviours.js';
import { rawClient, unaryRequest } from '../kit/http2/raw-client.js';
import type { RawScript } from '../kit/http2/raw-server.js';
import { Caller } from '../kit/interop/client.js';
import { type SidecarBeforeUpstreams, startUpstreams } from '../kit/stack/upstream-bench.js';

const SMALL = behaviours.simpleResponse(10);
/** Calls carry this deadline, so that a hanging one differs from a failing one. */
const DEADLINE_MS = 3000;

interface Expectation {
  readonly name: string;
  readonly script: RawScript;
  /** Statuses the caller may see. */
  readonly codes: readonly number[];
  /** Error codes of the GOAWAY or RST_STREAM the server must get; absent: not looked at. */
  readonly closesWith?: readonly number[];
  readonly closesOn?: number;
  /** Name of the limit that must have counted. */
  readonly limit?: string;
  readonly deadlineMs?: number;
}

const BROKEN = [status.UNAVAILABLE, status.INTERNAL, status.UNKNOWN];

const EXPECTATIONS: readonly Expectation[] = [
  { name: 'answers byte by byte', script: behaviours.answersByteByByte(SMALL), codes: [status.OK] },
  {
    name: 'answers with trailers only',
    script: behaviours.answersTrailersOnly(5, 'gone'),
    codes: [status.NOT_FOUND],
  },
  {
    name: 'sends nine informational answers first',
    script: behaviours.stormsInformational(9, SMALL),
    codes: [status.OK],
  },
  {
    name: 'storms with informational answers',
    script: behaviours.stormsInformational(5000, SMALL),
    codes: BROKEN,
    limit: 'informational',
  },
  { name: 'refuses every stream', script: behaviours.refusesEveryStream(), codes: [status.UNAVAILABLE] },
  { name: 'omits trailers', script: behaviours.omitsTrailers(SMALL), codes: BROKEN },
  { name: 'answers HTML', script: behaviours.answersHtml(), codes: [status.UNIMPLEMENTED, status.UNKNOWN] },
  { name: 'replies in HTTP/1', script: behaviours.repliesInHttp1(), codes: [status.UNAVAILABLE] },
  { name: 'never says SETTINGS', script: behaviours.neverSaysSettings(), codes: [status.UNAVAILABLE] },
  {
    name: 'sends bad HPACK',
    script: behaviours.sendsBadHpack(),
    codes: BROKEN,
    closesWith: [ErrorCode.compressionError],
    closesOn: FrameType.goaway,
  },
  {
    name: 'pushes',
    script: behaviours.pushes(),
    codes: BROKEN,
    closesWith: [ErrorCode.protocolError],
    closesOn: FrameType.goaway,
  },
  {
    name: 'floods with PINGs',
    script: behaviours.floodsWith('pings', 20_000),
    codes: BROKEN,
    closesWith: [ErrorCode.enhanceYourCalm],
    closesOn: FrameType.goaway,
    limit: 'pings',
  },
  {
    name: 'floods with SETTINGS',
    script: behaviours.floodsWith('settings', 20_000),
    codes: BROKEN,
    closesWith: [ErrorCode.enhanceYourCalm],
    closesOn: FrameType.goaway,
    limit: 'settings',
  },
  {
    name: 'never ends a header block',
    script: behaviours.floodsContinuation(500),
    codes: BROKEN,
    closesWith: [ErrorCode.enhanceYourCalm],
    closesOn: FrameType.goaway,
    limit: 'header-block-frames',
  },
  { name: 'closes in the middle of a frame', script: behaviours.closesMidFrame(), codes: BROKEN },
  { name: 'hangs up on a request', script: behaviours.hangsUpOnRequest(), codes: [status.UNAVAILABLE] },
  {
    name: 'allows no stream at all',
    script: behaviours.allowsStreams(0, SMALL, 0),
    codes: [status.UNAVAILABLE, status.DEADLINE_EXCEEDED],
    deadlineMs: 300,
  },
  {
    name: 'stays silent',
    script: behaviours.staysSilent(),
    codes: [status.DEADLINE_EXCEEDED],
    closesWith: [ErrorCode.cancel],
    closesOn: FrameType.rstStream,
    deadlineMs: 300,
  },
];

describe('misbehaving upstreams, behind the outbound listener', () => {
  let bench: SidecarBeforeUpstreams;
  let healthy: Caller;

  before(async () => {
    const scripts = Object.fromEntries(EXPECTATIONS.map(({ name, script }) => [slug(name), script]));
    bench = await startUpstreams({
      healthy: behaviours.answersPlainly(SMALL),
      'overruns-the-window': behaviours.overrunsTheWindow(8 << 20),
      ...scripts,
    });
    healthy = new Caller(bench.target('healthy'));
  });
  after(async () => {
    healthy?.close();
    await bench?.close();
  });

  for (const expected of EXPECTATIONS) {
    it(`${expected.name}: ${expected.codes.map((code) => status[code]).join(' or ')}`, async () => {
      const hitsBefore = expected.limit === undefined ? 0 : await bench.sidecar.limitHits(expected.limit);
      const caller = new Caller(bench.target(slug(expected.name)));
      try {
        const options = { deadline: Date.now() + (expected.deadlineMs ?? DEADLINE_MS) };
        const [reply, neighbour] = await Promise.all([
          caller.unary({}, undefined, options),
          healthy.unary({}, undefined, { deadline: Date.now() + DEADLINE_MS }),
        ]);
        assert.ok(expected.codes.includes(reply.code), `${status[reply.code]}: ${reply.details}`);
        assert.equal(neighbour.code, status.OK, neighbour.details);
      } finally {
        caller.close();
      }
      await assertTold(expected);
      if (expected.limit !== undefined) {
        assert.equal((await bench.sidecar.limitHits(expected.limit)) - hitsBefore, 1);
      }
    });
  }

  it('overruns the window while the caller reads nothing: FLOW_CONTROL_ERROR, and the caller gets an error', async () => {
    const name = 'overruns-the-window';
    const peer = await rawClient(bench.target(name), {
      replenish: false,
      settings: [[Setting.initialWindowSize, 0]],
    });
    peer.send(unaryRequest(1, '/grpc.testing.TestService/UnaryCall'));
    const [server] = bench.server(name).peers;
    const told = await server?.waitFor(
      'the error the server must get',
      ({ type }) => type === FrameType.goaway || type === FrameType.rstStream,
    );
    assert.ok(told !== undefined);
    assert.equal(errorCodeOf(told), ErrorCode.flowControlError);
    peer.send(windowUpdate(0, 1 << 20), windowUpdate(1, 1 << 20));
    const trailers = await peer.waitFor('a status', (frame) => frame.fields?.has('grpc-status') === true);
    assert.ok(BROKEN.includes(Number(trailers.fields?.get('grpc-status'))));
    peer.close();
  });

  it('leaves the sidecar running and the healthy upstream on its first connection', async () => {
    assert.equal((await bench.sidecar.page('/live')).status, 200);
    assert.equal(bench.server('healthy').peers.length, 1);
  });

  async function assertTold(expected: Expectation): Promise<void> {
    if (expected.closesWith === undefined) return;
    const wanted = expected.closesWith;
    const kinds =
      expected.closesOn === undefined ? [FrameType.goaway, FrameType.rstStream] : [expected.closesOn];
    const peer = bench.server(slug(expected.name)).peers.find((one) => one.count(FrameType.headers) > 0);
    const frame = await peer?.waitFor('the error the server must get', (one) =>
      (kinds as readonly number[]).includes(one.type),
    );
    assert.ok(
      frame !== undefined && wanted.includes(errorCodeOf(frame)),
      `told ${frame && errorCodeOf(frame)}`,
    );
  }
});

const slug = (name: string): string => name.toLowerCase().replace(/[^a-z0-9]+/g, '-');
