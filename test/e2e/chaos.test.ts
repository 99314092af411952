/** `outrider chaos` as an operator runs it: one short drill, and command lines that are wrong. */

import assert from 'node:assert/strict';
import { readdirSync } from 'node:fs';
import { outrider, Scratch } from '../kit/process/outrider.js';
import { processesWith } from '../kit/process/processes.js';

describe('outrider chaos', function () {
  this.timeout(60_000);
  let place: Scratch;
  beforeEach(() => {
    place = new Scratch();
  });
  afterEach(() => place.remove());

  it('breaks a mesh of its own, tells what its callers lost, and leaves nothing behind', async () => {
    const { code, stdout, stderr } = await outrider(
      ['chaos', 'kill', '--quick', '--arms', 'outrider', '--json'],
      {
        TMPDIR: place.path,
      },
    );
    assert.equal(code, 0, stderr + stdout);
    const { runs, verdict } = JSON.parse(stdout);
    assert.equal(verdict, 'kept');
    assert.deepEqual(
      runs.map(({ drill, arm }: { drill: string; arm: string }) => [drill, arm]),
      [['kill', 'outrider']],
    );
    assert.ok(runs[0].sent > 100, stdout);
    assert.equal(runs[0].duplicated, 0);
    assert.deepEqual(readdirSync(place.path), []);
    assert.deepEqual(processesWith(place.path), []);
  });

  it('names the nearest drill for one that does not exist, and the arms there are', async () => {
    const drill = await outrider(['chaos', 'kil']);
    assert.equal(drill.code, 2);
    assert.match(
      drill.stderr,
      /there is no drill kil; did you mean kill\?\noutrider: drills: kill, freeze, /,
    );
    const arm = await outrider(['chaos', '--arms', 'nginx']);
    assert.equal(arm.code, 2);
    assert.match(arm.stderr, /there is no arm nginx\noutrider: arms: outrider, pick-first/);
  });
});
