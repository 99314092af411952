import assert from 'node:assert/strict';
import { endpointStateOf, happenedBetween, ownState } from '../../../../sidecar/admin/history/seen.js';
import type { LifeReport, ModelReport } from '../../../../sidecar/telemetry/reports.js';
import { anEndpoint, aStatusReport } from '../../../kit/stack/admin-view.js';

const model = (state: ModelReport['state'], restarts = 0) =>
  aStatusReport({ service: 'digits', model: { state, why: '', restarts } });
const life = (version: string, state: string): LifeReport => ({
  name: 'm',
  version,
  state,
  why: '',
  since: '',
});

describe('what a status says of a replica', () => {
  it('is the state of its model, of its drain, and of what speaks against it', () => {
    assert.equal(ownState(model('ready')), 'ready');
    assert.equal(ownState(model('backoff')), 'restarting');
    assert.equal(ownState(model('ready', 2), model('ready', 1)), 'restarting');
    assert.equal(ownState(aStatusReport({ notReady: ['draining', 'no model'] })), 'draining');
    assert.equal(ownState(aStatusReport({ notReady: ['no certificate'] })), 'down');
  });

  it('is what a caller holds against it', () => {
    assert.equal(endpointStateOf(anEndpoint({ state: 'standby' })), 'ready');
    assert.equal(endpointStateOf(anEndpoint({ state: 'probing' })), 'ejected');
    assert.equal(endpointStateOf(anEndpoint({ ejections: 3 }), { ejections: 2 }), 'ejected');
    assert.equal(endpointStateOf(anEndpoint({ state: 'unhealthy', mayBeStarting: true })), 'restarting');
    assert.equal(endpointStateOf(anEndpoint({ state: 'disconnected' })), 'down');
    const suspicion = { value: 0.7, isSuspect: true, detector: 'd', why: 'slow' };
    assert.equal(endpointStateOf(anEndpoint({ suspicion })), 'suspect');
    assert.equal(endpointStateOf(anEndpoint({ suspicion: { ...suspicion, isSuspect: false } })), 'ready');
  });
});

describe('what happened between two statuses', () => {
  const texts = (before: Parameters<typeof happenedBetween>[1], after: typeof before) =>
    happenedBetween('d-1', before, after).map(({ kind, service, text }) => `${kind} ${service}: ${text}`);

  it('is ejections and restarts that are new, whatever was before', () => {
    const ejected = (ejections: number) =>
      aStatusReport({
        endpoints: [anEndpoint({ ejections, why: '5 faults in a row', endpoint: 'digits-2' })],
      });
    assert.deepEqual(texts(ejected(2), ejected(3)), [
      'ejection digits: d-1 ejected digits-2: 5 faults in a row',
    ]);
    assert.deepEqual(texts(ejected(3), ejected(3)), []);
    assert.deepEqual(texts(aStatusReport(), ejected(3)), [], 'it was not known before');
    assert.deepEqual(texts(model('ready', 4), model('starting', 5)), [
      'restart digits: the model of d-1 was started again',
    ]);
  });

  it('is a version that begins to serve beside another one, and a drain', () => {
    const lives = (...all: LifeReport[]) => aStatusReport({ service: 'digits', lives: all });
    assert.deepEqual(texts(lives(life('1', 'serving')), lives(life('1', 'draining'), life('2', 'serving'))), [
      'version digits: m version 2 serves at d-1',
    ]);
    assert.deepEqual(
      texts(lives(life('1', 'loading')), lives(life('1', 'serving'))),
      [],
      'the first is no change',
    );
    assert.deepEqual(texts(lives(life('1', 'suspect')), lives(life('1', 'serving'))), []);
    assert.deepEqual(texts(aStatusReport(), aStatusReport({ notReady: ['draining'] })), [
      'drain web: d-1 drains',
    ]);
  });
});
