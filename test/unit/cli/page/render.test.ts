import assert from 'node:assert/strict';
import { type Answered, MeshView } from '../../../../sidecar/cli/page/mesh-view.js';
import { pageSeries, renderBody } from '../../../../sidecar/cli/page/render.js';
import { SLOT_MS, SLOTS } from '../../../../sidecar/core/history/half-hour.js';
import { madeMesh } from '../../../kit/browser/made-mesh.js';
import { anEndpoint, aStatusReport } from '../../../kit/stack/admin-view.js';

const EVIL = '<img src=x onerror=alert(1)>';
const NOW = 1_000 * SLOT_MS;

const momentOf = (answers: readonly Answered[]) => {
  const view = new MeshView();
  view.take(answers, NOW);
  return view.moment(NOW);
};
const bodyOf = (answers: readonly Answered[]) => renderBody(momentOf(answers));
const made = (trouble: 'nothing' | 'one ejected' | 'one gone', services = 3) =>
  madeMesh({ services, replicas: 2, trouble });

describe('the mesh page', () => {
  it('says first whether something is wrong, and what, with a command and a way to the place', () => {
    const well = bodyOf(made('nothing'));
    assert.match(well, /id="state" class="tone good">5 of 5 sidecars ready</);
    assert.doesNotMatch(well, /Needs attention/);
    const html = bodyOf(made('one ejected'));
    assert.match(html, /id="state" class="tone bad">2 problems, 5 of 5 sidecars ready</);
    assert.match(
      html,
      /href="#s-detector">detector<\/a><span class="what">detector-1 is ejected by gateway-1 \(12 s to go\): 5 faults in a row.*?<code>npx outrider status detector<\/code>/,
    );
    assert.match(html, /id="s-detector"/);
  });

  it('shows each replica with its state, why, queue and version, and as each caller sees it', () => {
    const html = bodyOf(made('one ejected'));
    assert.match(
      html,
      /<span class="tone bad">ejected<\/span><span class="why"[^>]*>by gateway-1 \(12 s to go\): 5 faults/,
    );
    assert.match(html, /<small>version 1<\/small>/);
    assert.match(html, /\d of 8 run, \d wait/);
    assert.match(
      html,
      /<td>gateway-1<\/td><td><span class="tone bad">ejected<\/span><\/td><td class="n">40 s</,
    );
  });

  it('has the last half hour at once, and then only what is new', () => {
    const moment = momentOf(made('one ejected'));
    const whole = pageSeries(moment, -1);
    const detector = whole.groups.find(({ name }) => name === 'detector')!;
    assert.deepEqual([detector.series.calls.length, detector.series.waiting!.length], [SLOTS, SLOTS]);
    assert.ok(detector.series.calls.filter((each) => each !== null).length > SLOTS - 3);
    assert.ok(detector.series.failed.at(-2)! > 0 && detector.series.failed.at(-100) === 0);
    assert.deepEqual(
      detector.marks.map(({ kind }) => kind),
      ['ejection'],
    );
    const last = whole.first + SLOTS - 1;
    const fresh = pageSeries(moment, last);
    assert.deepEqual([fresh.first, fresh.groups[0]!.series.calls.length], [last - 4, 5]);
    assert.equal(pageSeries(moment, last - 9_999).first, whole.first);
  });

  it('has a rollout that is under way at its service', () => {
    const record = {
      ...{ format: 1, id: 'r', service: 'web', model: 'm', version: '2', from: '1', state: 'running' },
      ...{ why: '<b>all well</b>', startedMs: 1, settings: {} },
      replicas: [{ instance: 'web-1', phase: 'canary', sinceMs: 1 }],
    } as unknown as Required<Answered>['rollout'];
    const html = bodyOf([{ name: 'web-1', report: aStatusReport(), metrics: '', rollout: record }]);
    assert.match(
      html,
      /rollout running<\/span> m 1 → 2: web-1 canary; &lt;b&gt;all well&lt;\/b&gt; <code>npx outrider rollout web</,
    );
  });

  it('has a banner while a drill is on, and none without', () => {
    const drills = ['outbound calls are aborted; 3 since its start'];
    const html = bodyOf([{ name: 'web-1', report: aStatusReport({}), drills }]);
    assert.match(html, /A fault drill is on/);
    assert.match(html, /<li>web-1: outbound calls are aborted; 3 since its start<\/li>/);
    assert.doesNotMatch(bodyOf([]), /<aside/);
  });

  it('says of whom it knows only what it has seen itself, and why', () => {
    const report = aStatusReport();
    assert.match(
      bodyOf([{ name: 'web-1', report, metrics: '' }]),
      /web-1 of an earlier version keep no history/,
    );
    assert.match(bodyOf([{ name: 'web-1', report, isRemote: true }]), /1 of 1 are shown by their metrics/);
    assert.doesNotMatch(bodyOf(made('nothing')), /no history|by their metrics/);
  });

  it('counts one that does not answer among the replicas of its service, and offers no drain of it', () => {
    const view = new MeshView();
    const both = ['web-1', 'web-2'].map((instance) => ({
      name: instance,
      report: aStatusReport({ instance }),
      metrics: '',
    }));
    view.take(both, NOW);
    view.take([both[0]!, { name: 'web-2', problem: 'no answer in 2000 ms' }], NOW + SLOT_MS);
    const html = renderBody(view.moment(NOW + SLOT_MS));
    assert.match(html, /class="node warn" data-key="web".*1 of 2 ready/);
    assert.match(html, /web-2 does not answer: no answer in 2000 ms/);
    assert.equal(html.match(/<form/g)?.length, 1);
  });

  it('offers to bring back what is drained, and to drain what is not', () => {
    const draining = aStatusReport({ instance: "a' b", ready: false, notReady: ['draining'] });
    assert.match(
      bodyOf([{ name: "a' b", report: draining }]),
      /action="undrain\?sidecar=a%27%20b"><button>Bring back/,
    );
    assert.match(
      bodyOf([{ name: 'a', report: aStatusReport({ instance: 'a' }) }]),
      /action="drain\?sidecar=a"><button>Drain a</,
    );
  });

  it('opens all of few services, and of many only those with a problem', () => {
    const open = (html: string) => html.match(/class="service"[^>]* open>/g)?.length ?? 0;
    assert.equal(open(bodyOf(made('nothing'))), 3);
    assert.equal(open(bodyOf(made('nothing', 10))), 0);
    assert.equal(open(bodyOf(made('one gone', 10))), 1);
  });

  it('escapes whatever sidecars say, and loads nothing from elsewhere', () => {
    const endpoints = [anEndpoint({ upstream: EVIL, endpoint: EVIL, why: EVIL })];
    const model = { state: 'ready', why: EVIL, restarts: 1, name: EVIL } as const;
    const own = aStatusReport({ service: EVIL, instance: EVIL, notReady: [EVIL], endpoints, model });
    const html = bodyOf([
      { name: EVIL, report: own, drills: [EVIL], note: EVIL },
      { name: `${EVIL}2`, problem: EVIL, lastService: EVIL },
      ...madeMesh({
        services: 4,
        replicas: 1,
        trouble: 'one ejected',
        decorate: (name) => `${name}${EVIL}'"`,
      }),
    ]);
    assert.doesNotMatch(html, /<img/);
    assert.doesNotMatch(html, /\bsrc="|href="(?!#|\/")|@import|url\(| style="/);
  });
});
