/** All that is known of one upstream: which questions are asked, and what is made of the answers, in any order. */
import assert from 'node:assert/strict';
import type { UpstreamConfig } from '../../../../../sidecar/config/model.js';
import type { CacheFile } from '../../../../../sidecar/discovery/consul/cache/cache-file.js';
import type {
  Queries,
  TargetState,
} from '../../../../../sidecar/discovery/consul/catalog/endpoint-watcher.js';
import type { Target } from '../../../../../sidecar/discovery/consul/catalog/target.js';
import {
  type TargetSource,
  UpstreamWatcher,
} from '../../../../../sidecar/discovery/consul/chain/upstream-watcher.js';
import type { Instance } from '../../../../../sidecar/discovery/consul/parser/instances.js';
import type { QuerySpec, QueryStatus } from '../../../../../sidecar/discovery/consul/query/query-spec.js';
import { DRAINING } from '../../../../../sidecar/discovery/consul/registration/checks.js';
import type { UpstreamSnapshot } from '../../../../../sidecar/discovery/snapshot.js';
import { anInstance as instance } from '../../../../kit/consul/answers.js';
import { chain, idOf, resolver, splitter } from '../../../../kit/consul/chains.js';
import { CONFIG } from '../../../../kit/consul/scripted-agent.js';
import { silentLogger } from '../../../../kit/stack/silent-logger.js';
import { anUpstream } from '../../../../kit/stack/stack.js';
import { ManualClock } from '../../../../kit/time/manual-clock.js';
import { seeded } from '../../../../kit/time/seeded-random.js';

/** Answers by path; a target by its service, subset and datacenter. */
class Registry {
  readonly specs = new Map<string, QuerySpec<unknown>>();
  private readonly told = new Map<string, (value: never) => void>();
  readonly targets = new Map<string, (state: TargetState) => void>();
  readonly doubts: string[] = [];
  /** What a target is known to have before it is watched. */
  known: Record<string, readonly Instance[]> = {};

  readonly queries: Queries = {
    watch: (spec, onValue) => {
      this.specs.set(spec.path, spec as QuerySpec<unknown>);
      this.told.set(spec.path, onValue as unknown as (value: never) => void);
      const close = () => void this.specs.delete(spec.path);
      return { status: () => ({}) as QueryStatus, reread() {}, close };
    },
  };

  readonly source: TargetSource = {
    watch: (target, onChange) => {
      const key = nameOf(target);
      assert.ok(!this.targets.has(key), `${key} is watched twice`);
      this.targets.set(key, onChange);
      const known = this.known[key];
      if (known !== undefined) onChange({ instances: known });
      return {
        doubt: (why) => void this.doubts.push(`${key}: ${why}`),
        close: () => void this.targets.delete(key),
      };
    },
  };

  async answer(path: string, text: string): Promise<void> {
    const spec = this.specs.get(path);
    assert.ok(spec, `no query for ${path}`);
    this.told.get(path)?.((await spec.parse(Buffer.from(text))) as never);
  }

  absent(path: string): void {
    this.told.get(path)?.(this.specs.get(path)?.absent?.() as never);
  }

  find(key: string, ...instances: Instance[]): void {
    const onChange = this.targets.get(key);
    assert.ok(onChange, `no query for ${key}; but for ${[...this.targets.keys()].join(', ')}`);
    onChange({ instances });
  }
}

function nameOf({ service, datacenter, filter, via }: Target): string {
  const where = datacenter === undefined ? '' : `@${datacenter}`;
  return `${via === 'plain' ? 'plain ' : ''}${service}${where}${filter === undefined ? '' : `[${filter}]`}`;
}

const CHAIN = '/discovery-chain/web';
const SERVICE_DEFAULTS = '/config/service-defaults/app';
const STICKY = { Policy: 'maglev', HashPolicies: [{ Field: 'header', FieldValue: 'x-user' }] };
/** A chain with a connect timeout and a hash policy of its own. */
const TUNED = chain([resolver('web', { connectTimeout: '2s', loadBalancer: STICKY })]);

