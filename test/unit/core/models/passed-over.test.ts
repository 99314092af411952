/** Which versions no rollout begins of by itself, after rollouts that have ended without them. */
import assert from 'node:assert/strict';
import { whyPassedOver } from '../../../../sidecar/core/models/passed-over.js';
import {
  beginRollout,
  type RolloutRecord,
  type RolloutState,
} from '../../../../sidecar/core/models/rollout.js';
import { readRollout } from '../../../../sidecar/core/models/rollout-format.js';
import { LATEST } from '../../../../sidecar/core/models/version-policy.js';

const SETTINGS = { windowMs: 10_000, agreement: 0.98, samples: 50, canary: 0, maxLatency: 2, loadMs: 60_000 };
const NAMED = { kind: 'specific', versions: ['2'] } as const;

/** Rollouts of a service, one after the other. */
class Rollouts {
  record: RolloutRecord | undefined;

  /** `step`: `MODEL FROM TO`. */
  end(step: string, state: RolloutState, isFollowed = false): this {
    const [model, from, version] = step.split(' ') as [string, string, string];
    const plan = { service: 'mine', model, from, version, settings: SETTINGS, instances: ['mine-1'] };
    const made = beginRollout(this.record, { ...plan, isFollowed }, 0);
    assert.ok('record' in made, JSON.stringify(made));
    // As another replica reads it.
    this.record = readRollout(JSON.parse(JSON.stringify({ ...made.record, state })));
    assert.ok(this.record !== undefined);
    return this;
  }

  /** `revision`: `MODEL VERSION`. */
  why(revision: string, policy: Parameters<typeof whyPassedOver>[2] = LATEST): string | undefined {
    const [name, version] = revision.split(' ') as [string, string];
    return whyPassedOver(this.record, { name, version }, policy);
  }
}

describe('versions that are passed over', () => {
  let rollouts: Rollouts;
  beforeEach(() => {
    rollouts = new Rollouts();
  });

  it('are none before the first rollout, after good ones, and while one goes on', () => {
    assert.equal(rollouts.why('digits 2'), undefined);
    assert.equal(rollouts.end('digits 1 2', 'done').why('digits 2'), undefined);
    assert.equal(rollouts.end('digits 2 3', 'running').why('digits 3'), undefined);
    assert.equal(rollouts.record!.passedOver, undefined);
  });

  it('are those that an operator has gone back from, and what is below them', () => {
    rollouts.end('digits 1 2', 'done').end('digits 2 3', 'done').end('digits 3 1', 'done');
    assert.deepEqual(
      ['digits 2', 'digits 3', 'digits 4', 'words 2'].map((each) => rollouts.why(each)),
      ['return', 'return', undefined, undefined],
    );
  });

  it('are not those that a way back was to lead away from, where it did not go through', () => {
    for (const state of ['aborted', 'rejected', 'rolled-back'] as const) {
      rollouts = new Rollouts().end('words 2 1', 'done').end('digits 3 1', state);
      assert.deepEqual(
        ['digits 2', 'digits 3', 'words 2'].map((each) => rollouts.why(each)),
        [undefined, undefined, 'return'],
      );
    }
    assert.equal(rollouts.end('digits 3 2', 'running').why('digits 3'), 'return', 'one that is under way');
  });

  it('are asked for by a command, or after a return by a policy that names them', () => {
    rollouts.end('digits 2 1', 'done');
    assert.equal(rollouts.why('digits 2', NAMED), undefined);
    rollouts.end('digits 1 2', 'done');
    assert.equal(rollouts.record!.passedOver, undefined);
    rollouts.end('digits 2 3', 'aborted');
    assert.equal(rollouts.why('digits 3', { kind: 'specific', versions: ['3'] }), 'abort');
  });

  it('are none after a policy that names a lower version, which the next one may undo', () => {
    rollouts.end('digits 2 1', 'done', true);
    assert.equal(rollouts.why('digits 2'), undefined);
  });

  it('stay what they are while another model is rolled out', () => {
    rollouts.end('digits 1 3', 'aborted').end('words 1 2', 'rejected').end('numbers 1 2', 'done');
    assert.deepEqual(
      ['digits 3', 'digits 2', 'digits 4', 'words 2', 'words 1', 'words 3'].map((each) => rollouts.why(each)),
      ['abort', 'abort', undefined, 'judgement', undefined, undefined],
    );
    rollouts.end('digits 1 2', 'rolled-back');
    assert.deepEqual(
      ['digits 3', 'digits 2'].map((each) => rollouts.why(each)),
      ['abort', 'abort'],
    );
    rollouts.end('words 1 2', 'done');
    assert.equal(rollouts.why('words 2'), undefined);
  });

  it('are the latest of many', () => {
    for (let version = 2; version < 102; version++) rollouts.end(`digits 1 ${version}`, 'rejected');
    assert.ok(rollouts.record!.passedOver!.length <= 64);
    assert.equal(rollouts.why('digits 101'), 'judgement');
  });
});
