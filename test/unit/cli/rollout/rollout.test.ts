import assert from 'node:assert/strict';
import { requireOneMesh, stageOf } from '../../../../sidecar/cli/rollout/rollout.js';
import type { RolloutRecord, RolloutState } from '../../../../sidecar/core/models/rollout.js';

describe('a rollout that names no sidecar', () => {
  const mesh = (meshFile: string, ...instances: readonly string[]) => ({
    meshFile,
    admin: Object.fromEntries(instances.map((name, i) => [name, `127.0.0.1:${9000 + i}`])),
  });
  const demo = mesh('demo.yaml', 'digits-1', 'digits-2', 'digits-lite-1', 'web');

  it('is for the one mesh that has the service, whatever others have', () => {
    requireOneMesh('digits', [demo, mesh('two.yaml', 'digits-lite-1')]);
  });

  it('is refused where two meshes have it: the wrong one could get the version', () => {
    assert.throws(() => requireOneMesh('digits', [demo, mesh('two.yaml', 'digits-1', 'web')]), {
      message:
        'several meshes here have a service digits: 127.0.0.1:9000 of demo.yaml, 127.0.0.1:9000 of two.yaml: name one with --mesh FILE or --admin HOST:PORT',
    });
  });
});

describe('a rollout that is waited for', () => {
  const record = (version: string, startedMs: number, state: RolloutState) =>
    ({
      id: version,
      version,
      startedMs,
      state,
      model: 'digits',
      from: '1',
      replicas: [],
    }) as unknown as RolloutRecord;
  const begun = record('2', 2_000, 'running');
  const stage = (found?: RolloutRecord) => stageOf(found === undefined ? {} : { record: found }, begun);

  it('is not over where a replica still has the end of the one before it', () => {
    assert.equal(stage(record('1', 1_000, 'done')), 'not yet');
    assert.equal(stage(), 'not yet');
    assert.equal(stage(begun), 'under way');
    assert.equal(stage({ ...begun, state: 'rolled-back' }), 'over');
  });

  it('has an end that is not known once another one has begun', () => {
    assert.throws(
      () => stage(record('3', 3_000, 'running')),
      /another rollout has begun since: digits .* to 3/,
    );
  });
});
