import assert from 'node:assert/strict';
import type { HistoryReport } from '../../../../sidecar/admin/history/history-report.js';
import { callSources, MeshView } from '../../../../sidecar/cli/page/mesh-view.js';
import { SLOT_MS } from '../../../../sidecar/core/history/half-hour.js';
import { anEndpoint, aStatusReport } from '../../../kit/stack/admin-view.js';

/** Of a sidecar without a history. */
const answer = (name: string, calls: number, failed = 0, service = 'web') => ({
  name,
  report: aStatusReport({ service, instance: name }),
  metrics: `outrider_calls_total{direction="outbound",service="digits",method="m",grpc_status="OK"} ${calls - failed}
outrider_calls_total{direction="outbound",service="digits",method="m",grpc_status="INTERNAL"} ${failed}
outrider_call_seconds_bucket{le="0.1",direction="outbound",service="digits",method="m"} ${calls}
outrider_call_seconds_bucket{le="+Inf",direction="outbound",service="digits",method="m"} ${calls}
`,
});

describe('the view of a mesh', () => {
  it('adds up the calls of the sidecars of a service, in rates of the last 30 s', () => {
    const view = new MeshView();
    view.take([answer('web-1', 0), answer('web-2', 100)], 0);
    view.take([answer('web-1', 75), answer('web-2', 125, 25)], SLOT_MS);
    const { edges, unkept } = view.moment(SLOT_MS);
    assert.equal(edges.length, 1);
    const { from, to, now } = edges[0]!;
    // The first slot is known to have had none that was counted.
    assert.deepEqual([from, to, now.perSecond, now.failedRatio], ['web', 'digits', 10, 0.25]);
    assert.ok(now.p50! > 50 && now.p99! <= 100);
    assert.deepEqual(unkept, ['web-1', 'web-2']);
  });

  it('has what may be called before the first call', () => {
    const view = new MeshView();
    const { report } = answer('web-1', 0);
    const endpoints = [anEndpoint({ upstream: 'small' })];
    view.take([{ name: 'web-1', report: { ...report, endpoints }, metrics: '' }], 0);
    assert.deepEqual(view.moment(0).edges, [{ from: 'web', to: 'small', now: { perSecond: 0 } }]);
  });

  it('counts calls at the callers, and at the replicas where no caller is here', () => {
    const view = new MeshView();
    const inbound = (calls: number) => ({
      ...answer('d-1', 0, 0, 'digits'),
      metrics: `outrider_calls_total{direction="inbound",service="digits",grpc_status="OK"} ${calls}\n`,
    });
    view.take([inbound(0)], 0);
    view.take([inbound(9)], SLOT_MS);
    assert.deepEqual(
      callSources('digits', view.moment(SLOT_MS)).map(({ kind }) => kind),
      ['inbound digits'],
    );
    view.take([inbound(9), answer('web-1', 0)], 2 * SLOT_MS);
    view.take([inbound(9), answer('web-1', 9)], 3 * SLOT_MS);
    assert.deepEqual(
      callSources('digits', view.moment(3 * SLOT_MS)).map(({ kind }) => kind),
      ['outbound digits'],
    );
  });

  it('says of a sidecar whose history cannot be read that it cannot, and has the others', () => {
    const view = new MeshView();
    const history = { began: 7, later: 'versions may have another form' } as unknown as HistoryReport;
    for (const atMs of [0, SLOT_MS])
      view.take([{ ...answer('web-1', 0), history }, answer('web-2', 100)], atMs);
    const [bad, good] = view.moment(SLOT_MS).sidecars;
    assert.match(bad!.problem!, /^its answer cannot be read: /);
    assert.deepEqual([bad!.report, good!.problem, good!.report?.instance], [undefined, undefined, 'web-2']);
  });

  it('knows whose sidecar it was that does not answer', () => {
    const view = new MeshView();
    view.take([answer('web-1', 0)], 0);
    for (const atMs of [2_000, 4_000]) view.take([{ name: 'web-1', problem: 'refused' }], atMs);
    assert.equal(view.moment(4_000).sidecars[0]!.lastService, 'web');
    view.take([answer('web-1', 0)], 6_000);
    assert.equal(view.moment(6_000).sidecars[0]!.lastService, undefined);
  });

  it('marks a sidecar that does not answer once, and one that was started again, missed or not', () => {
    const view = new MeshView();
    const { report, metrics } = answer('web-1', 0);
    [1, 2, undefined, undefined, 3, 3].forEach((restarts, i) => {
      const isGone = restarts === undefined;
      const seen = isGone ? { problem: 'refused' } : { report: { ...report, restarts }, metrics };
      view.take([{ name: 'web-1', ...seen }], i * SLOT_MS);
    });
    const again = 'the sidecar web-1 was started again';
    assert.deepEqual(
      view.moment(6 * SLOT_MS).marks.map(({ kind, service, text }) => [kind, service, text]),
      [
        ['restart', 'web', again],
        ['gone', 'web', 'web-1 does not answer'],
        ['restart', 'web', again],
      ],
    );
  });

  it('forgets a sidecar that is not asked any more, with its history', () => {
    const view = new MeshView();
    view.take([answer('web-1', 0)], 0);
    view.take([], SLOT_MS);
    const { edges, histories, marks } = view.moment(SLOT_MS);
    assert.deepEqual([edges, histories.size, marks], [[], 0, []]);
  });
});
