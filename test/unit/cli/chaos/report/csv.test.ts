import assert from 'node:assert/strict';
import { csvOf } from '../../../../../sidecar/cli/chaos/report/csv.js';
import { figuresOf } from '../../../../../sidecar/cli/chaos/report/figures/figures.js';
import { madeRun } from '../../../../kit/chaos/made-history.js';
import { constant } from '../../../../kit/time/seeded-random.js';

describe('the CSV file', () => {
  it('has a row for each drill and arm, with raw numbers, empty fields for none, and quotes where they are needed', () => {
    const run = madeRun({
      random: constant(0.5),
      drill: 'a,"b"',
      failForMs: 9_000,
      degradeForMs: 0,
      ejectAfterMs: undefined,
    });
    const [header, row, ...rest] = csvOf(figuresOf([run])).split('\n');
    assert.deepEqual(rest, ['']);
    assert.match(header!, /^drill,arm,runs,calls,availability,failed,.*recovery_ms/);
    assert.match(row!, /^"a,""b""",outrider,1,500,0\.766,117,0,0,0,/);
    const field = (key: string): string | undefined =>
      row!.replace('"a,""b"""', 'x').split(',')[header!.split(',').indexOf(key)];
    assert.deepEqual(['eject_ms', 'recovery_ms', 'p50_ms'].map(field), ['', 'never', '5.5']);
  });
});
