import assert from 'node:assert/strict';
import { statusOf } from '../../../../sidecar/admin/status.js';
import type { SidecarStatus } from '../../../../sidecar/cli/status/sidecar-table.js';
import { statusTables } from '../../../../sidecar/cli/status/tables.js';
import { paletteFor } from '../../../../sidecar/cli/terminal.js';
import { anEndpoint, FakeView } from '../../../kit/stack/admin-view.js';

const PLAIN = paletteFor({ write: () => true }, {});

describe('the tables of outrider status', () => {
  let view: FakeView;
  beforeEach(() => {
    view = new FakeView();
  });
  const seen = (): SidecarStatus => ({ name: 'x', report: statusOf(view) });
  /** Cells of each line; columns are two spaces apart. */
  const cells = (...sidecars: SidecarStatus[]): string[][] =>
    statusTables(sidecars, PLAIN)
      .split('\n')
      .map((line) => line.split(/ {2,}/).filter((cell) => cell !== ''));

  it('has a line for a sidecar, and one for a sidecar that does not answer', () => {
    view.reasons = ['the model is starting'];
    assert.deepEqual(cells(seen(), { name: '127.0.0.1:1', problem: 'connection refused' }).slice(1), [
      ['digits-1', 'digits', '0.0.0', 'not ready', '0', 'the model is starting'],
      ['127.0.0.1:1', 'no answer', 'connection refused'],
    ]);
  });

  it('has the same columns whatever the sidecars say, so that none comes or goes while it is watched', () => {
    const headers = (): string[] =>
      statusTables([seen(), { name: 'b', problem: 'hangs' }], PLAIN)
        .split('\n')
        .filter((line) => /^(sidecar|caller) /.test(line))
        .map((line) => line.trim().replaceAll(/ {2,}/g, ' '));
    view.rows = [anEndpoint({ recentCalls: 0 })];
    const before = headers();
    view.modelReport = { state: 'ready', why: '', restarts: 0 };
    view.restarts = 1;
    view.certificateS = 3_600;
    const suspicion = { value: 0.6, isSuspect: true, detector: 'latency-shift', why: 'slow' };
    const found = {
      share: 0.5,
      reportedLoad: 1,
      latencyRatio: 2,
      successRatio: 1,
      recentCalls: 9,
      suspicion,
    };
    view.rows = [anEndpoint(found)];
    assert.deepEqual(headers(), before);
    assert.deepEqual(before, [
      'sidecar service version state restarts model model restarts running waiting calls endpoints certificate why',
      'caller upstream endpoint state share suspicion in flight load latency to peers success attempts faults ejections why',
    ]);
  });

  it('keeps the state, the model and its restarts on a terminal of 80 columns', () => {
    view.modelReport = { state: 'ready', why: '', restarts: 3 };
    view.restarts = 2;
    const [header] = statusTables([seen()], { ...PLAIN, width: 80 }).split('\n');
    for (const title of ['state', 'restarts', 'model', 'model restarts', 'endpoints'])
      assert.ok(header!.includes(title), header);
  });

  it('shows what a call takes, and not what balancing makes of it', () => {
    view.rows = [anEndpoint({})];
    const text = statusTables([seen()], PLAIN);
    assert.match(text, / 2\.3 ms /);
    assert.doesNotMatch(text, /14314/);
  });

  it('has no latency and no share of no calls, and tells restarts of the sidecar from those of its model', () => {
    const { latencyMs: _, ...unused } = anEndpoint({ attempts: 0, ewmaMs: 0, recentCalls: 0 });
    view.rows = [unused];
    view.restarts = 2;
    view.modelReport = { state: 'ready', why: '', restarts: 3 };
    const [titles, sidecar, , header, endpoint] = cells(seen());
    assert.deepEqual(sidecar, ['digits-1', 'digits', '0.0.0', 'ready', '2', 'ready', '3', '0', '1 of 1']);
    assert.deepEqual(titles?.slice(4, 7), ['restarts', 'model', 'model restarts']);
    const under = (title: string) => endpoint?.[header?.indexOf(title) ?? -1];
    assert.deepEqual([under('latency'), under('success')], ['–', '–']);
  });

  it('has a line for each model where a sidecar serves several', () => {
    view.modelReport = { state: 'ready', why: '', restarts: 1 };
    view.modelReports = [
      { name: 'broken', state: 'failed', why: 'no such graph', pid: 7, restarts: 0 },
      { name: 'digits', state: 'ready', why: '', pid: 8, restarts: 1 },
    ];
    assert.deepEqual(cells(seen()).slice(3), [
      ['sidecar', 'model', 'state', 'process', 'restarts', 'why'],
      ['digits-1', 'broken', 'failed', '7', '0', 'no such graph'],
      ['digits-1', 'digits', 'ready', '8', '1'],
    ]);
    view.modelReports.pop();
    assert.equal(cells(seen()).length, 2, 'one is in the line of its sidecar');
  });

  it('counts calls, endpoints, models and methods, and says when the certificate ends', () => {
    view.rows = [anEndpoint({}), anEndpoint({ endpoint: 'b', state: 'ejected' })];
    view.callCounts = { inbound: 3, outbound: 4 };
    view.methodReports = [{ upstream: 'digits', method: '/a.B/C', kind: 'unary', from: 'description' }];
    view.modelReports = [
      { name: 'a', state: 'failed', why: '', restarts: 0 },
      { name: 'b', state: 'ready', why: '', restarts: 0 },
    ];
    for (const [seconds, shown] of [
      [3 * 86_400 + 1, '3 d'],
      [47 * 3_600, '47 h'],
      [90, '2 min'],
      [0, 'expired'],
    ] as const) {
      view.certificateS = seconds;
      const [titles = [], row = []] = cells(seen());
      const last = row.slice(4);
      assert.deepEqual(titles.slice(-4), ['calls', 'endpoints', 'certificate', 'why']);
      assert.deepEqual(last, ['1 of 2 ready', '7', '1 of 2', shown]);
    }
    view.oldCertificate = 'our certificate expires in 9 s';
    assert.deepEqual(cells(seen())[1]?.at(-1), 'our certificate expires in 9 s');
    view.away = ['upstream digits: it has no endpoint'];
    assert.deepEqual(cells(seen())[1]?.at(-1), `${view.away[0]}; our certificate expires in 9 s`);
  });

  it('lists methods where a sidecar is shown in detail, and calls per second where they are known', () => {
    view.methodReports = [{ upstream: 'digits', method: '/a.B/C', kind: 'unary', from: 'description' }];
    assert.doesNotMatch(statusTables([seen()], PLAIN), /a\.B/);
    const rates = new Map([['x', 12.345]]);
    const text = statusTables([seen()], PLAIN, { rates, isDetailed: true });
    assert.match(text, /calls\/s[\s\S]* 12\n/);
    assert.match(text, /digits-1 +digits +\/a\.B\/C +unary +description/);
  });

  it('has a line for an instance that is known from the catalogue alone', () => {
    const status = 'critical' as const;
    const where = { node: 'n1', address: '10.0.0.7:9000', models: ['digits=2'] };
    const catalog = { service: 'digits', version: '0.1.0', status, why: 'draining', ...where };
    assert.deepEqual(cells({ name: 'digits-7', catalog }), [
      ['sidecar', 'service', 'version', 'state', 'model', 'why'],
      ['digits-7', 'digits', '0.1.0', 'critical', 'digits=2', 'draining'],
    ]);
  });

  it('colours an endpoint by its state and by how its calls go', () => {
    const paint = (name: string) => (text: string) => `<${name}>${text}`;
    const palette = { ...PLAIN, green: paint('g'), yellow: paint('y'), red: paint('r') };
    view.rows = [
      anEndpoint({ endpoint: 'a', recentCalls: 9, successRatio: 0 }),
      anEndpoint({ endpoint: 'b', recentCalls: 9, successRatio: 0.7 }),
      anEndpoint({ endpoint: 'c', state: 'unhealthy', mayBeStarting: true }),
      anEndpoint({ endpoint: 'd', state: 'unhealthy' }),
      anEndpoint({ endpoint: 'e' }),
    ];
    const text = statusTables([seen()], palette);
    const painted = [
      'a +<r>eligible',
      'b +<y>eligible',
      'c +<y>starting',
      'd +<r>unhealthy',
      'e +<g>eligible',
    ];
    for (const part of painted) assert.match(text, new RegExp(part));
  });

  it('says which endpoints go first, what they take, and why one does not', () => {
    view.rows = [
      anEndpoint({ endpoint: 'a', successRatio: 1, share: 0.5, latencyRatio: 3.14 }),
      anEndpoint({ endpoint: 'b', priority: 1, state: 'standby', why: 'others go first' }),
      anEndpoint({ endpoint: 'c', priority: 1000, why: 'critical in the registry: disk' }),
      anEndpoint({ endpoint: 'd', state: 'ejected', untilMs: 12_300, why: 'faults in a row' }),
    ];
    const text = statusTables([seen()], PLAIN);
    for (const part of [
      /priority +state/,
      /latency +to peers +success/,
      /a +eligible +50 % .* 2\.3 ms +3\.1 × +100 %/,
      /b +1 +standby .*others go first/,
      /c +1000 +eligible .*critical in the registry: disk/,
      /d +ejected, 13 s to go .*faults in a row/,
    ])
      assert.match(text, part);
  });

  it('says what endpoints are suspected of', () => {
    const suspicion = { value: 0.62, isSuspect: true, detector: 'latency-shift', why: 'it takes longer' };
    view.rows = [anEndpoint({ endpoint: 'a', suspicion }), anEndpoint({ endpoint: 'b' })];
    const text = statusTables([seen()], PLAIN);
    assert.match(text, /suspicion/);
    assert.match(text, /a +eligible +100 % +62 % .*it takes longer/);
  });

  it('says how Consul is read, what it does not answer, and what of it is not applied', () => {
    view.registryReport = {
      where: 'http://127.0.0.1:8500',
      registered: false,
      problem: 'the agent answered 403',
      queries: [
        { name: 'roots', state: 'current', ageMs: 5 },
        { name: 'instances of digits', state: 'failing', ageMs: 12_000, problem: 'no leader' },
      ],
      unsupported: ['service-router digits: PrefixRewrite is not applied'],
    };
    const text = statusTables([seen()], PLAIN);
    assert.match(text, /http:\/\/127\.0\.0\.1:8500 +not registered +1 of 2 +the agent answered 403/);
    assert.match(text, /instances of digits +failing +no leader/);
    assert.match(text, /digits-1: service-router digits: PrefixRewrite is not applied$/);
  });

  it('says what DNS has of the names of upstreams', () => {
    const counts = { addresses: 3, kept: 0, rounds: 9, failures: 1 };
    const name = 'digits.models.svc.cluster.local:8443';
    view.dnsReports = [{ upstream: 'digits', name, state: 'failing', ...counts, problem: 'SERVFAIL' }];
    const text = statusTables([seen()], PLAIN);
    assert.match(text, /digits +digits\.models\.svc\.cluster\.local:8443 +failing +3 +SERVFAIL/);
    assert.doesNotMatch(text, /kept|found/);
    view.dnsReports = [{ upstream: 'digits', name, state: 'held', ...counts, kept: 2 }];
    assert.match(statusTables([seen()], PLAIN), /:8443 +held +3 +2/);
    const found = 'digits.ns.svc.cluster.local';
    view.dnsReports = [{ upstream: 'digits', name: 'digits:8443', found, state: 'current', ...counts }];
    const completed = statusTables([seen()], PLAIN);
    assert.match(completed, /DNS +found +state/);
    assert.match(completed, /digits:8443 +digits\.ns\.svc\.cluster\.local +current +3/);
  });

  it('says what Kubernetes has of the Services of upstreams', () => {
    const counts = { endpoints: 3, unready: 0, terminating: 0, kept: 0, lists: 1, watches: 1, failures: 0 };
    const service = 'digits.models:peers';
    view.kubernetesReports = [{ upstream: 'digits', service, state: 'current', ...counts }];
    const text = statusTables([seen()], PLAIN);
    assert.match(text, /Kubernetes +state +ready/);
    assert.match(text, /digits +digits\.models:peers +current +3/);
    assert.doesNotMatch(text, /terminating|not ready|kept/);
    const bad = { ...counts, terminating: 2, problem: '403 forbidden' };
    view.kubernetesReports = [{ upstream: 'digits', service, state: 'failing', ...bad }];
    assert.match(statusTables([seen()], PLAIN), /:peers +failing +3 +2 +403 forbidden/);
  });

  it('says what was too large to be seen', () => {
    const why = '3 answers longer than sample';
    view.sizeLimitReports = [{ upstream: 'digits', feature: 'inspection', why }];
    assert.match(statusTables([seen()], PLAIN), /digits +inspection +3 answers longer than sample/);
  });

  it('says what became of copies', () => {
    const counts = { sent: 70, inFlight: 0, skipped: 5, compared: 60, mismatched: 3 };
    view.mirrorReports = [{ upstream: 'digits', to: 'canary', ...counts, last: 'output 1 differs' }];
    assert.match(statusTables([seen()], PLAIN), /digits +canary +70 +5 +60 +3 +output 1 differs/);
  });
});
