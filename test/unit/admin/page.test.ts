import assert from 'node:assert/strict';
import { escapeHtml } from '../../../sidecar/admin/escape.js';
import { HistorySampler } from '../../../sidecar/admin/history/history-sampler.js';
import { renderBody, sidecarSeries } from '../../../sidecar/admin/page.js';
import { statusOf } from '../../../sidecar/admin/status.js';
import { SLOT_MS } from '../../../sidecar/core/history/half-hour.js';
import type { EndpointReport } from '../../../sidecar/telemetry/reports.js';
import { anEndpoint, FakeView } from '../../kit/stack/admin-view.js';
import { ManualClock } from '../../kit/time/manual-clock.js';

const pageOf = (view: FakeView) => renderBody(statusOf(view), undefined, 0);

/** A view of which these answers are set. */
const viewWith = (answers: Partial<FakeView>) => Object.assign(new FakeView(), answers);

function assertShows(view: FakeView, parts: readonly string[]): void {
  const html = pageOf(view);
  for (const part of parts) assert.ok(html.includes(part), `the page lacks "${part}"`);
}

describe('admin page', () => {
  it('shows the endpoints, the queue, the model and why the sidecar is not ready', () => {
    const view = new FakeView();
    view.reasons = ['the model is starting'];
    view.rows = [anEndpoint({ state: 'ejected', why: '5 faults in a row', untilMs: 12_300 })];
    view.queueReport = { running: 1, waiting: 3, waitingBytes: 400, concurrency: 2 };
    view.modelReport = { state: 'backoff', why: 'killed by SIGKILL', restarts: 4 };
    assertShows(view, [
      ...['not ready', 'the model is starting', 'ejected', '13 s to go', '5 faults in a row'],
      ...['1 of 2 running', '3 waiting', 'killed by SIGKILL', 'started again 4 times'],
    ]);
  });

  it('shows each model of several', () => {
    const view = new FakeView();
    view.modelReport = { state: 'ready', why: '', restarts: 0 };
    view.modelReports = [
      { name: '<broken>', state: 'failed', why: 'no such graph', pid: 7, restarts: 0 },
      { name: 'digits', state: 'ready', why: '', pid: 8, restarts: 1 },
    ];
    assertShows(view, ['&lt;broken&gt;', '<span class="tone bad">failed</span>', 'no such graph', 'digits']);
  });

  it('shows no share and no latency of no calls, and no green beside calls that fail', () => {
    const rowOf = (endpoint: EndpointReport): string => {
      const html = pageOf(viewWith({ rows: [endpoint] }));
      return /<details class="row"(.*)<\/details>/s.exec(html)![1]!;
    };
    const row = (over: Partial<EndpointReport>): string => rowOf(anEndpoint(over));
    const { latencyMs: _, ...unused } = anEndpoint({ attempts: 0, ewmaMs: 0, recentCalls: 0 });
    const idle = rowOf(unused);
    assert.ok(!/%|0\.0 ms/.test(idle) && idle.includes('>–<'), idle);
    const tones = { 1: 'good', 0.8: 'good', 0.6: 'warn', 0: 'bad' };
    for (const [successRatio, tone] of Object.entries(tones)) {
      const html = row({ recentCalls: 20, successRatio: Number(successRatio) });
      assert.ok(html.includes(`class="tone ${tone}">eligible`), html);
    }
  });

  it('shows how often the sidecar was started again', () => {
    const view = new FakeView();
    assert.ok(!pageOf(view).includes('started again'));
    view.restarts = 1;
    assert.ok(pageOf(view).includes('started again once'));
  });

  it('shows what copies of calls showed', () => {
    const view = new FakeView();
    assert.ok(!pageOf(view).includes('Mirrors'));
    assert.ok(!('mirrors' in statusOf(view)));
    const counts = { sent: 41, inFlight: 1, skipped: 7, compared: 40, mismatched: 2 };
    const last = 'output "<b>": 1 of 2 elements differ';
    view.mirrorReports = [{ upstream: 'digits', to: 'digits-new', ...counts, last, lastAgoMs: 61_000 }];
    assertShows(view, ['digits-new', '>41<', '>7<', '&lt;b&gt;', '61 s ago']);
  });

  it('shows what the limits of the queue do, and nothing of those that are not there', () => {
    const view = new FakeView();
    view.queueReport = { running: 1, waiting: 3, waitingBytes: 400, concurrency: 2, evicted: 0 };
    assert.ok(!/unloaded|evicted|rate|pressure/.test(pageOf(view)));
    const refused = { evicted: 5, rateLimited: 6, pressure: 'high' } as const;
    const classes = [{ name: '<now>', waiting: 3 }];
    view.queueReport = { ...view.queueReport, unloadedMs: 12.34, classes, ...refused };
    assertShows(view, [
      '3 &lt;now&gt; · unloaded latency 12.3 ms · 5 evicted · 6 over their rate · memory pressure high',
    ]);
  });

  it('shows how Consul is read and what of it is not applied', () => {
    const view = new FakeView();
    view.registryReport = {
      ...{ where: 'http://127.0.0.1:8500', registered: false, problem: 'the agent answered 403' },
      queries: [{ name: 'instances of digits', state: 'failing', ageMs: 12_000, problem: 'no leader' }],
      unsupported: ['service-router digits: PrefixRewrite is not applied'],
    };
    assertShows(view, [
      ...['127.0.0.1:8500', 'not registered', 'the agent answered 403', 'instances of digits'],
      ...['12 s ago', 'no leader', 'PrefixRewrite'],
    ]);
  });

  it('shows what DNS says of upstreams', () => {
    const view = new FakeView();
    assert.ok(!pageOf(view).includes('<h2>DNS</h2>'));
    const counts = { addresses: 3, kept: 2, rounds: 9, failures: 1, ageMs: 12_000 };
    view.dnsReports = [
      { upstream: 'digits', name: 'd.test:1', state: 'held', ...counts, problem: '<no> name' },
    ];
    assertShows(view, ['<h2>DNS</h2>', 'd.test:1', 'tone warn">held', '12 s ago', '&lt;no&gt; name']);
    view.dnsReports = [{ upstream: 'digits', name: 'd:1', found: 'd.test', state: 'current', ...counts }];
    assertShows(view, ['<td>d:1 (d.test)</td>']);
  });

  it('shows what Kubernetes says of upstreams', () => {
    const view = new FakeView();
    assert.ok(!pageOf(view).includes('<h2>Kubernetes</h2>'));
    const counts = { endpoints: 3, unready: 1, terminating: 2, kept: 0, lists: 1, watches: 1, failures: 0 };
    const service = 'digits.models:peers';
    const now = { ageMs: 12_000, problem: '<403>' };
    view.kubernetesReports = [{ upstream: 'digits', service, state: 'failing', ...counts, ...now }];
    assertShows(view, ['<h2>Kubernetes</h2>', service, '">failing', '12 s ago', '&lt;403&gt;']);
  });

  it('shows which endpoints go first, and what each takes of its share', () => {
    const view = new FakeView();
    view.rows = [anEndpoint({ endpoint: 'first' })];
    assert.ok(!pageOf(view).includes('priority'));
    const measured = { share: 0.25, successRatio: 0.987, latencyRatio: 1.25 };
    const second = { endpoint: 'second', cluster: 'canary', priority: 1, state: 'standby' } as const;
    view.rows.push(
      anEndpoint({ ...second, why: 'others go first' }),
      anEndpoint({ endpoint: 'third', priority: 1000, ...measured, why: 'critical: disk' }),
    );
    assertShows(view, [
      ...['tone warn">standby</span>', 'others go first; cluster canary; priority 1'],
      ...['critical: disk; priority 1000; 25 % of its share; 99 % successful in the last 10 s'],
      ...['2.3 ms', '1.3 × the latency of its peers'],
    ]);
  });

  it('shows what an endpoint is suspected of, beside why it is in its state', () => {
    const view = new FakeView();
    const suspicion = { value: 0.62, isSuspect: true, detector: 'latency-shift', why: 'it takes longer' };
    view.rows = [anEndpoint({ suspicion }), anEndpoint({ suspicion, why: 'critical: disk' })];
    assertShows(view, [
      '<span class="tone warn">eligible</span>',
      '>it takes longer; suspicion 62 %<',
      '>critical: disk; it takes longer; suspicion 62 %<',
    ]);
    view.rows = [anEndpoint({ suspicion: { ...suspicion, value: 0.2, isSuspect: false, why: '' } })];
    assertShows(view, ['<span class="tone good">eligible</span>', '>suspicion 20 %<']);
  });

  it('has its charts and strips where it keeps a history, of its calls and of those to each upstream', () => {
    const clock = new ManualClock();
    const view = viewWith({ rows: [anEndpoint({})] });
    view.queueReport = { running: 1, waiting: 3, waitingBytes: 400, concurrency: 2 };
    const past = new HistorySampler(view, clock, clock);
    past.start();
    view.totals = [{ kind: 'outbound digits', calls: 50, failed: 5, times: [50] }];
    view.rows = [anEndpoint({ state: 'ejected', ejections: 1 })];
    clock.advance(SLOT_MS);
    const html = renderBody(statusOf(view), past, clock.wallNow());
    for (const part of ['data-group="inbound digits"', 'data-group="outbound digits"', 'class="ejected"'])
      assert.ok(html.includes(part), part);
    assert.match(html, /digits-1 ejected digits-1/);
    const { groups, first } = sidecarSeries(statusOf(view), past, -1);
    assert.deepEqual(
      groups.map(({ name, series, marks }) => [
        name,
        series.calls.at(-1),
        series.waiting?.at(-1),
        marks.length,
      ]),
      [
        ['inbound digits', null, 3, 1],
        ['outbound digits', 10, undefined, 1],
      ],
    );
    assert.ok(Math.abs((first + 60) * SLOT_MS - clock.wallNow()) <= SLOT_MS);
    const fresh = sidecarSeries(statusOf(view), past, first + 59);
    assert.equal(fresh.groups[0]!.series.calls.length, 1);
    past.stop();
    assert.doesNotMatch(pageOf(view), /data-group|What happened/);
  });

  it('loads nothing from elsewhere', () => {
    const html = pageOf(new FakeView());
    assert.doesNotMatch(html, /https?:|src=|@import|url\(/);
  });

  it('escapes every value that comes from configuration or peers', () => {
    const hostile = '"><img src=x onerror=alert(1)>\'&';
    const view = new FakeView();
    view.instance = hostile;
    view.reasons = [hostile];
    view.rows = [anEndpoint({ upstream: hostile, endpoint: hostile, address: hostile, why: hostile })];
    view.modelReport = { state: 'ready', why: hostile, restarts: 0 };
    const html = pageOf(view);
    assert.ok(!html.includes('<img'), 'a tag got through');
    assert.ok(!html.includes(hostile));
    assert.ok(html.split(escapeHtml(hostile)).length > 8);
  });
});
