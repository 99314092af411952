import assert from 'node:assert/strict';
import { timelineOf } from '../../../../../../sidecar/cli/chaos/report/timeline/timeline.js';
import {
  placedSigns,
  scalesOf,
  timelineFile,
  timelineSvg,
} from '../../../../../../sidecar/cli/chaos/report/timeline/timeline-svg.js';
import { madeRun } from '../../../../../kit/chaos/made-history.js';
import { constant } from '../../../../../kit/time/seeded-random.js';

const RUN = madeRun({ random: constant(0.5), failForMs: 400 });

function svg(run = RUN, scales = scalesOf([timelineOf(run)])): string {
  return timelineSvg(timelineOf(run), scales, 'a label').text;
}

describe('the picture of a timeline', () => {
  it('has a path for each end that calls had, and none for the others', () => {
    const text = svg();
    for (const end of ['right', 'degraded', 'failed'])
      assert.match(text, new RegExp(`<path class="tl-${end}" d="M`));
    assert.doesNotMatch(text, /<path class="tl-wrong"/);
    assert.equal(text.match(/class="tl-mark"/g)?.length, 4);
  });

  it('has no sign on another one: they go to lanes, and what has no room is in the list alone', () => {
    const wanted = [100, 100, 104, 108, 112, 200, 120, 300];
    const places = placedSigns(wanted);
    assert.deepEqual(places[3], undefined);
    for (const [i, one] of places.entries())
      for (const other of places.slice(i + 1))
        if (one !== undefined && other !== undefined && one.lane === other.lane)
          assert.ok(Math.abs(one.x - other.x) >= 13, `${one.x} and ${other.x} in lane ${one.lane}`);
    assert.deepEqual(
      places.map((place) => place?.x),
      wanted.map((x, i) => (i === 3 || i === 4 ? places[i]?.x : x)),
      'a sign stands at its time',
    );
  });

  it('draws calls in the scale of all pictures beside it', () => {
    const heightOf = (text: string): number =>
      Number(/class="tl-right" d="M[\d.]+ [\d.]+h[\d.]+v([\d.]+)/.exec(text)?.[1]);
    const own = scalesOf([timelineOf(RUN)]);
    const double = { ...own, mostCalls: own.mostCalls * 2 };
    assert.equal(heightOf(svg()), 66);
    assert.equal(heightOf(svg(RUN, double)), 33);
    assert.deepEqual(scalesOf([timelineOf(RUN), timelineOf({ ...RUN, seconds: 60 })]).endMs, 60_000);
  });

  it('holds no number that is none, whatever the run holds', () => {
    for (const run of [
      { ...RUN, calls: [] },
      { ...RUN, seconds: 0, calls: [], marks: [] },
      { ...RUN, seconds: 4_000 },
    ])
      assert.doesNotMatch(svg(run), /NaN|Infinity|undefined/);
  });

  it('is a file of its own with title, legend and styles, in which every text is escaped', () => {
    const marks = [
      { atMs: 100, kind: 'note' as const, replica: '<b>', text: '"</title><script>alert(1)</script>' },
    ];
    const text = timelineFile(timelineOf({ ...RUN, marks }), scalesOf([timelineOf(RUN)]), {
      title: 'a < b & "c"',
    });
    assert.match(text, /^<svg xmlns="http:\/\/www\.w3\.org\/2000\/svg"/);
    assert.match(text, /a &lt; b &amp; &quot;c&quot;/);
    assert.match(text, /prefers-color-scheme: dark/);
    assert.doesNotMatch(text, /<script|<b>/);
  });
});
