import assert from 'node:assert/strict';
import { ReloadRequests } from '../../../../sidecar/cli/sidecar/reload-requests.js';
import { scratchForEach } from '../../../kit/mocha/scratch.js';
import { ManualClock } from '../../../kit/time/manual-clock.js';

describe('requests to read a file again', () => {
  const scratch = scratchForEach();

  it('are kept until somebody follows them, each kind once, and told at once from then on', () => {
    const requests = new ReloadRequests(scratch.write('mesh.yaml', 'a'), new ManualClock());
    const told: string[] = [];
    requests.hangUp();
    requests.hangUp();
    requests.follow({
      onChange: () => told.push('change'),
      onHangup: () => told.push('hangup'),
      onGone: () => told.push('gone'),
      onProblem: () => told.push('problem'),
    });
    assert.deepEqual(told, ['hangup']);
    requests.hangUp();
    assert.deepEqual(told, ['hangup', 'hangup']);
    requests.close();
    requests.hangUp();
    assert.equal(told.length, 2);
  });

  it('are one where the file was changed before SIGHUP', () => {
    const clock = new ManualClock();
    const path = scratch.write('mesh.yaml', 'a');
    const requests = new ReloadRequests(path, clock);
    const told: string[] = [];
    requests.follow({
      onChange: () => told.push('change'),
      onHangup: () => told.push('hangup'),
      onGone: () => told.push('gone'),
      onProblem: () => told.push('problem'),
    });
    scratch.write('mesh.yaml', 'b');
    requests.hangUp();
    clock.advance(20_000);
    assert.deepEqual(told, ['hangup']);
    scratch.write('mesh.yaml', 'c');
    clock.advance(20_000);
    assert.deepEqual(told, ['hangup', 'change']);
    requests.close();
    assert.equal(clock.pending(), 0);
  });

  it('says of a file that cannot be watched so once it is followed', () => {
    const requests = new ReloadRequests('/no/such/folder/mesh.yaml', new ManualClock());
    const problems: string[] = [];
    requests.follow({
      onChange: () => {},
      onHangup: () => {},
      onGone: () => {},
      onProblem: ({ message }) => problems.push(message),
    });
    assert.equal(problems.length, 1);
    requests.close();
  });
});
