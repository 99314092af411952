/**
 * The eight negative HTTP/2 cases of the gRPC project: a server that misbehaves in one way, a sidecar's client role
 * in front of it, and a stock client that must see what the case says.
 */

import assert from 'node:assert/strict';
import { status } from '@grpc/grpc-js';
import { Flag, type Frame, FrameType } from '../kit/http2/h2-frames.js';
import * as behaviours from '../kit/http2/raw-behaviours.js';
import type { RawCall } from '../kit/http2/raw-server.js';
import { largeUnary } from '../kit/interop/cases.js';
import { Caller } from '../kit/interop/client.js';
import { type SidecarBeforeUpstreams, startUpstreams } from '../kit/stack/upstream-bench.js';

const BODY = behaviours.simpleResponse(314_159);

describe('negative HTTP/2 cases of gRPC, behind the outbound listener', () => {
  let bench: SidecarBeforeUpstreams;
  const callers: Caller[] = [];
  let running: RawCall[] = [];
  let mostAtOnce = 0;

  before(async () => {
    bench = await startUpstreams({
      goaway: behaviours.goesAwayAfterFirst(BODY),
      rst_after_header: behaviours.resetsAfterHeaders(),
      rst_during_data: behaviours.resetsDuringData(BODY),
      rst_after_data: behaviours.resetsAfterData(BODY),
      ping: behaviours.pingsAllAlong(BODY),
      max_streams: {
        ...behaviours.allowsStreams(1, BODY, 5),
        onHeaders(call) {
          running = running.filter(({ peer, streamId }) => !peer.hasEnded(streamId) && !peer.isClosed);
          running.push(call);
          mostAtOnce = Math.max(mostAtOnce, running.filter(({ peer }) => peer === call.peer).length);
        },
      },
      data_frame_padding: behaviours.answersInFiveByteFrames(BODY, 255),
      no_df_padding: behaviours.answersInFiveByteFrames(BODY, undefined),
    });
  });
  after(async () => {
    for (const caller of callers) caller.close();
    await bench?.close();
  });

  function callerOf(name: string): Caller {
    const caller = new Caller(bench.target(name));
    callers.push(caller);
    return caller;
  }

  it('goaway: the call after it goes out on a new connection', async () => {
    const caller = callerOf('goaway');
    await largeUnary(caller);
    await largeUnary(caller);
    assert.ok(bench.server('goaway').peers.length >= 2);
    assert.equal(bench.server('goaway').calls, 2);
  });

  for (const name of ['rst_after_header', 'rst_during_data', 'rst_after_data']) {
    it(`${name}: the call fails`, async () => {
      const { code } = await callerOf(name).unary({ response_size: 314_159 });
      assert.notEqual(code, status.OK);
      assert.notEqual(code, status.DEADLINE_EXCEEDED);
    });
  }

  it('ping: every PING is acknowledged', async () => {
    await largeUnary(callerOf('ping'));
    const [peer] = bench.server('ping').peers;
    for (const opaque of ['pingbef1', 'pingbef2', 'pingbef3', 'pingafte']) {
      const isAck = ({ type, flags, payload }: Frame): boolean =>
        type === FrameType.ping && (flags & Flag.ack) !== 0 && payload.toString() === opaque;
      await peer?.waitFor(`acknowledgement of ${opaque}`, isAck);
    }
  });

  it('max_streams: never more than the one stream that a connection allows', async () => {
    const caller = callerOf('max_streams');
    await largeUnary(caller);
    await Promise.all(Array.from({ length: 10 }, () => largeUnary(caller)));
    assert.deepEqual([bench.server('max_streams').calls, mostAtOnce], [11, 1]);
  });

  it('data_frame_padding: padding is counted by flow control and dropped', () =>
    largeUnary(callerOf('data_frame_padding')));

  it('no_df_padding: the same without padding', () => largeUnary(callerOf('no_df_padding')));

  it('leaves the sidecar running', async () => {
    assert.equal((await bench.sidecar.page('/live')).status, 200);
  });
});
