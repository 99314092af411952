/** The file of a running sidecar changes how an upstream is found: no call notices. */
import assert from 'node:assert/strict';
import type { UpstreamConfig } from '../../../sidecar/config/model.js';
import { DiscoveredUpstream } from '../../kit/scenario/discovered-upstream.js';
import { addressOf, anUpstream } from '../../kit/stack/stack.js';

const DISCOVERY = { service: 'digits', tags: [], meta: {}, failover: [] };

describe('Scenario: how an upstream is found changes with the file', () => {
  let mesh: DiscoveredUpstream;
  beforeEach(() => {
    mesh = new DiscoveredUpstream();
  });

  const update = (config: UpstreamConfig): void => mesh.stack.settle(mesh.out.outbound.state.update(config));
  const fixed = (...names: string[]) => {
    for (const name of names) mesh.backend(name);
    return anUpstream(names);
  };

  it('from the registry to the file', () => {
    mesh.discover(['a']);
    assert.deepEqual(mesh.calls(2), { a: 2 });
    update(fixed('a', 'b'));
    assert.deepEqual(mesh.calls(4), { a: 2, b: 2 });
    assert.equal(mesh.stack.backend('a').peers.length, 1, 'on the connection there was');
    mesh.discover(['c']);
    assert.deepEqual(mesh.calls(4), { a: 2, b: 2 }, 'an answer that was still on its way changes nothing');
  });

  it('from the file to the registry: the old endpoints serve until it has answered', () => {
    update(fixed('a'));
    assert.deepEqual(mesh.calls(2), { a: 2 });
    update(anUpstream([], { consul: DISCOVERY }));
    assert.deepEqual(mesh.calls(2), { a: 2 });
    mesh.discover(['b']);
    assert.deepEqual(mesh.calls(2), { b: 2 });
  });

  it('while calls wait: they go where the file says', () => {
    const call = mesh.call();
    update(fixed('a'));
    assert.equal(call.body.toString(), 'a');
  });

  it('in other points: what the registry said stays in force', () => {
    mesh.discover(['a', 'b@1']);
    update(anUpstream([], { consul: DISCOVERY, pool: { connections: 2 } }));
    assert.deepEqual(mesh.calls(2), { a: 2 });
    assert.equal(mesh.stack.backend('a').open.length, 2);
  });

  it('in its TLS mode: the scheme of the next call says so', () => {
    update(fixed('a'));
    mesh.call();
    update({ ...fixed('a'), tls: 'plaintext' });
    mesh.call();
    const schemes = mesh.stack.backend('a').requests.map((request) => request.header(':scheme'));
    assert.deepEqual(schemes, ['https', 'http']);
  });

  it('so that it is gone: calls that wait are answered', () => {
    const call = mesh.call();
    mesh.stack.settle(mesh.out.outbound.state.retire());
    assert.equal(call.reason, 'no-endpoint');
  });

  it('and knows whose word its connections back up', () => {
    const isAnswering = (name: string) => mesh.out.outbound.state.upstream.isAnswering(addressOf(name));
    mesh.discover(['a', 'b@1', 'c@2']);
    assert.ok(isAnswering('a') && isAnswering('b'));
    assert.ok(!isAnswering('c') && !isAnswering('d'));
    mesh.stack.settle(mesh.stack.kill('a'));
    assert.ok(!isAnswering('a'));
  });
});
