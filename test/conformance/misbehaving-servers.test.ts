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

const { OK, UNAVAILABLE, INTERNAL, UNKNOWN, NOT_FOUND, UNIMPLEMENTED, DEADLINE_EXCEEDED } = status;
const BROKEN = [UNAVAILABLE, INTERNAL, UNKNOWN];

interface Effects {
  /** Error code of the GOAWAY, or of the RST_STREAM, that the server must get. */
  readonly goaway?: number;
  readonly reset?: number;
  /** Name of the limit that must have counted. */
  readonly limit?: string;
  readonly deadlineMs?: number;
}

/** `codes`: statuses that the caller may see. */
type Expectation = readonly [name: string, script: RawScript, codes: readonly number[], effects?: Effects];

const STORM = behaviours.stormsInformational(5000, SMALL);
/** The server gets ENHANCE_YOUR_CALM for this limit. */
const calmed = (limit: string): Effects => ({ goaway: ErrorCode.enhanceYourCalm, limit });
const SOON: Effects = { deadlineMs: 300 };

const EXPECTATIONS: readonly Expectation[] = [
  ['answers byte by byte', behaviours.answersByteByByte(SMALL), [OK]],
  ['answers with trailers only', behaviours.answersTrailersOnly(5, 'gone'), [NOT_FOUND]],
  ['sends nine informational answers first', behaviours.stormsInformational(9, SMALL), [OK]],
  ['storms with informational answers', STORM, BROKEN, { limit: 'informational' }],
  ['refuses every stream', behaviours.refusesEveryStream(), [UNAVAILABLE]],
  ['omits trailers', behaviours.omitsTrailers(SMALL), BROKEN],
  ['answers HTML', behaviours.answersHtml(), [UNIMPLEMENTED, UNKNOWN]],
  ['replies in HTTP/1', behaviours.repliesInHttp1(), [UNAVAILABLE]],
  ['never says SETTINGS', behaviours.neverSaysSettings(), [UNAVAILABLE]],
  ['sends bad HPACK', behaviours.sendsBadHpack(), BROKEN, { goaway: ErrorCode.compressionError }],
  ['pushes', behaviours.pushes(), BROKEN, { goaway: ErrorCode.protocolError }],
  ['floods with PINGs', behaviours.floodsWith('pings', 20_000), BROKEN, calmed('pings')],
  ['floods with SETTINGS', behaviours.floodsWith('settings', 20_000), BROKEN, calmed('settings')],
  ['never ends a header block', behaviours.floodsContinuation(2_000), BROKEN, calmed('header-block-frames')],
  ['closes in the middle of a frame', behaviours.closesMidFrame(), BROKEN],
  ['hangs up on a request', behaviours.hangsUpOnRequest(), [UNAVAILABLE]],
  ['allows no stream at all', behaviours.allowsStreams(0, SMALL, 0), [UNAVAILABLE, DEADLINE_EXCEEDED], SOON],
  ['stays silent', behaviours.staysSilent(), [DEADLINE_EXCEEDED], { reset: ErrorCode.cancel, ...SOON }],
];

describe('misbehaving upstreams, behind the outbound listener', () => {
  let bench: SidecarBeforeUpstreams;
  let healthy: Caller;

  before(async () => {
    const scripts = Object.fromEntries(EXPECTATIONS.map(([name, script]) => [slug(name), script]));
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

  for (const [name, , codes, effects = {}] of EXPECTATIONS) {
    const { limit, deadlineMs = DEADLINE_MS } = effects;
    it(`${name}: ${codes.map((code) => status[code]).join(' or ')}`, async () => {
      const hitsBefore = limit === undefined ? 0 : await bench.sidecar.limitHits(limit);
      const caller = new Caller(bench.target(slug(name)));
      try {
        const [reply, neighbour] = await Promise.all([
          caller.unary({}, undefined, { deadline: Date.now() + deadlineMs }),
          healthy.unary({}, undefined, { deadline: Date.now() + DEADLINE_MS }),
        ]);
        assert.ok(codes.includes(reply.code), `${status[reply.code]}: ${reply.details}`);
        assert.equal(neighbour.code, OK, neighbour.details);
      } finally {
        caller.close();
      }
      await assertTold(name, effects);
      if (limit !== undefined) assert.equal((await bench.sidecar.limitHits(limit)) - hitsBefore, 1);
    });
  }

  it('overruns the window while the caller reads nothing: FLOW_CONTROL_ERROR, and the caller gets an error', async () => {
    const name = 'overruns-the-window';
    const shut = { replenish: false, settings: [[Setting.initialWindowSize, 0]] } as const;
    const peer = await rawClient(bench.target(name), shut);
    peer.send(unaryRequest(1, '/grpc.testing.TestService/UnaryCall'));
    const [server] = bench.server(name).peers;
    const told = await server?.waitFor(
      'the error the server must get',
      ({ type }) => type === FrameType.goaway || type === FrameType.rstStream,
    );
    assert.equal(told && errorCodeOf(told), ErrorCode.flowControlError);
    peer.send(windowUpdate(0, 1 << 20), windowUpdate(1, 1 << 20));
    const trailers = await peer.waitFor('a status', (frame) => frame.fields?.has('grpc-status') === true);
    assert.ok(BROKEN.includes(Number(trailers.fields?.get('grpc-status'))));
    peer.close();
  });

  it('leaves the sidecar running and the healthy upstream on its first connection', async () => {
    assert.equal((await bench.sidecar.page('/live')).status, 200);
    assert.equal(bench.server('healthy').peers.length, 1);
  });

  async function assertTold(name: string, { goaway, reset }: Effects): Promise<void> {
    const code = goaway ?? reset;
    if (code === undefined) return;
    const type = goaway === undefined ? FrameType.rstStream : FrameType.goaway;
    const peer = bench.server(slug(name)).peers.find((one) => one.count(FrameType.headers) > 0);
    const frame = await peer?.waitFor('the error the server must get', (one) => one.type === type);
    assert.equal(frame && errorCodeOf(frame), code);
  }
});

const slug = (name: string): string => name.toLowerCase().replace(/[^a-z0-9]+/g, '-');
