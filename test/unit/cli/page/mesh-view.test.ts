import assert from 'node:assert/strict';
import { KEEP_MS, MeshView } from '../../../../sidecar/cli/page/mesh-view.js';
import { anEndpoint } from '../../../kit/stack/admin-view.js';

const answer = (name: string, calls: number, failed = 0) => ({
  name,
  report: { service: 'web', instance: name, version: '0', ready: true, notReady: [], endpoints: [] },
  metrics: `outrider_calls_total{direction="outbound",service="digits",method="m",grpc_status="OK"} ${calls - failed}
outrider_calls_total{direction="outbound",service="digits",method="m",grpc_status="INTERNAL"} ${failed}
outrider_call_seconds_bucket{le="0.1",direction="outbound",service="digits",method="m"} ${calls}
outrider_call_seconds_bucket{le="+Inf",direction="outbound",service="digits",method="m"} ${calls}
`,
});

describe('the view of a mesh', () => {
  it('adds up the calls of the sidecars of a service', () => {
    const view = new MeshView();
    view.take([answer('web-1', 0), answer('web-2', 100)], 0);
    view.take([answer('web-1', 30), answer('web-2', 110, 10)], 2_000);
    const { edges } = view.moment(2_000);
    assert.equal(edges.length, 1);
    const [{ from, to, now, steps }] = edges as [(typeof edges)[0]];
    assert.deepEqual([from, to, now.perSecond, now.successRatio], ['web', 'digits', 20, 0.75]);
    assert.deepEqual(steps, [{ atMs: 2_000, perSecond: 20, failed: 5 }]);
  });

  it('has what may be called before the first call', () => {
    const view = new MeshView();
    const { report } = answer('web-1', 0);
    const endpoints = [anEndpoint({ upstream: 'small' })];
    view.take([{ name: 'web-1', report: { ...report, endpoints }, metrics: '' }], 0);
    const none = { from: 'web', to: 'small', now: { perSecond: 0 }, steps: [] };
    assert.deepEqual(view.moment(0).edges, [none]);
  });

  it('knows whose sidecar it was that does not answer', () => {
    const view = new MeshView();
    view.take([answer('web-1', 0)], 0);
    for (const atMs of [2_000, 4_000]) view.take([{ name: 'web-1', problem: 'refused' }], atMs);
    assert.equal(view.moment(4_000).sidecars[0]!.lastService, 'web');
    view.take([answer('web-1', 0)], 6_000);
    assert.equal(view.moment(6_000).sidecars[0]!.lastService, undefined);
  });

  it('forgets a sidecar that is gone, and says why one does not answer', () => {
    const view = new MeshView();
    view.take([answer('web-1', 0)], 0);
    view.take([{ name: 'web-1', problem: 'refused' }], 2_000);
    assert.equal(view.moment(2_000).sidecars[0]!.problem, 'refused');
    assert.deepEqual(
      view.moment(2_000).marks.map(({ kind }) => kind),
      ['gone'],
    );
    view.take([], KEEP_MS + 1);
    assert.deepEqual(view.moment(KEEP_MS + 1).edges, []);
  });
});
