import assert from 'node:assert/strict';
import { RESTART_OPTIONS, StartedWith } from '../../../sidecar/app/restart-required.js';
import type { SidecarConfig } from '../../../sidecar/config/model.js';
import { sidecarFile } from '../../../sidecar/config/options/sidecar-file.js';
import { type OptionEntry, optionsOf } from '../../../tools/option-tree.js';
import { IDENTITY, sidecarConfig } from '../../kit/config/problems-of.js';

const file = (upstreams: string, model = '') =>
  sidecarConfig(
    `${IDENTITY}\ninbound: {listen: "127.0.0.1:1", local: "unix:m"}\n${model}\noutbound: {upstreams: ${upstreams}}`,
  );
const restartPaths = (started: SidecarConfig, next: SidecarConfig) => new StartedWith(started).reloaded(next);
const A = 'a: {listen: "127.0.0.1:2", endpoints: ["10.0.0.1:1"]}';
const B = 'b: {listen: "127.0.0.1:3", endpoints: ["10.0.0.1:1"]}';
const MODEL = 'model: {command: [serve]}';

/** Options that a reload takes over, and what does it. Of blocks, all that is in them. */
const APPLIED: Readonly<Record<string, string>> = {
  drain_timeout: 'read when a drain begins',
  access_log: 'AccessLogSink.update',
  traces: 'TraceSink.update',
  metrics: 'MetricsSink.update',
  'inbound.intentions': 'InboundSide.update',
  'inbound.default_intention': 'InboundSide.update',
  'inbound.default_max_tokens': 'InboundState.update: countingOf',
  'inbound.queue': 'SharedLimits.update, BackendQueues.update',
  'inbound.rate_limits': 'SharedLimits.update',
  'inbound.load_report': 'LoadStreams.config',
  'inbound.routes': 'Routes.replaced',
  'outbound.upstreams.*.consul': 'OutboundSide.discover',
  'outbound.upstreams.*.dns': 'OutboundSide.discover',
  'outbound.upstreams.*.kubernetes': 'OutboundSide.discover',
  'outbound.upstreams.*.endpoints': 'Upstream.update',
  'outbound.upstreams.*.tls': 'UpstreamState.update, updateCluster',
  'outbound.upstreams.*.balance': 'updateCluster, Upstream.refresh',
  'outbound.upstreams.*.engine': 'Router.update',
  'outbound.upstreams.*.load_reports': 'LoadWatches, Router.update',
  'outbound.upstreams.*.health': 'HealthChecker.configure',
  'outbound.upstreams.*.breaker': 'CircuitBreaker.configure',
  'outbound.upstreams.*.slow_start': 'updateCluster',
  'outbound.upstreams.*.cold_start': 'UpstreamState.configureColdStart',
  'outbound.upstreams.*.locality': 'updateCluster',
  'outbound.upstreams.*.ejection': 'updateCluster',
  'outbound.upstreams.*.foresight': 'updateCluster',
  'outbound.upstreams.*.pool': 'updateCluster',
  'outbound.upstreams.*.budget': 'Router.update',
  'outbound.upstreams.*.routes': 'Router.update',
};

/** The options that a decision is about: those of the file, of its sides and of an upstream. */
function pathsOf(options: readonly OptionEntry[], path = ''): string[] {
  return options.flatMap(({ name, value }) => {
    const own = `${path}${name}`;
    if (own !== 'inbound' && own !== 'outbound' && own !== 'outbound.upstreams') return [own];
    const of = value.kind === 'map' ? value.of : value;
    assert.ok(of.kind === 'block', own);
    return pathsOf(of.options, value.kind === 'map' ? `${own}.*.` : `${own}.`);
  });
}

describe('options that only a restart takes over', () => {
  it('are all that a reload does not take over', () => {
    const all = pathsOf(optionsOf(sidecarFile));
    const decided = [...RESTART_OPTIONS, 'outbound.upstreams.*.listen', ...Object.keys(APPLIED)];
    assert.deepEqual(decided.toSorted(), all.toSorted());
  });

  it('are named, and no part of them is in force before it', () => {
    const inbound =
      'inbound: {listen: "127.0.0.1:1", local: "unix:m", engine: vllm, engine_model: one, local_owner: 7}';
    const started = sidecarConfig(
      `${IDENTITY}\n${inbound}\nadmin: "127.0.0.1:9"\nstate_dir: /s\noutbound: {upstreams: {${A}}, shared: {listen: "127.0.0.1:8", by: authority}}`,
    );
    const running = new StartedWith(started);
    for (const path of RESTART_OPTIONS) {
      const keys = path.split('.').map((each) => each.replaceAll(/_(.)/g, (_, c: string) => c.toUpperCase()));
      const change = (value: unknown): SidecarConfig => {
        const next = structuredClone(started) as unknown as Record<string, Record<string, unknown>>;
        const [block, key] = keys as [string, string?];
        if (key === undefined) Object.assign(next, { [block]: value });
        else next[block]![key] = value;
        return next as unknown as SidecarConfig;
      };
      for (const value of [{ command: ['other'] }, undefined]) {
        const next = change(value);
        const isChange = JSON.stringify(next) !== JSON.stringify(started);
        assert.deepEqual(running.reloaded(next), isChange ? [path] : [], path);
        assert.deepEqual(
          running.inForce({ ...next, drainTimeoutMs: 1 }, started),
          { ...started, drainTimeoutMs: 1 },
          path,
        );
      }
    }
  });

  it('are a whole side that the start did not have, or that is gone from the file', () => {
    const both = file(`{${A}}`);
    const { inbound, outbound, ...bare } = both;
    const caller = { ...bare, outbound: outbound! };
    assert.deepEqual(new StartedWith(caller).inForce(both, caller), caller);
    const before = { ...both, inbound: { ...inbound!, defaultIntention: 'allow' as const } };
    assert.deepEqual(new StartedWith(both).inForce(caller, before).inbound, before.inbound);
    assert.deepEqual(new StartedWith(both).inForce({ ...bare, inbound: inbound! }, both).outbound, undefined);
  });

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
    const { inbound, ...none } = runs('one');
    const plain = { ...none, inbound: { ...inbound!, engine: undefined, engineModel: undefined } as never };
    const both = ['inbound.engine', 'inbound.engine_model'];
    assert.deepEqual([restartPaths(plain, runs('one')), restartPaths(runs('one'), plain)], [both, both]);
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
