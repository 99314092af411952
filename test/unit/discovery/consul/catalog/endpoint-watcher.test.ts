import assert from 'node:assert/strict';
import type { Address } from '../../../../../sidecar/config/model.js';
import { present } from '../../../../../sidecar/config/present.js';
import { CacheFile } from '../../../../../sidecar/discovery/consul/cache/cache-file.js';
import {
  EndpointWatcher,
  type Queries,
  type TargetState,
  type TargetWatch,
} from '../../../../../sidecar/discovery/consul/catalog/endpoint-watcher.js';
import { filterFor, type Target } from '../../../../../sidecar/discovery/consul/catalog/target.js';
import { QueryRegistry } from '../../../../../sidecar/discovery/consul/query/query-registry.js';
import type { Logger } from '../../../../../sidecar/runtime/log/logger.js';
import { answerOf, type EntryOptions, entryOf } from '../../../../kit/consul/answers.js';
import { FakeQueries } from '../../../../kit/consul/fake-queries.js';
import { CONFIG, type Read, ScriptedAgent } from '../../../../kit/consul/scripted-agent.js';
import { scratchForTest } from '../../../../kit/mocha/scratch.js';
import { silentLogger } from '../../../../kit/stack/silent-logger.js';
import { ManualClock } from '../../../../kit/time/manual-clock.js';
import { seeded } from '../../../../kit/time/seeded-random.js';

const GRACE_MS = CONFIG.graceMs;

/** Instances `1 2! 3?`: the second is critical, the third warns. */
function answer(text: string, options: EntryOptions = {}): Buffer {
  const statuses: Record<string, string> = { '!': 'critical', '?': 'warning' };
  const words = text.split(' ').filter((word) => word !== '');
  const entries = words.map((word) => {
    const status = statuses[word.at(-1)!] ?? 'passing';
    return entryOf(Number.parseInt(word, 10), { status, ...options });
  });
  return answerOf(entries);
}

function shown(state: TargetState | undefined): string {
  if (state?.instances === undefined) return 'unknown';
  const marks = { passing: '', critical: '!', warning: '?' };
  return state.instances.map(({ address, status }) => `${address.split('.')[3]}${marks[status]}`).join(' ');
}

