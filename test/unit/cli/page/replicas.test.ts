import assert from 'node:assert/strict';
import type { StatusReport } from '../../../../sidecar/admin/status.js';
import { MeshView } from '../../../../sidecar/cli/page/mesh-view.js';
import { replicasOf, worstStrip } from '../../../../sidecar/cli/page/replicas.js';
import { SLOT_MS } from '../../../../sidecar/core/history/half-hour.js';
import { stateOfCode } from '../../../../sidecar/core/history/replica-state.js';
import { anEndpoint, aStatusReport } from '../../../kit/stack/admin-view.js';

const replica = (over: Partial<StatusReport> = {}) =>
  aStatusReport({
    service: 'digits',
    instance: 'digits-1',
    model: { state: 'ready', why: '', restarts: 0 },
    ...over,
  });
const caller = (name: string, over: Parameters<typeof anEndpoint>[0] = {}) => ({
  name,
  report: aStatusReport({ instance: name, endpoints: [anEndpoint(over)] }),
});
const EJECTED = { state: 'ejected', why: '5 faults in a row', untilMs: 12_000, ejections: 1 } as const;

describe('the replicas of a service', () => {
  const now = (answers: Parameters<MeshView['take']>[0]) => {
    const view = new MeshView();
    view.take(answers, 0);
    return replicasOf('digits', view.moment(0), { first: 0, last: 0 }).map(({ name, state, tone, why }) => [
      name,
      state,
      tone,
      why,
    ]);
  };

  it('are as bad as the worst of their callers says, with each reason once', () => {
    const own = { name: 'digits-1', report: replica() };
    assert.deepEqual(now([own, caller('web-1')]), [['digits-1', 'ready', 'good', '']]);
    assert.deepEqual(now([own, caller('web-1', EJECTED), caller('web-2', EJECTED), caller('web-3')]), [
      ['digits-1', 'ejected', 'bad', 'by web-1, web-2 (12 s to go): 5 faults in a row'],
    ]);
    const suspicion = { value: 0.7, isSuspect: true, detector: 'd', why: 'it takes longer' };
    assert.deepEqual(now([own, caller('web-1', { suspicion })]), [
      ['digits-1', 'suspect', 'warn', 'by web-1: it takes longer'],
    ]);
  });

  it('say themselves that they drain, start, are not ready, or nothing at all', () => {
    const own = (over: Partial<StatusReport>) =>
      now([{ name: 'digits-1', report: replica({ ready: false, ...over }) }])[0];
    assert.deepEqual(own({ notReady: ['draining'] }), ['digits-1', 'draining', 'warn', 'draining']);
    const model = { state: 'starting', why: '', restarts: 1 } as const;
    assert.deepEqual(own({ notReady: ['the model is starting'], model }), [
      'digits-1',
      'restarting',
      'warn',
      'the model is starting',
    ]);
    const unreached = ['upstream digits: it has no endpoint'];
    assert.deepEqual(own({ ready: true, notReady: [], unreached }), [
      'digits-1',
      'ready',
      'good',
      unreached[0],
    ]);
    assert.deepEqual(own({ notReady: ['no certificate'] }), [
      'digits-1',
      'not ready',
      'bad',
      'no certificate',
    ]);
    const gone = { name: 'digits-1', problem: 'refused' };
    const view = new MeshView();
    view.take([{ name: 'digits-1', report: replica() }], 0);
    view.take([gone], SLOT_MS);
    const [found] = replicasOf('digits', view.moment(SLOT_MS), { first: 0, last: 1 });
    assert.deepEqual([found!.state, found!.tone, found!.why], ['no answer', 'bad', 'refused']);
  });

  it('are endpoints too that have no sidecar here', () => {
    assert.deepEqual(now([caller('web-1', { endpoint: '10.0.0.5:80' })]), [
      ['10.0.0.5:80', 'ready', 'good', ''],
    ]);
  });

  it('have a strip of the most severe that they and their callers say in each slot', () => {
    const view = new MeshView();
    const seen: readonly [Partial<StatusReport>, Parameters<typeof anEndpoint>[0]][] = [
      [{}, {}],
      [{}, EJECTED],
      [{ notReady: ['draining'] }, EJECTED],
      [{ model: { state: 'backoff', why: '', restarts: 0 } }, { ...EJECTED, state: 'eligible' }],
    ];
    seen.forEach(([own, endpoint], i) => {
      view.take([{ name: 'digits-1', report: replica(own) }, caller('web-1', endpoint)], i * SLOT_MS);
    });
    const replicas = replicasOf('digits', view.moment(3 * SLOT_MS), { first: -1, last: 3 });
    const expected = ['none', 'ready', 'ejected', 'draining', 'restarting'];
    assert.deepEqual(replicas[0]!.strip.map(stateOfCode), expected);
    assert.deepEqual(worstStrip(replicas).map(stateOfCode), expected);
    assert.deepEqual(worstStrip([]), []);
  });
});
