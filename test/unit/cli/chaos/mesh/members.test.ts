import assert from 'node:assert/strict';
import { type MemberReport, membersOf } from '../../../../../sidecar/cli/chaos/mesh/members.js';

const at = (port: number) => ({ kind: 'tcp', host: '127.0.0.1', port }) as const;

function replica(service: string, n: number, over: object = {}): MemberReport {
  return {
    admin: at(7000 + n),
    report: { service, instance: `${service}-${n}` },
    config: { inbound: { golden: { models: `/models/${service}`, intervalMs: 1 } }, ...over } as never,
    faultsOn: 0,
  };
}

function caller(...names: string[]): MemberReport {
  const upstreams = names.map((name, i) => ({ name, listen: at(8800 + i) }));
  return {
    admin: at(8890),
    report: { service: 'web', instance: 'web' },
    config: { outbound: { upstreams } } as never,
    faultsOn: 2,
  };
}

describe('the members of a running mesh', () => {
  it('are the replicas of the service that a caller calls, with what they allow', () => {
    const reports = [
      replica('digits', 1, { faultInjection: 'processes' }),
      replica('digits', 2),
      replica('pages', 3),
      caller('digits'),
    ];
    assert.deepEqual(membersOf(reports), {
      ...{ service: 'digits', golden: '/models/digits' },
      replicas: [
        { name: 'digits-1', admin: at(7001), permission: 'processes', faultsOn: 0 },
        { name: 'digits-2', admin: at(7002), permission: undefined, faultsOn: 0 },
      ],
      caller: { name: 'web', admin: at(8890), target: '127.0.0.1:8800', faultsOn: 2 },
    });
  });

  it('are of the service that is asked for', () => {
    const reports = [replica('digits', 1), replica('pages', 2), caller('digits', 'pages')];
    const { service, caller: found } = membersOf(reports, 'pages');
    assert.deepEqual([service, found.target], ['pages', '127.0.0.1:8801']);
    assert.throws(
      () => membersOf(reports),
      /--service: expected one of the services of this mesh: digits, pages/,
    );
    assert.throws(() => membersOf(reports, 'page'), /--service: found page; expected .*: pages/);
  });

  it('need a caller and a golden input', () => {
    assert.throws(() => membersOf([replica('digits', 1)]), /the services of this mesh: none/);
    const without = replica('digits', 1, { inbound: {} });
    assert.throws(
      () => membersOf([without, caller('digits')]),
      /digits has no golden input.*found nothing; expected|digits has no golden input/,
    );
  });
});
