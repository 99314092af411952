import assert from 'node:assert/strict';
import { Marks } from '../../../../sidecar/cli/page/marks.js';
import { anEndpoint, aStatusReport } from '../../../kit/stack/admin-view.js';

const ejected = (ejections: number) =>
  aStatusReport({ endpoints: [anEndpoint({ ejections, why: '5 faults in a row', endpoint: 'digits-2' })] });
const model = (restarts: number) => aStatusReport({ model: { state: 'ready', why: '', restarts } });

describe('marks', () => {
  it('are ejections and restarts that were not there in the report before', () => {
    const marks = new Marks(300_000);
    marks.see('web-1', ejected(2), 0);
    marks.see('d-1', model(4), 0);
    assert.deepEqual(marks.list, [], 'what was there at first may be old');
    marks.see('web-1', ejected(3), 1_000);
    marks.see('web-1', ejected(3), 2_000);
    marks.see('d-1', model(5), 3_000);
    assert.deepEqual(
      marks.list.map(({ atMs, kind, service, text }) => [atMs, kind, service, text]),
      [
        [1_000, 'ejection', 'digits', 'web-1 ejected digits-2: 5 faults in a row'],
        [3_000, 'restart', 'web', 'the model of d-1 was started again'],
      ],
    );
  });

  it('say once that a sidecar does not answer, and do not compare with what it was before', () => {
    const marks = new Marks(300_000);
    marks.see('web-1', undefined, 0);
    marks.see('web-1', ejected(2), 1_000);
    marks.see('web-1', undefined, 2_000);
    marks.see('web-1', undefined, 3_000);
    marks.see('web-1', ejected(9), 4_000);
    assert.deepEqual(
      marks.list.map(({ text }) => text),
      ['web-1 does not answer'],
    );
  });

  it('are restarts of a sidecar too, whether or not it was missed meanwhile', () => {
    const marks = new Marks(300_000);
    for (const restarts of [1, 2, undefined, 3, 3]) {
      marks.see('web-1', restarts === undefined ? undefined : aStatusReport({ restarts }), 0);
    }
    const again = 'the sidecar web-1 was started again';
    assert.deepEqual(
      marks.list.map(({ kind, service, text }) => [kind, service, text]),
      [
        ['restart', 'web', again],
        ['gone', 'web', 'web-1 does not answer'],
        ['restart', 'web', again],
      ],
    );
  });

  it('compare nothing with a sidecar that was not asked for a while', () => {
    const marks = new Marks(300_000);
    const see = (restarts: number) => marks.see('web-1', { ...ejected(restarts), restarts }, 0);
    see(1);
    marks.retain(new Set(['web-1']));
    see(2);
    assert.equal(marks.list.length, 2);
    marks.retain(new Set(['web-2']));
    see(3);
    assert.equal(marks.list.length, 2);
  });

  it('are few: those of the last minutes, and no more than 200', () => {
    const marks = new Marks(10_000);
    for (let i = 0; i < 300; i++) marks.see('web-1', ejected(i), i);
    assert.equal(marks.list.length, 200);
    marks.see('web-1', ejected(299), 60_000);
    assert.deepEqual(marks.list, []);
  });
});
