import assert from 'node:assert/strict';
import { mkdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { findFaketime, SteppedClock } from '../../../../../sidecar/cli/chaos/faults/stepped-clock.js';
import { openTools } from '../../../../../sidecar/cli/chaos/faults/tools.js';
import { scratchForEach } from '../../../../kit/mocha/scratch.js';

const LIBRARY = 'lib/x86_64-linux-gnu/faketime/libfaketimeMT.so.1';

describe('a clock of a drill', () => {
  const scratch = scratchForEach();

  function library(): string {
    mkdirSync(join(scratch.path, 'lib/x86_64-linux-gnu/faketime'), { recursive: true });
    return scratch.write(LIBRARY, '');
  }

  it('is made by a library that is looked for where systems put it, or where the environment says', () => {
    const file = library();
    const root = join(scratch.path, 'lib');
    assert.equal(findFaketime({}, ['/nowhere', root]), file);
    assert.equal(findFaketime({}, ['/nowhere']), undefined);
    assert.equal(findFaketime({ OUTRIDER_LIBFAKETIME: file }, []), file);
    assert.equal(findFaketime({ OUTRIDER_LIBFAKETIME: '/nowhere' }, [root]), undefined);
  });

  it('is right at first, steps both ways, and is the clock of one replica alone', () => {
    const clock = SteppedClock.create(scratch.path, library());
    const file = clock.env['FAKETIME_TIMESTAMP_FILE']!;
    const said = () => readFileSync(file, 'utf8');
    assert.equal(said(), '+0\n');
    clock.step(7_200);
    assert.equal(said(), '+7200\n');
    clock.step(-60);
    assert.equal(said(), '-60\n');
    const none = openTools('none', { dir: scratch.path, victim: 1 });
    assert.deepEqual([none.clock, none.disk, none.envOf(1)], [undefined, undefined, {}]);
    none.close();
  });
});
