/** Copies of calls to the version that a call did not go to. */
import assert from 'node:assert/strict';
import {
  Agreement,
  type CopyTarget,
  Latencies,
  VersionTap,
} from '../../../../../sidecar/app/models/rollout/version-tap.js';
import { MODEL_INFER } from '../../../../../sidecar/codec/inference.js';
import { outcomesWith } from '../../../../../sidecar/core/outcome/outcome.js';
import { Status } from '../../../../../sidecar/core/outcome/status.js';
import type { UnaryAnswer } from '../../../../../sidecar/health/model/grpc-client.js';
import { makeField } from '../../../../../sidecar/http2/hpack/field.js';
import { HeaderBlock, StableList } from '../../../../../sidecar/http2/hpack/header-list.js';
import type { InboundCall } from '../../../../../sidecar/inbound/call.js';
import { ChunkList } from '../../../../../sidecar/transport/chunk-list.js';
import type { ResponseTee } from '../../../../../sidecar/transport/response-tee.js';
import { anAppContext } from '../../../../kit/stack/app-context.js';
import { Stack } from '../../../../kit/stack/stack.js';

function aContext() {
  const stack = new Stack();
  return { stack, dataPlane: anAppContext(stack).dataPlane };
}

/** A message of two bytes that says nothing, behind its prefix. */
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
  const copied = async (
    answer: UnaryAnswer,
    { isClosed = false, status = Status.OK as number, ofRefused = true } = {},
  ): Promise<Agreement> => {
    const { dataPlane } = anAppContext();
    const agreement = new Agreement();
    let end: (answer: UnaryAnswer) => void = () => {};
    const other: CopyTarget = {
      call: () =>
        new Promise((resolve) => {
          end = resolve;
        }),
    };
    const [own, before] = [new Latencies(), new Latencies()];
    const tap = new VersionTap(dataPlane, { own, before, agreement }, { to: other, ofRefused });
    const call = aCall();
    tap.onStart(call);
    if (status === Status.OK) answered(call);
    tap.onEnd(call, status);
    call.tee!.release();
    if (isClosed) tap.close();
    end(answer);
    await new Promise((resolve) => setImmediate(resolve));
    assert.equal(dataPlane.memory.used, 0);
    return agreement;
  };

  it('count a copy that was not answered as a difference', async () => {
    const { compared, agreed, copies } = await copied({ kind: 'silent', why: 'no answer in 30 s' });
    assert.deepEqual([compared, agreed, copies.errors], [1, 0, 1]);
  });

  it('count nothing of a copy that was cut off by the end of the comparison', async () => {
    const { compared, copies } = await copied(
      { kind: 'silent', why: 'the connection ended' },
      { isClosed: true },
    );
    assert.deepEqual([compared, copies.calls], [0, 0]);
  });

  const refusedBy = (status: number): UnaryAnswer => ({ kind: 'status', status, message: 'no input' });
  const accepted: UnaryAnswer = { kind: 'message', message: MESSAGE.subarray(5) };
  const figuresOf = ({ compared, agreed, alike, sampled }: Agreement) => ({
    compared,
    agreed,
    alike,
    sampled,
  });

  it('ask the version before the same where this one refuses, and count only what that one accepts', async () => {
    const status = Status.INVALID_ARGUMENT;
    const alike = await copied(refusedBy(status), { status });
    assert.deepEqual(figuresOf(alike), { compared: 1, agreed: 1, alike: 1, sampled: 1 });
    const alone = await copied(accepted, { status });
    assert.deepEqual(figuresOf(alone), { compared: 1, agreed: 0, alike: 0, sampled: 1 });
    assert.equal(
      alone.difference,
      'it ended with INVALID_ARGUMENT, and the version before answers the same request',
    );
    const unknown = await copied({ kind: 'silent', why: 'no answer' }, { status });
    assert.equal(unknown.compared, 0, 'the copy said nothing');
    const forward = await copied(accepted, { status, ofRefused: false });
    assert.equal(forward.compared, 0, 'what the version that serves refuses says nothing of the other');
  });

  it('say nothing by a copy that lacks the metadata of its call', async () => {
    for (const status of [Status.UNAUTHENTICATED, Status.PERMISSION_DENIED]) {
      assert.equal((await copied(refusedBy(status))).compared, 0);
      assert.equal((await copied(accepted, { status })).compared, 0);
    }
  });

  it('count a fault of the server as an error, and the mistake of a caller as refused', () => {
    const { dataPlane, stack } = aContext();
    stack.clock.advance(2_000);
    const own = new Latencies();
    const before = new Latencies();
    for (let i = 0; i < 20; i++) before.note(40, 'ok');
    const tap = new VersionTap(dataPlane, { own, before, agreement: new Agreement() });
    const end = (status: number, overrides: object = {}): string => {
      const was = own.tally;
      const call = { ...aCall(), attempt: { startMs: dataPlane.nowMs - 30 }, deadlineMs: Infinity };
      tap.onEnd({ ...call, ...overrides } as unknown as InboundCall, status);
      const { errors, refused = 0, calls } = own.tally;
      if (errors > was.errors) return 'fault';
      if (refused > was.refused!) return 'refused';
      return calls > was.calls ? 'ok' : 'not counted';
    };
    const { OK, INVALID_ARGUMENT, NOT_FOUND, ALREADY_EXISTS, PERMISSION_DENIED, UNAUTHENTICATED } = Status;
    const { FAILED_PRECONDITION, OUT_OF_RANGE, CANCELLED, DEADLINE_EXCEEDED, RESOURCE_EXHAUSTED } = Status;
    assert.equal(end(OK), 'ok');
    for (const status of [INVALID_ARGUMENT, NOT_FOUND, ALREADY_EXISTS, PERMISSION_DENIED, UNAUTHENTICATED])
      assert.equal(end(status), 'refused');
    for (const status of [FAILED_PRECONDITION, OUT_OF_RANGE, RESOURCE_EXHAUSTED])
      assert.equal(end(status), 'refused');
    assert.equal(end(CANCELLED), 'not counted');
    for (const status of [Status.UNKNOWN, Status.INTERNAL, Status.UNAVAILABLE, Status.DATA_LOSS])
      assert.equal(end(status), 'fault');
    assert.equal(end(DEADLINE_EXCEEDED, { deadlineMs: dataPlane.nowMs }), 'refused', 'no version has 30 ms');
    const late = { attempt: { startMs: dataPlane.nowMs - 80 }, deadlineMs: dataPlane.nowMs };
    assert.equal(end(DEADLINE_EXCEEDED, late), 'fault', 'the version before needs 40 ms');
    const outcomes = outcomesWith({ fault: [NOT_FOUND] });
    assert.equal(end(NOT_FOUND, { match: { plan: { outcomes } } }), 'fault', 'as the route says');
  });

  it('forget how slow the first ones were, and begin anew when they go to another version', () => {
    const agreement = new Agreement();
    for (let i = 0; i < 12; i++) agreement.copies.note(100, 'ok');
    assert.equal(agreement.copies.tally.medianMs, 100);
    for (let i = 0; i < 12; i++) agreement.copies.note(4, 'ok');
    assert.deepEqual(agreement.copies.tally, {
      ...{ calls: 24, errors: 0, recentErrors: 0, medianMs: 4, refused: 0 },
      phase: { calls: 0, refused: 0 },
    });
    agreement.turn();
    assert.equal(agreement.copies.calls, 0);
  });

  it('tell of each failure once it is counted', () => {
    const latencies = new Latencies();
    const told: number[] = [];
    latencies.onError = () => told.push(latencies.errors);
    for (const end of ['ok', 'fault', 'refused', 'fault'] as const) latencies.note(4, end);
    assert.deepEqual(told, [1, 2]);
  });

  it('count how streams end, and have no latency of them', () => {
    const { dataPlane } = anAppContext();
    const latencies = new Latencies();
    const counts = { own: latencies, before: new Latencies(), agreement: new Agreement() };
    const tap = new VersionTap(dataPlane, counts);
    const end = (status: number, holdsResponse: boolean): void => {
      const call = { ...aCall(), plan: { holdsResponse }, attempt: { startMs: dataPlane.nowMs - 4 } };
      tap.onEnd(call as unknown as InboundCall, status);
    };
    for (const status of [Status.OK, Status.INTERNAL, Status.CANCELLED]) end(status, false);
    const tallied = () => {
      const { calls, errors, recentErrors, medianMs } = latencies.tally;
      return { calls, errors, recentErrors, medianMs };
    };
    assert.deepEqual(tallied(), { calls: 2, errors: 1, recentErrors: 1, medianMs: 0 });
    for (let i = 0; i < 9; i++) end(Status.OK, true);
    assert.equal(latencies.tally.medianMs, 0, 'nine are few');
    end(Status.OK, true);
    assert.deepEqual(tallied(), { calls: 12, errors: 1, recentErrors: 1, medianMs: 4 });
  });

  it('count the failures among the latest fifty', () => {
    const latencies = new Latencies();
    for (let i = 0; i < 5; i++) latencies.note(4, 'fault');
    for (let i = 0; i < 47; i++) latencies.note(4, 'ok');
    const { calls, errors, recentErrors } = latencies.tally;
    assert.deepEqual([calls, errors, recentErrors], [52, 5, 3]);
  });
});
