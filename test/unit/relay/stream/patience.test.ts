import assert from 'node:assert/strict';
import { recordPatience } from '../../../../sidecar/relay/stream/patience.js';

/** A stream whose request is complete, of which parts come at these gaps, ms; whether it is patient after each. */
function patientAfter(
  gapsMs: readonly number[],
  over: { requestEnded?: boolean; holdsResponse?: boolean } = {},
): boolean[] {
  const { requestEnded = true, holdsResponse = false } = over;
  const stream = { isPatient: false };
  const call = { stream, plan: { holdsResponse }, requestEnded, lastResponseMs: 1000, quickReads: 0 };
  return gapsMs.map((gapMs) => {
    const nowMs = call.lastResponseMs + gapMs;
    recordPatience(call, nowMs);
    call.lastResponseMs = nowMs;
    return stream.isPatient;
  });
}

const every = (gapMs: number, times: number): number[] => new Array<number>(times).fill(gapMs);

describe('patience of a stream', () => {
  it('comes with the eighth part in a row that is a quarter of a millisecond behind the one before', () => {
    assert.deepEqual(patientAfter(every(0.25, 10)), [...new Array<boolean>(7).fill(false), true, true, true]);
  });

  it('does not come where parts are further apart, however many there are', () => {
    assert.ok(patientAfter(every(0.26, 1000)).every((isPatient) => !isPatient));
    assert.ok(patientAfter(every(20, 1000)).every((isPatient) => !isPatient));
  });

  it('does not come from one read with many parts, nor from short bursts', () => {
    assert.ok(patientAfter([20, ...every(0, 100)]).every((isPatient) => !isPatient));
    const burst = [20, ...every(0.1, 7)];
    assert.ok(patientAfter([...burst, ...burst, ...burst]).every((isPatient) => !isPatient));
  });

  it('ends with the first part that is late, which waits for nothing', () => {
    assert.deepEqual(patientAfter([...every(0.1, 9), 1, 0.1]).slice(7), [true, true, false, false]);
  });

  it('does not come where the caller may have more to say, nor for a unary answer', () => {
    assert.ok(patientAfter(every(0.1, 100), { requestEnded: false }).every((isPatient) => !isPatient));
    assert.ok(patientAfter(every(0.1, 100), { holdsResponse: true }).every((isPatient) => !isPatient));
  });
});