describe('the endpoints of a target', () => {
  let clock: ManualClock;
  let queries: FakeQueries;
  let log: string[];
  let silent: Set<string>;
  /** The token may read the instances, unless a test says otherwise. */
  let agent: ScriptedAgent;
  let targets: EndpointWatcher;
  let logger: Logger;

  beforeEach(() => {
    clock = new ManualClock();
    queries = new FakeQueries();
    log = [];
    agent = new ScriptedAgent(clock);
    agent.onRead = (read) => void read.answer(1, ['a member']);
    silent = new Set();
    const keep = (level: string) => (_: unknown, message: string) => void log.push(`${level}: ${message}`);
    logger = { ...silentLogger, info: keep('info'), warn: keep('warn'), error: keep('error') };
    targets = build();
  });
  afterEach(() => targets.close());

  function build(cache?: CacheFile, watches: Queries = queries): EndpointWatcher {
    const isAnswering = (address: Address): boolean =>
      address.kind === 'tcp' && !silent.has(address.host.split('.')[3]!);
    const time = { clock, timers: clock, random: seeded(1) };
    const deps = { agent, config: CONFIG, ...time, logger, isAnswering };
    return new EndpointWatcher(watches, { ...deps, ...present('cache', cache), datacenter: () => 'dc1' });
  }

  /** A user of a target and all it was told. */
  function use(target: Target = { service: 'digits' }, from = targets): TargetWatch & { told: string[] } {
    const told: string[] = [];
    const watch = from.watch(target, (state) => void told.push(shown(state)));
    return { ...watch, told };
  }

  const metric = (name: string): number[] => {
    const family = targets.metrics().find((each) => each.name === name)!;
    return family.kind === 'histogram' ? [] : family.samples.map(({ value }) => value);
  };
  const answers = async (...texts: string[]): Promise<void> => {
    for (const text of texts) {
      await queries.answer(answer(text));
      await clock.settle();
    }
  };
  /** The state of a target that was told last. */
  function latest(target: Target = { service: 'digits' }): () => TargetState | undefined {
    let state: TargetState | undefined;
    targets.watch(target, (now) => (state = now));
    return () => state;
  }

  it("endpoints of a target are read without Consul's filter on health", () => {
    use();
    const { path, query, name } = queries.only;
    assert.deepEqual([path, query, name], ['/health/connect/digits', {}, 'instances of digits']);
  });

  it('endpoints of a target are read from another datacenter, with a filter, under a name with odd letters', () => {
    use({ service: 'a/b ü', datacenter: 'dc2', filter: '"v1" in Service.Tags' });
    assert.equal(queries.only.path, '/health/connect/a%2Fb%20%C3%BC');
    assert.deepEqual(queries.only.query, { dc: 'dc2', filter: '"v1" in Service.Tags' });
  });

  it('endpoints of a target outside the mesh are those of the service itself', () => {
    use({ service: 'digits', via: 'plain' });
    assert.equal(queries.only.path, '/health/service/digits');
  });

  it('endpoints of a target are published when they become known and when they change, and at no other time', async () => {
    const { told } = use();
    assert.deepEqual(told, []);
    await queries.answer(answer('1 2'));
    await queries.answer(answer('1 2', { output: 'another output of a passing check' }));
    await queries.answer(answer('1 2! 3?'));
    assert.deepEqual(told, ['1 2', '1 2! 3?']);
    await queries.answer(answer(''));
    assert.deepEqual(metric('outrider_consul_parses_total'), [4, 0]);
  });

  it('endpoints of a target are one query however many users, and a late user gets the last value at once', async () => {
    const first = use();
    await queries.answer(answer('1 2'));
    const second = use({ service: 'digits', subset: 'v1' });
    assert.deepEqual(second.told, ['1 2']);
    first.close();
    first.close();
    await queries.answer(answer('1 2 3'));
    assert.deepEqual(first.told, ['1 2']);
    assert.deepEqual(second.told, ['1 2', '1 2 3']);
    second.close();
    assert.equal(queries.open.size, 0);
    const third = use();
    assert.deepEqual(third.told, []);
  });

  it('endpoints of a target are read again when they are in doubt', () => {
    const watch = use();
    watch.doubt('every connection is refused');
    watch.close();
    watch.doubt('too late');
    assert.deepEqual(queries.rereads, ['every connection is refused']);
  });

  it('endpoints of a target are not taken away by a sudden empty answer until the grace time is over', async () => {
    const { told } = use();
    await answers('1 2 3', '', '');
    assert.deepEqual(queries.rereads, ['it took away most of a working set at once']);
    assert.deepEqual(metric('outrider_consul_kept_instances'), [3]);
    assert.deepEqual(metric('outrider_consul_holds_total'), [1]);
    clock.advance(GRACE_MS - 1);
    assert.deepEqual(told, ['1 2 3', '1 2 3']);
    await clock.settle(1);
    assert.deepEqual(told, ['1 2 3', '1 2 3', '']);
    assert.deepEqual(metric('outrider_consul_kept_instances'), [0]);
    assert.equal(clock.pending(), 0);
    assert.deepEqual(log, [
      'warn: Consul took away most of a working set at once: 3 of 3 instances stay in use for now',
      'warn: Consul is believed again: the grace time is over',
    ]);
  });

  it('endpoints of a target in their grace time carry its end', async () => {
    const state = latest();
    for (const [text, graceUntilMs] of [
      ['1 2 3', undefined],
      ['', clock.now() + GRACE_MS],
      ['1 2 3', undefined],
    ] as const) {
      await answers(text);
      assert.equal(state()?.graceUntilMs, graceUntilMs);
    }
    assert.equal(log.at(-1), 'info: Consul is believed again: it lists enough instances');
  });

  it('endpoints of a target that are kept go when they do not answer any more', async () => {
    const { told } = use();
    await answers('1 2 3', '1! 2! 3!');
    silent = new Set(['2']);
    clock.advance(3_000);
    assert.equal(told.at(-1), '1 2 3');
    clock.advance(1_000);
    assert.equal(told.at(-1), '1 2! 3');
    silent = new Set(['1', '2', '3']);
    clock.advance(4_000);
    assert.equal(told.at(-1), '1! 2! 3!');
    const why = 'the instances it took away do not answer any more';
    assert.equal(log.at(-1), `warn: Consul is believed again: ${why}`);
  });

  it('endpoints of a target that are deregistered one at a time go at once', async () => {
    const { told } = use();
    await answers('1 2 3', '1 3');
    assert.deepEqual(told, ['1 2 3', '1 3']);
    assert.deepEqual(log, []);
  });

  it('endpoints of a target may have to pass every check', async () => {
    const all = use();
    const strict = use({ service: 'digits', onlyPassing: true });
    await queries.answer(answer('1 2? 3?'));
    await queries.answer(answer('1 2? 3?', { output: 'slow' }));
    await queries.answer(answer('1 2? 3?', { output: 'slow' }));
    assert.deepEqual(strict.told, ['1 2! 3!', '1 2! 3!']);
    assert.deepEqual(all.told, ['1 2? 3?', '1 2? 3?']);
    assert.equal(queries.open.size, 1);
  });

  it('endpoints of a target in another datacenter are reached at their wan address', async () => {
    const state = latest({ service: 'digits', datacenter: 'dc2' });
    const entry = entryOf(1);
    Object.assign(entry.Service, { TaggedAddresses: { wan: { Address: '198.51.100.1', Port: 444 } } });
    await queries.answer(answerOf([entry]));
    assert.equal(state()?.instances?.[0]?.key, '198.51.100.1:444');
  });

  it('endpoints of a target that make no sense are left out with one warning', async () => {
    const { told } = use();
    for (const port of [99_999, 99_999, 88_888]) {
      const bad = entryOf(2);
      Object.assign(bad.Service, { Port: port });
      await queries.answer(answerOf([entryOf(1), bad]));
    }
    assert.deepEqual(told, ['1']);
    const warning = 'warn: entries of an answer of Consul make no sense and are left out';
    assert.deepEqual(log, [warning, warning]);
    assert.deepEqual(metric('outrider_consul_skipped_entries'), [1]);
  });

  it('endpoints of a target stay when an answer is garbage', async () => {
    const { told } = use();
    await queries.answer(answer('1 2'));
    await assert.rejects(queries.answer(Buffer.from('{"errors":1}')));
    assert.deepEqual(told, ['1 2']);
  });

  it('endpoints of a target reach every user though one of them fails', async () => {
    targets.watch({ service: 'digits' }, () => {
      throw new Error('a defect');
    });
    const { told } = use();
    await queries.answer(answer('1'));
    assert.deepEqual(told, ['1']);
    assert.deepEqual(log, ['error: a user of the endpoints of a target failed']);
  });

  it('endpoints of a target are counted by status', async () => {
    use();
    await queries.answer(answer('1 2? 3! 4'));
    assert.deepEqual(metric('outrider_consul_instances'), [2, 1, 1]);
  });

  describe('when Consul lists none and may hide them from the token', () => {
    const REFUSAL = '403 Permission denied';
    const LOST = `Consul does not let us read the instances of digits: ${REFUSAL}`;
    /** From now on the discovery chain is answered so. */
    const chain = (status: number, said = REFUSAL.slice(4)): void => {
      agent.onRead = (read) => {
        if (read.path !== '/discovery-chain/digits') return void read.answer(1, ['a member']);
        void (status === 200 ? read.answer(1, {}) : read.refuse(status, said));
      };
    };

    it('endpoints of a target stay while the token may not read them, which is shown', async () => {
      const { told } = use();
      await answers('1 2 3');
      chain(403);
      await answers('');
      await clock.settle(10 * GRACE_MS);
      assert.deepEqual(told, ['1 2 3']);
      assert.deepEqual(log, ['warn: the last list of Consul stays in use']);
      assert.deepEqual(metric('outrider_consul_unreadable'), [1]);
      assert.deepEqual(metric('outrider_consul_holds_total'), [0]);
      assert.deepEqual([...targets.problems()], [['instances of digits', LOST]]);
    });

    it('endpoints of a target that never had any are none, and it is shown that the token may not read them', async () => {
      const { told } = use();
      chain(403);
      await answers('');
      assert.deepEqual(told, ['']);
      assert.deepEqual(metric('outrider_consul_unreadable'), [1]);
      assert.deepEqual(log, ['warn: an empty list of Consul is doubted']);
      assert.deepEqual([...targets.problems()], [['instances of digits', LOST]]);
      chain(200);
      await answers('1 2');
      assert.deepEqual([told.at(-1), [...targets.problems()]], ['1 2', []]);
    });

    it('endpoints of a target stay when the right is lost at every server only by the end of the grace time', async () => {
      const { told } = use();
      await answers('1 2 3', '');
      chain(403);
      silent = new Set(['2']);
      await clock.settle(GRACE_MS);
      assert.equal(told.at(-1), '1 2 3');
      await clock.settle(10 * GRACE_MS);
      assert.equal(told.at(-1), '1 2 3');
    });

    it('endpoints of a target stay although there is no grace time, and although all were critical', async () => {
      const { told } = use();
      await answers('1! 2!');
      chain(403);
      await answers('');
      await clock.settle(GRACE_MS);
      assert.deepEqual(told, ['1! 2!']);
    });

    it('endpoints of a target are read again once the token may read them again', async () => {
      const { told } = use();
      await answers('1 2 3');
      chain(403);
      await answers('');
      chain(200);
      await clock.settle(11_000);
      assert.deepEqual(queries.rereads, ['the token may read it again']);
      assert.deepEqual(metric('outrider_consul_unreadable'), [0]);
      await answers('1 2 4');
      await clock.settle(GRACE_MS);
      assert.deepEqual(told, ['1 2 3', '1 2 4']);
    });

    it('endpoints of a target are read again before the grace time ends: the token may not have had the right', async () => {
      use();
      await answers('1 2 3');
      await answers('');
      await clock.settle(GRACE_MS - 6_000);
      const before = queries.rereads.length;
      await clock.settle(5_000);
      assert.deepEqual(queries.rereads.slice(before), ['the grace time is nearly over']);
    });

    it('endpoints of a target that went meanwhile go after the grace time', async () => {
      const { told } = use();
      await answers('1 2 3');
      chain(403);
      await answers('');
      chain(200);
      // The query hands on what is new, and an empty list is not.
      await clock.settle(11_000 + 10_000 + GRACE_MS);
      assert.equal(told.at(-1), '');
    });

    it('endpoints of a target that Consul has confirmed to be gone do not come back when the token loses its right', async () => {
      const { told } = use();
      await answers('1 2 3', '');
      await clock.settle(GRACE_MS);
      assert.equal(told.at(-1), '');
      const { length } = told;
      chain(403);
      await answers('');
      await clock.settle(10 * GRACE_MS);
      assert.deepEqual(told.slice(length), []);
      assert.deepEqual(metric('outrider_consul_unreadable'), [1]);
    });

    it('endpoints of a target stay while Consul does not say whether the right is back', async () => {
      const { told } = use();
      await answers('1 2 3');
      chain(403);
      await answers('');
      chain(500, 'No cluster leader');
      await clock.settle(10 * GRACE_MS);
      assert.deepEqual(told, ['1 2 3']);
    });

    it('endpoints of a target stay while the token may not read nodes', async () => {
      const { told } = use();
      await answers('1 2 3');
      agent.onRead = (read) => void read.answer(1, read.path === '/agent/members' ? [] : {});
      await answers('');
      await clock.settle(10 * GRACE_MS);
      assert.deepEqual(told, ['1 2 3']);
      assert.match([...targets.problems().values()][0]!, /node:read/);
    });

    for (const [name, status, said] of [
      ['has no such endpoint', 404, ''],
      ['has Connect disabled', 500, 'Connect must be enabled in order to use this endpoint'],
      ['cannot compile its chain', 500, 'discovery chain "digits" uses inconsistent protocols'],
      [
        'cannot compile its chain, as a server says',
        500,
        'rpc error making call: detected circular reference: [resolver:a -> resolver:b]',
      ],
      ['does not take the question', 400, 'Bad request'],
      ['has its endpoint blocked', 403, 'Endpoint is blocked by agent configuration'],
    ] as const) {
      it(`endpoints of a target go after the grace time where the agent ${name}`, async () => {
        const { told } = use();
        await answers('1 2 3');
        chain(status, said);
        await answers('');
        await clock.settle(GRACE_MS);
        assert.equal(told.at(-1), '');
      });
    }

    for (const [status, said] of [
      [403, 'Endpoint is blocked by agent configuration'],
      [500, 'unsupported by this agent'],
    ] as const) {
      it(`endpoints of a target go after the grace time where the list of members is answered with ${status} ${said}`, async () => {
        const { told } = use();
        await answers('1 2 3');
        agent.onRead = (read) =>
          void (read.path === '/agent/members' ? read.refuse(status, said) : read.answer(1, {}));
        await answers('');
        await clock.settle(GRACE_MS);
        assert.equal(told.at(-1), '');
      });
    }

    for (const [name, onRead] of [
      ['does not answer', () => {}],
      ['has no leader', (read: Read) => void read.refuse(500, 'No cluster leader')],
      ['is away', (read: Read) => void read.break('unreachable')],
      [
        'does not list its members',
        (read: Read) =>
          void (read.path === '/agent/members' ? read.refuse(500, 'rpc error: EOF') : read.answer(1, {})),
      ],
      ['does not reach its server', (read: Read) => void read.refuse(500, 'rpc error making call: EOF')],
      ['is too busy', (read: Read) => void read.refuse(429, 'Too Many Requests')],
    ] as const) {
      it(`endpoints of a target stay while the agent ${name}, and go after the grace time once it confirms that there are none`, async () => {
        const { told } = use();
        await answers('1 2 3');
        agent.onRead = onRead;
        await answers('');
        await clock.settle(5 * GRACE_MS);
        assert.deepEqual(told, ['1 2 3']);
        assert.match([...targets.problems().values()].join(), /digits, and does not confirm it: /);
        assert.deepEqual(metric('outrider_consul_unreadable'), [0]);
        assert.deepEqual(log, ['warn: the last list of Consul stays in use']);
        chain(200);
        await clock.settle(11_000);
        assert.deepEqual(queries.rereads, ['the token may read it again']);
        await clock.settle(10_000);
        assert.deepEqual([told.at(-1), [...targets.problems()]], ['1 2 3', []]);
        await clock.settle(GRACE_MS);
        assert.deepEqual(told.at(-1), '');
        assert.equal(clock.pending(), 0);
      });
    }

    it('endpoints of a target stay after the grace time while Consul is away, and a list with entries ends that', async () => {
      const { told } = use();
      await answers('1 2 3', '');
      agent.onRead = (read) => void read.break('unreachable');
      await clock.settle(5 * GRACE_MS);
      assert.deepEqual(told.at(-1), '1 2 3');
      await answers('1 2 4');
      assert.deepEqual([told.at(-1), [...targets.problems()]], ['1 2 4', []]);
      assert.equal(clock.pending(), 0);
    });

    it('endpoints of a target stay while their list cannot be read again, whatever the token may', async () => {
      const { told } = use();
      await answers('1 2 3');
      queries.standing = { ageMs: 0, problem: '500 No cluster leader' };
      await answers('');
      await clock.settle(GRACE_MS);
      // The agent answers, and not yet about the list.
      queries.standing = { ageMs: 5 * GRACE_MS };
      await clock.settle(5 * GRACE_MS);
      assert.deepEqual([told, log.length], [['1 2 3'], 1]);
      queries.standing = { ageMs: 0 };
      await clock.settle(21_000);
      await clock.settle(GRACE_MS);
      assert.equal(told.at(-1), '');
    });

    it('endpoints of a target are believed to be gone although Consul was quick and the second look is late', async () => {
      const LIST = '/health/connect/digits';
      const deps = { config: CONFIG, clock, timers: clock, random: seeded(1), logger };
      const registry = new QueryRegistry(agent, deps);
      targets = build(undefined, registry);
      let list: readonly [number, Buffer] = [1, answer('1 2 3')];
      let chainStatus = 500;
      agent.onRead = (read) => {
        const [index, body] = list;
        const isList = read.path === LIST;
        // A read that blocks is held. Others take 2 ms.
        if (isList && read.index !== String(index))
          clock.after(2, () => void read.answer(index, String(body)));
        if (isList) return;
        void (chainStatus === 200 ? read.answer(1, [{}]) : read.refuse(chainStatus, 'No cluster leader'));
      };
      const { told } = use();
      await clock.settle(5_000);
      list = [2, answer('')];
      await agent.at(LIST).answer(2, String(list[1]));
      await clock.settle(5_000);
      chainStatus = 200;
      const listReads = (): number => agent.reads.filter(({ path }) => path === LIST).length;
      const before = listReads();
      for (let ms = 0; listReads() === before && ms < 20_000; ms++) await clock.settle(1);
      await clock.settle(5);
      assert.deepEqual([listReads(), targets.problems().size], [before + 2, 1]);
      // The event loop is busy when the time is over.
      clock.stall(10_000);
      await clock.settle();
      assert.equal(targets.problems().size, 0);
      await clock.settle(GRACE_MS + 10);
      assert.deepEqual([told[0], told.at(-1)], ['1 2 3', '']);
      registry.close();
    });

    it('endpoints of a target are asked about when there were none, and not for a target that is left', async () => {
      const watch = use();
      await answers('');
      assert.equal(agent.reads.length, 2);
      await answers('1');
      agent.onRead = () => {};
      await answers('');
      watch.close();
      assert.equal(agent.reads.length, 3);
      await agent.reads[2]!.refuse(403, 'Permission denied');
      assert.deepEqual(watch.told, ['', '1']);
      assert.equal(clock.pending(), 0);
    });
  });

  describe('with a cache', () => {
    /** What a process is told while Consul is away, after one that got these answers. */
    const afterAnswers = async (...texts: string[]): Promise<string[]> => {
      const dir = scratchForTest().path;
      const cache = CacheFile.open(dir, logger, clock);
      const before = build(cache);
      use({ service: 'digits' }, before);
      await answers(...texts);
      before.close();
      cache.close();
      targets = build(CacheFile.open(dir, logger, clock));
      const { told } = use();
      queries.useCache();
      return told;
    };

    it('endpoints of a target are known to a later process while Consul is away, and then replaced', async () => {
      const told = await afterAnswers('1 2 3!');
      assert.deepEqual(told, ['1 2 3!']);
      await queries.answer(answer('4 5'));
      assert.deepEqual(told, ['1 2 3!', '4 5']);
    });

    it('endpoints of a target are kept as they were when an answer is doubted', async () => {
      assert.deepEqual(await afterAnswers('1 2 3', ''), ['1 2 3']);
    });

    it('endpoints of a target are none to a later process once Consul has confirmed it', async () => {
      assert.deepEqual(await afterAnswers(''), ['']);
    });

    it('endpoints of a target are unknown to a later process where an empty list was not confirmed', async () => {
      agent.onRead = (read) => void read.refuse(500, 'No cluster leader');
      assert.deepEqual(await afterAnswers(''), []);
    });

    it('endpoints of a target are kept through a process that found an empty list which Consul did not confirm', async () => {
      const dir = scratchForTest().path;
      for (const [text, mayRead] of [
        ['1 2 3', true],
        ['', false],
      ] as const) {
        const cache = CacheFile.open(dir, logger, clock);
        agent.onRead = (read) =>
          void (mayRead ? read.answer(1, [{}]) : read.refuse(403, 'Permission denied'));
        const before = build(cache);
        use({ service: 'digits' }, before);
        await answers(text);
        before.close();
        cache.close();
      }
      targets = build(CacheFile.open(dir, logger, clock));
      const { told } = use();
      queries.useCache();
      assert.deepEqual(told, ['1 2 3']);
    });

    it('endpoints of a target are not taken from a cache that holds something else', () => {
      const cache = CacheFile.open(scratchForTest().path, logger, clock);
      for (const kept of [{}, 'x', [1], [{ key: 'a' }], [null]]) {
        cache.save('endpoints /health/connect/digits?', kept);
        targets = build(cache);
        use();
        assert.throws(() => queries.useCache(), /expected a list of instances/);
        targets.close();
      }
    });
  });
});

describe('a filter for tags and metadata', () => {
  const SEVERAL =
    '"a" in Service.Tags and "v2" in Service.Tags and Service.Meta["b"] == "2" and Service.Meta["z"] == "1"';
  for (const [name, tags, meta, expected] of [
    ['nothing', [], {}, undefined],
    ['a tag', ['v1'], {}, '"v1" in Service.Tags'],
    ['a meta value', [], { 'my-key': 'a b' }, 'Service.Meta["my-key"] == "a b"'],
    ['several, in an order of its own', ['v2', 'a', 'v2'], { z: '1', b: '2' }, SEVERAL],
    ['quotes', ['a"b`c\\"'], {}, '"a\\x22b`c\\\\\\x22" in Service.Tags'],
    ['what would end it', ['x" or "y'], {}, '"x\\x22 or \\x22y" in Service.Tags'],
    ['controls', ['a\nb\u0001'], {}, '"a\\nb\\u0001" in Service.Tags'],
  ] as const) {
    it(`a filter asks for ${name}`, () => assert.equal(filterFor(tags, meta), expected));
  }
});
