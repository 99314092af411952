import assert from 'node:assert/strict';
import type { MeshMoment } from '../../../../sidecar/cli/page/mesh-view.js';
import { renderMesh } from '../../../../sidecar/cli/page/render.js';
import { anEndpoint, aStatusReport } from '../../../kit/stack/admin-view.js';

const EVIL = '<img src=x onerror=alert(1)>';
const moment = (over: Partial<MeshMoment>): MeshMoment => ({
  ...{ nowMs: 100_000, keepMs: 300_000, sidecars: [], edges: [], marks: [] },
  ...over,
});

describe('the mesh page', () => {
  it('shows each endpoint with its state, why and since when, as each caller sees it', () => {
    const why = '5 faults in a row';
    const endpoints = [anEndpoint({ state: 'ejected', why, sinceMs: 90_000, ejections: 2 })];
    const html = renderMesh(
      moment({ sidecars: [{ name: 'web-1', report: aStatusReport({ endpoints }) }] }),
      'n',
    );
    assert.match(
      html,
      /digits-1<\/td><td>web-1<\/td><td><span class="bad">ejected<\/span><\/td><td class="n">90 s</,
    );
    assert.match(html, /5 faults in a row/);
  });

  it('has a banner while a drill is on, and none without', () => {
    const drills = ['outbound calls are aborted; 3 since its start'];
    const html = renderMesh(
      moment({ sidecars: [{ name: 'web-1', report: aStatusReport({}), drills }] }),
      'n',
    );
    assert.match(html, /A fault drill is on/);
    assert.match(html, /<li>web-1: outbound calls are aborted; 3 since its start<\/li>/);
    assert.doesNotMatch(renderMesh(moment({}), 'n'), /<aside/);
  });

  it('marks what happened on the timeline of its service, and says it in words', () => {
    const endpoints = [anEndpoint({})];
    const marks = [
      { atMs: 40_000, kind: 'ejection', service: 'digits', text: 'web-1 ejected digits-1' },
      { atMs: 70_000, kind: 'restart', service: 'other', text: 'another' },
    ] as const;
    const html = renderMesh(
      moment({ marks, sidecars: [{ name: 'web-1', report: aStatusReport({ endpoints }) }] }),
      'n',
    );
    assert.match(html, /<g class="mark ejection"><title>web-1 ejected digits-1<\/title><line x1="576"/);
    assert.equal(html.match(/<g class="mark/g)?.length, 1);
    assert.match(html, /web-1 ejected digits-1 <small>60 s ago/);
  });

  it('says what a sidecar that does not answer said last, and offers no drain of it', () => {
    const html = renderMesh(moment({ sidecars: [{ name: 'web-1', problem: 'connect ECONNREFUSED' }] }), 'n');
    assert.doesNotMatch(html, /shown by their metrics/);
    const remote = { name: 'web-2', report: aStatusReport({}), isRemote: true };
    assert.match(renderMesh(moment({ sidecars: [remote] }), 'n'), /1 of 1 are shown by their metrics/);
    assert.match(html, /no answer<\/span><\/td><td><\/td><td colspan="3">connect ECONNREFUSED/);
    assert.doesNotMatch(html, /<form/);
  });

  it('counts one that does not answer among the sidecars of its service', () => {
    const gone = { name: 'web-2', problem: 'no answer in 2000 ms', lastService: 'web' };
    const html = renderMesh(moment({ sidecars: [{ name: 'web-1', report: aStatusReport({}) }, gone] }), 'n');
    assert.match(html, /<g class="node warn">.*\n.*>web<.*>1 of 2 ready</);
    assert.match(html, /<td>web-2<\/td><td class="minor">web<\/td>/);
  });

  it('offers to bring back what is drained, and to drain what is not', () => {
    const draining = { name: 'a b', report: aStatusReport({ ready: false, notReady: ['draining'] }) };
    assert.match(renderMesh(moment({ sidecars: [draining] }), 'n'), /action="\/undrain\?sidecar=a%20b"/);
    assert.match(
      renderMesh(moment({ sidecars: [{ name: 'a', report: aStatusReport({}) }] }), 'n'),
      /action="\/drain\?sidecar=a"/,
    );
  });

  it('escapes whatever sidecars say, and loads nothing from elsewhere', () => {
    const endpoints = [anEndpoint({ upstream: EVIL, endpoint: EVIL, why: EVIL })];
    const own = aStatusReport({
      service: EVIL,
      notReady: [EVIL],
      endpoints,
      model: { state: 'ready', why: EVIL, restarts: 1, name: EVIL },
    });
    const marks = [{ atMs: 1, kind: 'gone', service: EVIL, text: EVIL }] as const;
    const edges = [{ from: EVIL, to: EVIL, now: { perSecond: 0 }, steps: [] }];
    const html = renderMesh(
      moment({
        sidecars: [
          { name: EVIL, report: own, drills: [EVIL] },
          { name: EVIL, problem: EVIL },
        ],
        marks,
        edges,
      }),
      'n',
    );
    assert.doesNotMatch(html, /<img/);
    assert.doesNotMatch(html, /\b(src|href)="|@import|url\((?!#)| style="/);
  });
});
