/** What is logged and recorded of rollouts, however often a replica looks at the store. */
import assert from 'node:assert/strict';
import { RolloutNotes } from '../../../../../sidecar/app/models/rollout/rollout-notes.js';
import type { RolloutRecord, RolloutState } from '../../../../../sidecar/core/models/rollout.js';
import { anAppContext } from '../../../../kit/stack/app-context.js';
import { Stack } from '../../../../kit/stack/stack.js';

describe('what is told of rollouts', () => {
  let stack: Stack;
  let lines: string[];
  let notes: RolloutNotes;
  beforeEach(() => {
    stack = new Stack();
    lines = [];
    const context = anAppContext(stack);
    const log = (fields: object, message: string) => void lines.push(`${message} ${JSON.stringify(fields)}`);
    const logger = { ...context.deps.logger, info: log, warn: log };
    notes = new RolloutNotes({ ...context, deps: { ...context.deps, logger } }, '/the/store');
  });

  const record = (state: RolloutState, replicas: RolloutRecord['replicas'] = []) =>
    ({
      id: 'a',
      model: 'digits',
      version: '2',
      from: '1',
      state,
      why: 'begun',
      replicas,
    }) as unknown as RolloutRecord;

  it('is each state once, and in the audit log where more than a replica has moved', () => {
    notes.state(record('running'), undefined);
    notes.state(record('running'), record('running'));
    assert.equal(lines.length, 1);
    notes.state(record('running', [{ instance: 'mine-1', phase: 'shadow', sinceMs: 0 }]), record('running'));
    assert.equal(lines.length, 2);
    notes.state(record('done'), record('running'));
    assert.deepEqual(
      [lines.length, stack.audited.map(({ fields }) => fields['state'])],
      [3, ['running', 'done']],
    );
  });

  it('is once why no rollout was begun of a version', () => {
    for (const why of ['one is under way', 'one is under way', 'it was aborted'])
      notes.notBegun({ name: 'digits', version: '2' }, why);
    notes.notBegun({ name: 'digits', version: '3' }, 'it was aborted');
    assert.equal(lines.length, 3);
  });

  it('is once a minute that the store cannot be reached, and at once another reason', () => {
    notes.unreachable('refused');
    stack.clock.advance(60_000);
    notes.unreachable('refused');
    assert.equal(lines.length, 1);
    stack.clock.advance(1);
    notes.unreachable('refused');
    notes.unreachable('no leader');
    assert.equal(lines.length, 3);
    assert.match(lines[0]!, /what is served stays .*"store":"\/the\/store"/);
  });
});
