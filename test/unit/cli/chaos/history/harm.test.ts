import assert from 'node:assert/strict';
import { checkRun, countByInvariant } from '../../../../../sidecar/cli/chaos/history/check.js';
import type { ArmRun, MarkRecord } from '../../../../../sidecar/cli/chaos/history/record.js';
import { madeRun } from '../../../../kit/chaos/made-history.js';
import { seeded } from '../../../../kit/time/seeded-random.js';

const harms = (run: ArmRun): number => countByInvariant(checkRun(run))['well-left-alone'];
const mark = (kind: MarkRecord['kind']): MarkRecord => ({
  atMs: 3_500,
  kind,
  replica: 'digits-2',
  text: kind,
});

describe('the check for harm where nothing is wrong', () => {
  const run = { ...madeRun({ random: seeded(5) }), marks: [] };

  it('finds each ejection and each end of a process', () => {
    const marks = [mark('ejected'), mark('restored'), mark('died'), mark('restarted'), mark('note')];
    const harmed: ArmRun = { ...run, marks, isHarmless: true };
    assert.equal(harms(harmed), 2);
    const [first] = checkRun(harmed).filter(({ invariant }) => invariant === 'well-left-alone');
    assert.match(`${first?.expected}; ${first?.found}`, /nothing is done .*; ejected, at 3500 ms$/);
  });

  it('finds none in a run without them, and looks at no run in which something is wrong', () => {
    assert.equal(harms({ ...run, isHarmless: true }), 0);
    assert.equal(harms({ ...run, marks: [mark('ejected'), mark('died')] }), 0);
  });
});