describe('UpstreamWatcher', () => {
  let clock: ManualClock;
  let registry: Registry;
  let warnings: Record<string, unknown>[];
  let told: UpstreamSnapshot[];
  let logged: Set<string>;
  let open: UpstreamWatcher[];
  beforeEach(() => {
    [clock, registry, logged] = [new ManualClock(), new Registry(), new Set()];
    [warnings, told, open] = [[], [], []];
  });
  afterEach(() => {
    for (const watch of open) watch.close();
    assert.equal(registry.specs.size + registry.targets.size, 0, 'queries are left');
    assert.equal(clock.pending(), 0, 'timers are left');
  });

  const upstream = (over: Partial<UpstreamConfig> = {}): UpstreamConfig =>
    anUpstream([], {
      name: 'web',
      consul: { service: 'web', tags: [], meta: {}, failover: [] },
      balance: { kind: 'least-loaded' },
      ...over,
    } as never);
  const kept = new Map<string, unknown>();
  const cache = { load: kept.get.bind(kept), save: kept.set.bind(kept) } as unknown as CacheFile;
  /** Where this machine is, as far as it is asked for. */
  const ownPlace = {
    current: undefined as string | undefined,
    tell: undefined as (() => void) | undefined,
    watch(onChange: () => void) {
      this.tell = onChange;
      return () => {
        this.tell = undefined;
      };
    },
  };
  const watch = (config = upstream(), rules = true): UpstreamWatcher => {
    const logger = { ...silentLogger, warn: (fields: object) => void warnings.push(fields as never) };
    const tools = { config: { ...CONFIG, rules }, clock, timers: clock, random: seeded(1), logger };
    const deps = { ...tools, service: 'app', logged, cache, ownPlace };
    const made = new UpstreamWatcher(config, registry.queries, registry.source, deps, (now) =>
      told.push(now),
    );
    open.push(made);
    return made;
  };
  /** Consul answers with a chain of these nodes. */
  const answerChain = (...args: Parameters<typeof chain>) => registry.answer(CHAIN, chain(...args));
  /** A watch whose rules are known: there are none but Consul's defaults. */
  const plain = async (config = upstream()): Promise<UpstreamWatcher> => {
    const made = watch(config);
    await answerChain([resolver('web')]);
    return made;
  };
  const cluster = (name = '') => told.at(-1)?.clusters.get(name);

  it('the own place is asked for only where near endpoints are preferred and the file does not say it', async () => {
    const made = await plain();
    assert.equal(ownPlace.tell, undefined);
    made.update(upstream({ locality: { own: 'here', spillBelow: 0.7 } }));
    assert.equal(ownPlace.tell, undefined);
    made.update(upstream({ locality: { spillBelow: 0.7 } }));
    assert.equal(cluster()!.ownPlace, undefined);
    ownPlace.current = 'eu/a';
    ownPlace.tell!();
    assert.equal(cluster()!.ownPlace, 'eu/a');
    made.update(upstream());
    assert.deepEqual([ownPlace.tell, cluster()!.ownPlace], [undefined, undefined]);
  });

  const found = (name = '') =>
    cluster(name)?.endpoints?.map(
      ({ id, priority, critical }) => `${id}@${priority}${critical === undefined ? '' : ` ${critical}`}`,
    );

  it('a watched upstream has no snapshot until the rules are known, and no endpoints until those are', async () => {
    watch();
    assert.deepEqual([...registry.specs.keys()].sort(), [SERVICE_DEFAULTS, CHAIN]);
    assert.deepEqual(told, []);
    registry.absent(SERVICE_DEFAULTS);
    assert.deepEqual(told, []);
    await answerChain([resolver('web')]);
    assert.equal(told.length, 1);
    assert.deepEqual(cluster(), { endpoints: undefined });
    const why = 'check "x": timeout';
    registry.find('web', instance('a'), instance('b', { status: 'critical', why, weight: 3 }));
    assert.deepEqual(found(), ['a@0', `b@1000 ${why}`]);
    const where = { address: { kind: 'tcp', host: 'b', port: 8443 }, datacenter: 'dc1', locality: 'dc1' };
    // Its registration says nothing of an Outrider.
    const rest = { id: 'b', weight: 3, priority: 1000, service: 'web', critical: why, isForeign: true };
    assert.deepEqual(cluster()?.endpoints?.[1], { ...where, ...rest });
    registry.find('web');
    assert.deepEqual(found(), []);
  });

  it('a watched upstream gives failover targets their priorities, and an address to the first that names it', async () => {
    watch();
    const targets = { 'v1.web': { Filter: 'v1' }, web: {}, 'web.dc2': {} };
    await answerChain([resolver('v1.web', { failover: ['web', 'web.dc2'] })], targets);
    registry.find('web', instance('a'), instance('b'));
    registry.find('web@dc2', instance('c', { datacenter: 'dc2' }));
    registry.find('web[v1]', instance('a', { status: 'critical', why: 'no' }), instance('d'));
    assert.deepEqual(found('v1.web.default.dc1')?.sort(), ['a@1', 'b@1', 'c@2', 'd@0']);
    assert.equal(cluster('v1.web.default.dc1')?.endpoints?.find(({ id }) => id === 'd')?.subset, 'v1');
  });

  it('a watched upstream waits for the first target before it uses the next, but not for ever', async () => {
    watch();
    await answerChain([resolver('web.dc2', { failover: ['web'] })], { 'web.dc2': {}, web: {} });
    registry.find('web', instance('a'));
    assert.equal(found('web.default.dc2'), undefined);
    clock.advance(3000);
    assert.deepEqual(found('web.default.dc2'), ['a@1']);
    registry.find('web@dc2', instance('b', { datacenter: 'dc2' }));
    assert.deepEqual(found('web.default.dc2'), ['b@0', 'a@1']);
  });

  it('a watched upstream waits for the first target of changed rules as well, whatever was waited for before', async () => {
    watch();
    await answerChain([resolver('web.dc2', { failover: ['web'] })], { 'web.dc2': {}, web: {} });
    registry.find('web', instance('a'));
    registry.find('web@dc2', instance('b', { datacenter: 'dc2' }));
    assert.equal(clock.pending(), 0, 'nothing is waited for');
    clock.advance(3000);
    await answerChain([resolver('web.dc3', { failover: ['web'] })], { 'web.dc3': {}, web: {} });
    assert.equal(found('web.default.dc3'), undefined);
    clock.advance(2999);
    assert.equal(found('web.default.dc3'), undefined);
    clock.advance(1);
    assert.deepEqual(found('web.default.dc3'), ['a@1']);
    registry.find('web@dc3', instance('c', { datacenter: 'dc3' }));
    assert.deepEqual(found('web.default.dc3'), ['c@0', 'a@1']);
  });

  describe('what the endpoints do not say of the replicas', () => {
    const AWAY = 'the datacenter is away';
    const outrider = (id: string) => instance(id, { meta: { outrider: '1' } });
    const ending = (id: string) =>
      instance(id, { meta: { outrider: '1' }, status: 'critical', why: `ttl: ${DRAINING}` });
    /** While the queries of these targets fail. */
    const uncounted = (made: UpstreamWatcher, ...failing: string[]) =>
      made.uncounted((query) =>
        failing.some((name) => query === `instances of ${name}`) ? AWAY : undefined,
      );
    const unknown = { why: AWAY, replicas: 0 };
    const whole = { why: undefined, replicas: 0 };

    it('is nothing of a failover target without instances', async () => {
      const made = watch();
      await answerChain([resolver('web', { failover: ['web.dc2'] })], { web: {}, 'web.dc2': {} });
      registry.find('web@dc2');
      registry.find('web', outrider('a'));
      assert.deepEqual(uncounted(made, 'web@dc2', 'web'), whole);
      registry.find('web');
      assert.deepEqual(uncounted(made, 'web@dc2'), whole, 'the first target has none, and says so');
      assert.deepEqual(uncounted(made, 'web'), unknown);
      registry.find('web', ending('b'));
      assert.deepEqual(uncounted(made, 'web'), whole, 'it is there, and ends');
    });

    it('is not what a failover target has: neither its instances, nor those left out of very many', async () => {
      const config = upstream();
      const made = watch({ ...config, pool: { ...config.pool, maxEndpoints: 2 } });
      await answerChain([resolver('web', { failover: ['web.dc2'] })], { web: {}, 'web.dc2': {} });
      registry.find('web');
      registry.find('web@dc2', ...['b', 'c', 'd', 'e', 'f'].map((id) => outrider(id)));
      assert.deepEqual(uncounted(made), whole);
      assert.deepEqual(uncounted(made, 'web'), unknown, 'those of the service itself are not known');
      registry.find('web', ...['g', 'h', 'i'].map((id) => outrider(id)));
      assert.deepEqual(uncounted(made), { why: undefined, replicas: 1 });
    });

    it('is nothing of instances that are no Outriders: they are replicas', async () => {
      const made = watch();
      const split = splitter('web', { [`resolver:${idOf('web')}`]: 50, [`resolver:${idOf('other')}`]: 50 });
      await answerChain([split, resolver('web'), resolver('other')], { web: {}, other: {} });
      registry.find('web', instance('a'));
      registry.find('other');
      assert.deepEqual(uncounted(made, 'other'), { why: undefined, replicas: 1 });
    });

    it('is all of them while the first target has never been listed, and its failover targets have none', async () => {
      const made = watch();
      await answerChain([resolver('web.dc2', { failover: ['web'] })], { 'web.dc2': {}, web: {} });
      registry.find('web');
      assert.deepEqual([found('web.default.dc2'), uncounted(made)], [undefined, whole], 'it is awaited');
      clock.advance(3000);
      assert.deepEqual(found('web.default.dc2'), []);
      assert.equal(uncounted(made).why, 'the instances of web@dc2 are not listed yet');
      assert.equal(uncounted(made, 'web@dc2').why, AWAY);
      registry.find('web@dc2');
      assert.deepEqual(uncounted(made), whole);
    });

    it('is one replica of a leg that cannot be read, beside legs that have some', async () => {
      const made = watch();
      const split = splitter('web', { [`resolver:${idOf('web')}`]: 50, [`resolver:${idOf('other')}`]: 50 });
      await answerChain([split, resolver('web'), resolver('other')], { web: {}, other: {} });
      registry.find('web', outrider('a'));
      registry.find('other');
      assert.deepEqual(uncounted(made), whole);
      assert.deepEqual(uncounted(made, 'other'), { why: undefined, replicas: 1 });
      registry.find('web');
      assert.deepEqual(uncounted(made, 'other'), unknown);
    });
  });

  it('a watched upstream keeps the queries that changed rules still need, and ends the others', async () => {
    await plain();
    registry.find('web', instance('a'));
    registry.known['other'] = [instance('o')];
    const split = splitter('web', { [`resolver:${idOf('web')}`]: 50, [`resolver:${idOf('other')}`]: 50 });
    await answerChain([split, resolver('web'), resolver('other')], { web: {}, other: {} });
    assert.deepEqual(found(), ['a@0']);
    assert.deepEqual(found('other.default.dc1'), ['o@0']);
    assert.equal(told.length, 3, 'one change is told once');
    await answerChain([resolver('other')], { other: {} });
    assert.deepEqual([...registry.targets.keys()], ['other']);
    assert.equal(cluster(), undefined);
  });

  it('a watched upstream keeps its rules when an answer makes no sense', async () => {
    await plain();
    await assert.rejects(registry.answer(CHAIN, '{"Chain":{}}'));
    await registry.answer(SERVICE_DEFAULTS, '{"Kind":"service-router"}');
    assert.equal(warnings.length, 1);
    registry.find('web', instance('a'));
    assert.deepEqual(found(), ['a@0']);
  });

  it('a watched upstream has the limits of the service-defaults of its caller', async () => {
    watch();
    await registry.answer(CHAIN, TUNED);
    const tuned = { endpoints: undefined, connectTimeoutMs: 2000, hashKey: 'x-user' };
    assert.deepEqual(cluster(), tuned);
    const override = { Name: 'web', ConnectTimeoutMs: 300, Limits: { MaxConcurrentRequests: 7 } };
    const defaults = { Kind: 'service-defaults', Name: 'app', UpstreamConfig: { Overrides: [override] } };
    await registry.answer(SERVICE_DEFAULTS, JSON.stringify(defaults));
    assert.deepEqual(cluster(), { ...tuned, connectTimeoutMs: 300, maxInFlight: 7 });
    registry.absent(SERVICE_DEFAULTS);
    assert.deepEqual(cluster(), tuned);
  });

  it('a watched upstream has the settings of the file before those of Consul', async () => {
    const config = upstream({ balance: { kind: 'round-robin' } });
    watch({ ...config, pool: { ...config.pool, connectTimeoutMs: 400 } });
    await registry.answer(CHAIN, TUNED);
    assert.deepEqual(cluster(), { endpoints: undefined });
  });

  it('a watched upstream goes where the file says, with the limits of Consul and a word on its rules, or without rules', async () => {
    const failover = [{ service: 'web', datacenter: 'dc2', tags: [], meta: {} }];
    const one = watch(
      upstream({ consul: { service: 'web', tags: ['gpu'], meta: { version: '2' }, failover } }),
    );
    await answerChain([resolver('web')]);
    assert.deepEqual(one.unsupported(), []);
    await answerChain([resolver('other')], { other: {} });
    assert.deepEqual(one.unsupported(), [
      'the service-router, -splitter or -resolver of "web" is not applied: the upstream says which of its instances are called (tags, meta or failover).',
    ]);
    const UpstreamConfig = { Defaults: { Limits: { MaxConnections: 3 } } };
    const defaults = { Kind: 'service-defaults', Name: 'app', UpstreamConfig };
    await registry.answer(SERVICE_DEFAULTS, JSON.stringify(defaults));
    assert.equal(cluster()?.maxConnections, 3);
    const [first, second] = [...registry.targets.keys()];
    assert.match(first ?? '', /^web\[.*gpu.*\]$/);
    assert.equal(second, 'web@dc2');
    registry.find(first!, instance('a'));
    registry.find('web@dc2', instance('b'));
    assert.deepEqual(found(), ['a@0', 'b@1']);
    open.pop()!.close();
    watch(upstream(), false);
    assert.deepEqual([[...registry.targets.keys()], registry.specs.size], [['web'], 0]);
  });

  it('a watched upstream in another datacenter has the rules that Consul compiles for it, and no target here', async () => {
    watch(upstream({ consul: { service: 'web', datacenter: 'dc2', tags: [], meta: {}, failover: [] } }));
    assert.deepEqual(registry.specs.get(CHAIN)?.query, { 'compile-dc': 'dc2' });
    const compiled = (text: string) => text.replaceAll('"Datacenter":"dc1"', '"Datacenter":"dc2"');
    await registry.answer(CHAIN, compiled(chain([resolver('web', { connectTimeout: '2s' })])));
    assert.deepEqual([...registry.targets.keys()], ['web@dc2']);
    registry.find('web@dc2', instance('a', { datacenter: 'dc2' }));
    assert.deepEqual([found(), cluster()?.connectTimeoutMs], [['a@0'], 2_000]);
  });

  it('a watched upstream outside the mesh has the endpoints of the service itself', async () => {
    await plain(upstream({ tls: 'plaintext' }));
    assert.deepEqual([...registry.targets.keys()], ['plain web']);
  });

  it('each rule that is not applied is logged once for all upstreams', async () => {
    const one = watch();
    const limited = chain([resolver('web', { loadBalancer: { Policy: 'random' } })]);
    await registry.answer(CHAIN, limited);
    await registry.answer(CHAIN, limited);
    const UpstreamConfig = { Defaults: { EnvoyClusterJSON: '{}' } };
    const defaults = { Kind: 'service-defaults', Name: 'app', UpstreamConfig };
    await registry.answer(SERVICE_DEFAULTS, JSON.stringify(defaults));
    const sentences = [
      'service-resolver "web": LoadBalancer.Policy "random" is not applied, the sidecar\'s file says how.',
      'service-defaults "app": UpstreamConfig.Defaults.EnvoyClusterJSON is not applied.',
    ];
    const rules = warnings.map(({ rule }) => rule);
    assert.deepEqual([rules, one.unsupported()], [sentences, sentences]);
    one.close();
    open.pop();
    const two = watch(upstream({ name: 'again' }));
    await registry.answer(CHAIN, limited);
    assert.equal(warnings.length, 2);
    assert.deepEqual(two.unsupported(), sentences.slice(0, 1));
    await answerChain([resolver('web')]);
    assert.deepEqual(two.unsupported(), []);
  });

  it('a watched upstream is read again where connections contradict it', async () => {
    const watching = watch();
    await answerChain([resolver('web', { failover: ['other'] })], { web: {}, other: {} });
    watching.doubt('', 'a: ECONNREFUSED');
    watching.doubt('unheard of', 'x');
    assert.deepEqual(registry.doubts, ['web: a: ECONNREFUSED', 'other: a: ECONNREFUSED']);
  });

  it('a watched upstream applies a changed file, and keeps its endpoints until Consul has answered for the new one', async () => {
    const watching = await plain();
    registry.find('web', instance('a'));
    watching.update(upstream({ pool: { ...upstream().pool, connections: 2 } }));
    assert.deepEqual(found(), ['a@0']);
    const count = told.length;
    watching.update(upstream({ consul: { service: 'next', tags: [], meta: {}, failover: [] } }));
    assert.equal(told.length, count);
    assert.ok(registry.specs.has('/discovery-chain/next') && !registry.specs.has(CHAIN));
    assert.ok(registry.targets.has('web'));
    await registry.answer('/discovery-chain/next', chain([resolver('next')], { next: {} }, 'next'));
    assert.deepEqual([...registry.targets.keys()], ['next']);
    registry.find('next', instance('n'));
    assert.deepEqual(found(), ['n@0']);
  });

  it('a watched upstream keeps its rules for a restart without Consul, and ignores a damaged cache', async () => {
    watch();
    const spec = registry.specs.get(CHAIN)!;
    const value = await spec.parse(Buffer.from(chain([resolver('web')])));
    assert.equal(spec.cache?.load(), undefined);
    spec.cache?.save(value);
    assert.deepEqual(spec.cache?.load(), value);
    for (const damaged of [5, '{"Chain":{}}', 'nonsense', null]) {
      kept.set('chain web', damaged);
      assert.equal(spec.cache?.load(), undefined);
    }
  });

  it('a watched upstream gives the same endpoint for an instance that has not changed', async () => {
    await plain();
    const [a, b] = [instance('a'), instance('b')];
    registry.find('web', a, b);
    const before = cluster()?.endpoints;
    registry.find('web', a);
    assert.equal(cluster()?.endpoints?.[0], before?.[0]);
  });
});
