import assert from 'node:assert/strict';
import type { EndedCall, Recorder } from '../../../sidecar/telemetry/call-record.js';
import { Recorders } from '../../../sidecar/telemetry/recorders.js';

describe('the recorders of calls', () => {
  it('are none, one or two, and the data plane has one or none', () => {
    const context: { recorder: Recorder | null } = { recorder: null };
    const told: string[] = [];
    const recorders = new Recorders(context);
    const of = (name: string): Recorder => ({ record: () => void told.push(name) });
    const record = (): string => {
      told.length = 0;
      context.recorder?.record({} as EndedCall, 0);
      return told.join();
    };
    assert.equal(record(), '');
    recorders.set('log', of('log'));
    assert.equal(record(), 'log');
    recorders.set('traces', of('traces'));
    assert.equal(record(), 'traces,log');
    recorders.set('log', null);
    assert.equal(record(), 'traces');
    recorders.set('traces', null);
    assert.equal(context.recorder, null);
  });
});
