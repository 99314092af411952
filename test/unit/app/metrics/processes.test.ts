import assert from 'node:assert/strict';
import { processMetrics } from '../../../../sidecar/app/metrics/processes.js';
import type { ModelReport } from '../../../../sidecar/telemetry/reports.js';

const NAMES = { service: 'digits', instance: 'digits-1', version: '0.1.0' };
const a = (over: Partial<ModelReport>): ModelReport => ({ state: 'ready', why: '', restarts: 0, ...over });

const samplesOf = (models: readonly ModelReport[]) =>
  Object.fromEntries(processMetrics({ ...NAMES, models }).map(({ name, samples }) => [name, samples]));

describe('metrics of processes', () => {
  it('name the sidecar, so that a board can show names beside addresses', () => {
    const labels = { mesh_service: 'digits', sidecar: 'digits-1', version: '0.1.0' };
    assert.deepEqual(samplesOf([])['outrider_info'], [{ labels, value: 1 }]);
  });

  it('add up the restarts of the instances of a version, and count those that are given up', () => {
    const both = [
      a({ name: 'm', version: '1', instance: 1, restarts: 2 }),
      a({ name: 'm', version: '1', instance: 2, restarts: 5, state: 'given-up' }),
      a({ name: 'm', version: '2', restarts: 1 }),
    ];
    const [one, two] = [
      { model: 'm', version: '1' },
      { model: 'm', version: '2' },
    ];
    const found = samplesOf(both);
    const pairs = (values: readonly number[]) => [
      { labels: one, value: values[0] },
      { labels: two, value: values[1] },
    ];
    assert.deepEqual(found['outrider_model_restarts_total'], pairs([7, 1]));
    assert.deepEqual(found['outrider_model_given_up'], pairs([1, 0]));
  });

  it('have no labels for a single process without a name, and nothing of one that is not ours', () => {
    assert.deepEqual(samplesOf([a({ restarts: 3 })])['outrider_model_restarts_total'], [
      { labels: {}, value: 3 },
    ]);
    assert.deepEqual(samplesOf([a({ state: 'foreign' })])['outrider_model_restarts_total'], []);
  });
});
