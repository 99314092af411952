import assert from 'node:assert/strict';
import { calls, Move } from '../../../../sidecar/cli/up/move.js';
import type { SidecarSpec } from '../../../../sidecar/cli/up/plan.js';

const at = (port: number) => ({ kind: 'tcp', host: '127.0.0.1', port }) as const;
const replica = (name: string, port: number): SidecarSpec =>
  ({ name, config: { inbound: { listen: at(port) }, admin: at(port + 1) } }) as unknown as SidecarSpec;
const caller = (ports: Readonly<Record<string, number>>): SidecarSpec => {
  const endpoints = Object.entries(ports).map(([id, port]) => ({ id, address: at(port) }));
  return {
    name: 'web',
    config: { outbound: { upstreams: [{ name: 'a', endpoints }] } },
  } as unknown as SidecarSpec;
};
const portsIn = ({ config }: SidecarSpec) =>
  config.outbound!.upstreams[0]!.endpoints.map(({ address }) => address.kind === 'tcp' && address.port);

describe('replicas that get other addresses', () => {
  const moveOf = (before: readonly SidecarSpec[], after: readonly SidecarSpec[]) =>
    new Move(new Map(before.map((spec) => [spec.name, spec])), after);

  it('move one after the other, and a caller is told where each of them is meanwhile', () => {
    const before = [replica('a-1', 100), replica('a-2', 102), replica('b-1', 300)];
    const web = caller({ 'a-1': 200, 'a-2': 202 });
    const after = [replica('a-1', 200), replica('a-2', 202), replica('b-1', 300), web];
    const move = moveOf(before, after);
    assert.deepEqual(portsIn(move.sofar(web)), [100, 102]);
    assert.equal(move.next()!.name, 'a-1');
    assert.deepEqual(portsIn(move.sofar(web)), [200, 102]);
    assert.equal(move.next()!.name, 'a-2');
    assert.deepEqual(portsIn(move.sofar(web)), [200, 202]);
    assert.equal(move.next(), undefined);
    assert.deepEqual([calls(web, 'a-1'), calls(web, 'b-1'), calls(after[0]!, 'a-1')], [true, false, false]);
  });

  it('leave a port before another one gets it', () => {
    const before = [replica('a-1', 100), replica('a-2', 102), replica('a-3', 104)];
    const move = moveOf(before, [replica('a-1', 102), replica('a-2', 104), replica('a-3', 106)]);
    assert.deepEqual([move.next()!.name, move.next()!.name, move.next()!.name], ['a-3', 'a-2', 'a-1']);
  });

  it('are all of those with another address, and no others', () => {
    const before = [replica('a-1', 100)];
    assert.equal(moveOf(before, [replica('a-1', 100)]).next(), undefined);
    assert.equal(moveOf([], [replica('a-1', 100)]).next(), undefined);
  });
});
