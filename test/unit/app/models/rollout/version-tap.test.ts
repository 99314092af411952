/** Copies of calls to the version that a call did not go to. */
import assert from 'node:assert/strict';
import {
  Agreement,
  type CopyTarget,
  Latencies,
  VersionTap,
} from '../../../../../sidecar/app/models/rollout/version-tap.js';
import { MODEL_INFER } from '../../../../../sidecar/codec/inference.js';
import { Status } from '../../../../../sidecar/core/outcome/status.js';
import type { UnaryAnswer } from '../../../../../sidecar/health/model/grpc-client.js';
import { makeField } from '../../../../../sidecar/http2/hpack/field.js';
import { HeaderBlock, StableList } from '../../../../../sidecar/http2/hpack/header-list.js';
import type { InboundCall } from '../../../../../sidecar/inbound/call.js';
import { ChunkList } from '../../../../../sidecar/transport/chunk-list.js';
import type { ResponseTee } from '../../../../../sidecar/transport/response-tee.js';
import { anAppContext } from '../../../../kit/stack/app-context.js';

/** A message of two octets that says nothing, behind its prefix. */
const MESSAGE = Buffer.from([0, 0, 0, 0, 2, 0x0a, 0]);

describe('calls of a version that another is compared with', () => {
  /** What a call is to a tap when it starts, and when its answer has come. */
  const aCall = (): InboundCall => {
    const list = StableList.of([makeField(':path', MODEL_INFER)]);
    const buffered = new ChunkList();
    buffered.add(MESSAGE, 0, MESSAGE.length);
    const call = {
      block: new HeaderBlock(list, [], list.bytes, list.count, false, false),
      plan: { holdsResponse: true },
      attempt: { startMs: 0 },
      tee: null as ResponseTee | null,
      ...{ buffered, requestEnded: true, isReplayable: true },
    };
    return call as unknown as InboundCall;
  };
  const answered = (call: InboundCall): void => call.tee!.add(MESSAGE, 0, MESSAGE.length);

  /** One call whose copy ends with `answer`, before or after the tap is closed. */
  const copied = async (answer: UnaryAnswer, isClosed: boolean): Promise<Agreement> => {
    const { dataPlane } = anAppContext();
    const agreement = new Agreement();
    let end: (answer: UnaryAnswer) => void = () => {};
    const other: CopyTarget = {
      call: () =>
        new Promise((resolve) => {
          end = resolve;
        }),
    };
    const tap = new VersionTap(dataPlane, new Latencies(), agreement, other);
    const call = aCall();
    tap.onStart(call);
    answered(call);
    tap.onEnd(call, Status.OK);
    call.tee!.release();
    if (isClosed) tap.close();
    end(answer);
    await new Promise((resolve) => setImmediate(resolve));
    assert.equal(dataPlane.memory.used, 0);
    return agreement;
  };

  it('count a copy that was not answered as a difference', async () => {
    const { compared, agreed, copies } = await copied({ kind: 'silent', why: 'no answer in 30 s' }, false);
    assert.deepEqual([compared, agreed, copies.errors], [1, 0, 1]);
  });

  it('count nothing of a copy that was cut off by the end of the comparison', async () => {
    const { compared, copies } = await copied({ kind: 'silent', why: 'the connection ended' }, true);
    assert.deepEqual([compared, copies.calls], [0, 0]);
  });

  it('forget how slow the first ones were, and begin anew when they go to another version', () => {
    const agreement = new Agreement();
    for (let i = 0; i < 12; i++) agreement.copies.note(100, false);
    assert.equal(agreement.copies.tally.medianMs, 100);
    for (let i = 0; i < 12; i++) agreement.copies.note(4, false);
    assert.deepEqual(agreement.copies.tally, { calls: 24, errors: 0, recentErrors: 0, medianMs: 4 });
    agreement.turn();
    assert.equal(agreement.copies.calls, 0);
  });

  it('tell of each failure once it is counted', () => {
    const latencies = new Latencies();
    const told: number[] = [];
    latencies.onError = () => told.push(latencies.errors);
    for (const isError of [false, true, true]) latencies.note(4, isError);
    assert.deepEqual(told, [1, 2]);
  });

  it('count how streams end, and have no latency of them', () => {
    const { dataPlane } = anAppContext();
    const latencies = new Latencies();
    const tap = new VersionTap(dataPlane, latencies, new Agreement());
    const end = (status: number, holdsResponse: boolean): void => {
      const call = { ...aCall(), plan: { holdsResponse }, attempt: { startMs: dataPlane.nowMs - 4 } };
      tap.onEnd(call as unknown as InboundCall, status);
    };
    for (const status of [Status.OK, Status.INTERNAL, Status.CANCELLED]) end(status, false);
    assert.deepEqual(latencies.tally, { calls: 2, errors: 1, recentErrors: 1, medianMs: 0 });
    for (let i = 0; i < 9; i++) end(Status.OK, true);
    assert.equal(latencies.tally.medianMs, 0, 'nine are few');
    end(Status.OK, true);
    assert.deepEqual(latencies.tally, { calls: 12, errors: 1, recentErrors: 1, medianMs: 4 });
  });

  it('count the failures among the latest fifty', () => {
    const latencies = new Latencies();
    for (let i = 0; i < 5; i++) latencies.note(4, true);
    for (let i = 0; i < 47; i++) latencies.note(4, false);
    const { calls, errors, recentErrors } = latencies.tally;
    assert.deepEqual([calls, errors, recentErrors], [52, 5, 3]);
  });
});
