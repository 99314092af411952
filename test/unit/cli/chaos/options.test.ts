import assert from 'node:assert/strict';
import { ARMS } from '../../../../sidecar/cli/chaos/arms/table.js';
import { DRILLS } from '../../../../sidecar/cli/chaos/drills/table.js';
import { named, runCount } from '../../../../sidecar/cli/chaos/options.js';

const ALL = [{ name: 'kill' }, { name: 'freeze' }, { name: 'error-burst' }];

describe('the names on the command line of chaos', () => {
  it('choose in the order of the table', () => {
    assert.deepEqual(named(ALL, ['freeze', 'kill'], 'scenario'), [ALL[0], ALL[1]]);
  });

  it('that are none are refused with the nearest one and the list', () => {
    assert.throws(() => named(ALL, ['freze'], 'scenario'), {
      message: 'there is no scenario freze; did you mean freeze?\nscenarios: kill, freeze, error-burst',
      exitCode: 2,
    });
  });

  it('of a kind of several words are listed under its plural', () => {
    assert.throws(() => named(ALL, ['x'], 'drill for a running mesh'), /\ndrills for a running mesh: kill, /);
  });
});

describe('the tables of chaos', () => {
  it('have no name twice', () => {
    for (const table of [DRILLS, ARMS])
      assert.equal(new Set(table.map(({ name }) => name)).size, table.length);
  });

  it('say of each drill what it does, in one sentence', () => {
    for (const { name, title, does } of DRILLS) {
      assert.ok(title.length > 0 && !title.endsWith('.'), name);
      assert.match(does, /^[A-Z].*\.$/, name);
    }
  });
});

describe('how often each drill is run', () => {
  it('is a whole number from 1 to 20', () => {
    assert.deepEqual([runCount('1'), runCount('20')], [1, 20]);
    for (const text of ['0', '21', '-1', '1.5', 'three', ''])
      assert.throws(() => runCount(text), /--runs .*: expected a whole number from 1 to 20/, text);
  });
});
