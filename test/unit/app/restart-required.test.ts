import assert from 'node:assert/strict';
import { StartedWith } from '../../../sidecar/app/restart-required.js';
import type { SidecarConfig } from '../../../sidecar/config/model.js';
import { IDENTITY, sidecarConfig } from '../../kit/config/problems-of.js';

const file = (upstreams: string, model = '') =>
  sidecarConfig(
    `${IDENTITY}\ninbound: {listen: "127.0.0.1:1", local: "unix:m"}\n${model}\noutbound: {upstreams: ${upstreams}}`,
  );
const restartPaths = (started: SidecarConfig, next: SidecarConfig) => new StartedWith(started).reloaded(next);
const A = 'a: {listen: "127.0.0.1:2", endpoints: ["10.0.0.1:1"]}';
const B = 'b: {listen: "127.0.0.1:3", endpoints: ["10.0.0.1:1"]}';
const MODEL = 'model: {command: [serve]}';

describe('options that only a restart takes over', () => {
  it('are those that listeners, the identity and the model process were made with', () => {
    const next = { ...file(`{${A}}`), service: 'other', datacenter: 'dc2' };
    assert.deepEqual(restartPaths(file(`{${A}}`), next), ['service', 'datacenter']);
    const moved = file(`{${A.replace(':2', ':4')}}`);
    assert.deepEqual(restartPaths(file(`{${A}}`), moved), ['outbound.upstreams.a.listen']);
  });

  it('are what an engine runs: until then its process is still the one before', () => {
    const runs = (model: string) =>
      sidecarConfig(
        `${IDENTITY}\ninbound: {listen: "127.0.0.1:1", local: "unix:m", engine: vllm, engine_model: ${model}}`,
      );
    assert.deepEqual(restartPaths(runs('one'), runs('two')), ['inbound.engine_model']);
  });

  it('are a new upstream of a model process, which learns of its upstreams when it starts', () => {
    assert.deepEqual(restartPaths(file(`{${A}}`), file(`{${A}, ${B}}`)), []);
    const [before, next] = [file(`{${A}}`, MODEL), file(`{${A}, ${B}}`, MODEL)];
    assert.deepEqual(restartPaths(before, next), ['outbound.upstreams.b.listen']);
    assert.deepEqual(restartPaths(next, before), []);
  });

  it('are named by each reload until a restart, and no more once they are set back', () => {
    const started = file(`{${A}}`);
    const running = new StartedWith(started);
    const other = { ...started, service: 'other' };
    assert.deepEqual(running.reloaded(other), ['service']);
    assert.deepEqual(running.reloaded({ ...other, datacenter: 'dc2' }), ['service', 'datacenter']);
    assert.deepEqual(running.reloaded(started), []);
    const moved = file(`{${A.replace(':2', ':4')}}`);
    assert.deepEqual(running.reloaded(moved), ['outbound.upstreams.a.listen']);
    assert.deepEqual(running.reloaded(moved), ['outbound.upstreams.a.listen']);
    assert.deepEqual(running.reloaded(started), []);
  });

  it('are not the listener of an upstream that a reload removed, and another one brought anew', () => {
    const running = new StartedWith(file(`{${A}, ${B}}`));
    assert.deepEqual(running.reloaded(file(`{${A}}`)), []);
    assert.deepEqual(running.reloaded(file(`{${A}, ${B.replace(':3', ':5')}}`)), []);
    assert.deepEqual(running.reloaded(file(`{${A}, ${B}}`)), ['outbound.upstreams.b.listen']);
  });

  it('are such an upstream of a model process, which has the address of before', () => {
    const running = new StartedWith(file(`{${A}, ${B}}`, MODEL));
    assert.deepEqual(running.reloaded(file(`{${A}}`, MODEL)), []);
    const anew = file(`{${A}, ${B.replace(':3', ':5')}}`, MODEL);
    assert.deepEqual(running.reloaded(anew), ['outbound.upstreams.b.listen']);
  });
});
