import assert from 'node:assert/strict';
import { QueryRegistry, type Watch } from '../../../../../sidecar/discovery/consul/query/query-registry.js';
import type { QuerySpec, Source } from '../../../../../sidecar/discovery/consul/query/query-spec.js';
import { type Kit, kit } from '../../../../kit/consul/scripted-agent.js';

type Value = readonly string[];

type Rig = ReturnType<typeof rig>;

const KEY = { key: '/health/connect/digits', name: 'instances of digits', path: '/health/connect/digits' };

function rig(spec: Partial<QuerySpec<Value>> = {}, config: Parameters<typeof kit>[0] = {}) {
  const base = kit(config);
  const watches = new QueryRegistry(base.agent, base.deps);
  /** Bodies that were parsed. */
  const parsed: string[] = [];
  const told: [Value, Source][] = [];
  const parse = (body: Buffer) => {
    parsed.push(body.toString());
    return JSON.parse(body.toString()) as Value;
  };
  const watch = watches.watch<Value>({ ...KEY, query: { dc: 'dc2' }, parse, ...spec }, (value, from) =>
    told.push([value, from]),
  );
  return { ...base, watches, watch, told, parsed };
}

/** Time passes until the next read begins. */
async function nextRead({ agent, clock }: Kit): Promise<void> {
  while (agent.open.length === 0) await clock.settle(clock.nextDueMs() - clock.now());
}

const problems = ({ log }: Kit) => log.filter(({ level }) => level === 'warn').map(({ problem }) => problem);

describe('a blocking query', () => {
  it('a blocking query asks first without an index, then waits for what comes after the one it got', async () => {
    const { agent, told } = rig();
    assert.equal(agent.one.path, '/health/connect/digits');
    assert.deepEqual(agent.one.query, { dc: 'dc2', stale: '' });
    assert.equal(agent.one.options.timeoutMs, 10_000);
    assert.equal(agent.one.options.maxBytes, 1024 * 1024);
    await agent.one.answer(12, ['a']);
    assert.deepEqual(agent.one.query, { dc: 'dc2', stale: '', index: '12', wait: '290625ms' });
    assert.equal(agent.one.options.timeoutMs, 290_625 * (17 / 16) + 10_000);
    await agent.one.answer(15, ['a', 'b']);
    assert.equal(agent.one.index, '15');
    assert.deepEqual(told, [
      [['a'], 'agent'],
      [['a', 'b'], 'agent'],
    ]);
  });

  it('a blocking query is consistent where the file asks for it, and has no mode for what the agent answers itself', async () => {
    assert.deepEqual(rig({}, { stale: false }).agent.one.query, { dc: 'dc2' });
    assert.deepEqual(rig({ path: '/agent/connect/ca/roots' }).agent.one.query, { dc: 'dc2' });
    assert.deepEqual(rig({ query: { consistent: '' } }).agent.one.query, { consistent: '' });
  });

  it('a blocking query takes as large an answer as the configuration allows, and less where its spec bounds it', () => {
    const largest = (maxBytes: number) => rig({ maxBytes }).agent.one.options.maxBytes;
    assert.equal(largest(4096), 4096);
    assert.equal(largest(2 * 1024 * 1024), 1024 * 1024);
  });

  it('a blocking query neither parses nor publishes an answer with the index that it asked with', async () => {
    const { agent, told, parsed } = rig();
    await agent.one.answer(12, ['a']);
    await agent.one.answer(12, 'not even JSON');
    assert.equal(agent.one.index, '12');
    assert.equal(told.length, 1);
    assert.equal(parsed.length, 1);
  });

  it('a blocking query neither parses nor publishes the same bytes under a new index', async () => {
    const { agent, told, parsed } = rig();
    await agent.one.answer(12, ['a']);
    await agent.one.answer(13, ['a']);
    assert.equal(agent.one.index, '13');
    assert.equal(told.length, 1);
    assert.equal(parsed.length, 1);
  });

  it('a blocking query reads afresh when the index goes backwards, and does not take what came with it', async () => {
    const { agent, told, watch } = rig();
    await agent.one.answer(12, ['a']);
    await agent.one.answer(3, []);
    assert.equal(agent.one.index, undefined);
    assert.equal(told.length, 1);
    await agent.one.answer(4, ['b']);
    assert.equal(agent.one.index, '4');
    assert.deepEqual(told.at(-1), [['b'], 'agent']);
    assert.equal(watch.status().resets, 1);
  });

  it('a blocking query waits with an index of 1 where the agent says 0', async () => {
    const { agent, told } = rig();
    await agent.one.answer(0, []);
    assert.equal(agent.one.index, '1');
    await agent.one.answer(0, ['a']);
    assert.equal(agent.one.index, '1');
    await agent.one.answer(9, ['b']);
    assert.equal(agent.one.index, '9');
    assert.equal(told.length, 3);
  });

  it('a blocking query keeps an index beyond 2^53 exact', async () => {
    const { agent } = rig();
    await agent.one.answer(9_007_199_254_740_993n, ['a']);
    assert.equal(agent.one.index, '9007199254740993');
    await agent.one.answer(9_007_199_254_740_992n, ['b']);
    assert.equal(agent.one.index, undefined);
  });

  for (const pollMs of [1_000, undefined]) {
    const periodMs = pollMs ?? 5_000;
    it(`a blocking query polls every ${periodMs} ms where answers have no index, and tells of changes only`, async () => {
      const { agent, clock, told } = rig(pollMs === undefined ? {} : { pollMs });
      await agent.one.answer(undefined, ['a']);
      for (const body of [['a'], ['a'], ['b']]) {
        await clock.settle(periodMs - 1);
        assert.equal(agent.open.length, 0);
        await clock.settle(1);
        assert.equal(agent.one.index, undefined);
        await agent.one.answer(undefined, body);
      }
      assert.deepEqual(
        told.map(([value]) => value),
        [['a'], ['b']],
      );
      assert.equal(agent.open.length, 0);
    });
  }

  it('a blocking query blocks as soon as an endpoint that was polled gives an index', async () => {
    const { agent, clock } = rig();
    await agent.one.answer(undefined, ['a']);
    await clock.settle(5_000);
    await agent.one.answer(7, ['a']);
    assert.equal(agent.one.index, '7');
  });

  it('a blocking query takes a 404 with an index for absence where its spec knows absence', async () => {
    const { agent, told, watch } = rig({ absent: () => ['none'] });
    await agent.one.refuse(404, 'Config entry not found', 3);
    assert.equal(agent.one.index, '3');
    await agent.one.answer(5, ['a']);
    await agent.one.refuse(404, 'Config entry not found', 6);
    assert.equal(agent.one.index, '6');
    assert.deepEqual(
      told.map(([value]) => value),
      [['none'], ['a'], ['none']],
    );
    assert.equal(watch.status().failures, 0);
  });

  it('a blocking query asks again when a thing that may not exist is answered the same under a new index', async () => {
    const base = rig({ absent: () => ['none'] });
    const { agent, told } = base;
    await agent.one.answer(5, ['a']);
    // Consul 1.8, of an entry that was just deleted.
    await agent.one.answer(6, ['a']);
    assert.equal(agent.one.index, undefined);
    await agent.one.refuse(404, 'Config entry not found', 6);
    assert.equal(agent.one.index, '6');
    assert.deepEqual(told.at(-1), [['none'], 'agent']);
    await agent.one.refuse(404, 'Config entry not found', 7);
    await agent.one.refuse(404, 'Config entry not found', 7);
    await nextRead(base);
    assert.equal(agent.one.index, '7');
    assert.equal(told.length, 2);
  });

  it('a blocking query takes a 404 for a failure where its spec knows no absence, or without an index', async () => {
    for (const [spec, index] of [
      [{}, 3],
      [{ absent: () => ['none'] }, undefined],
    ] as const) {
      const { agent, told, watch } = rig(spec);
      await agent.one.refuse(404, 'page not found', index);
      assert.equal(told.length, 0);
      assert.equal(watch.status().state, 'failing');
    }
  });

  it('a blocking query whose index loops costs one read a second, and publishes nothing', async () => {
    const { agent, clock, told } = rig();
    let index = 1;
    agent.onRead = (read) => void read.answer(++index, ['a']);
    await agent.one.answer(1, ['a']);
    await clock.settle(60_000);
    assert.ok(agent.reads.length <= 66, `${agent.reads.length} reads`);
    assert.ok(agent.reads.length >= 60, `${agent.reads.length} reads`);
    assert.equal(told.length, 1);
  });

  it('a blocking query does not sleep for a whole wait on an index that a loop left behind', async () => {
    const { agent, clock, told } = rig();
    let index = 1_000_000;
    agent.onRead = (read) => void read.answer(++index, ['a']);
    await agent.one.answer(1, ['a']);
    await clock.settle(20_000);
    // The loop is over, and the truth counts from 30.
    agent.onRead = (read) => {
      if (read.index === undefined) void read.answer(30, ['b']);
      else if (Number(read.index) > 30)
        clock.after(Number.parseInt(read.query['wait']!, 10), () => read.answer(30, ['b']));
    };
    await clock.settle(12_000);
    assert.deepEqual(told.at(-1), [['b'], 'agent']);
    assert.ok(Number.parseInt(agent.one.query['wait']!, 10) <= 10_000);
    await clock.settle(9_000);
    await agent.one.answer(30, ['b']);
    assert.equal(agent.one.query['wait'], '290625ms', 'trusted again');
  });

  it('a blocking query costs one read a second when the agent does not block', async () => {
    const { agent, clock } = rig();
    agent.onRead = (read) => void read.answer(5, ['a']);
    await agent.one.answer(5, ['a']);
    await clock.settle(60_000);
    assert.ok(agent.reads.length <= 66);
  });

  it('a blocking query costs one read a wait when nothing changes', async () => {
    const { agent, clock } = rig();
    agent.onRead = (read) => {
      if (read.index !== undefined)
        clock.after(Number.parseInt(read.query['wait']!, 10), () => read.answer(5, ['a']));
    };
    await agent.one.answer(5, ['a']);
    await clock.settle(3_600_000);
    assert.equal(agent.reads.length, 1 + Math.ceil(3_600_000 / 290_625));
  });
});

describe('a blocking query that fails', () => {
  it('a blocking query that fails keeps what it has, backs off, and reads afresh', async () => {
    const { agent, clock, told, watch } = rig();
    await agent.one.answer(12, ['a']);
    for (const waitMs of [187.5, 375, 750, 1_500, 3_000, 6_000, 12_000, 22_500, 22_500]) {
      await agent.one.refuse(500, 'No cluster leader');
      assert.equal(agent.open.length, 0);
      await clock.settle(waitMs - 1);
      assert.equal(agent.open.length, 0);
      // The bucket may make it a little longer.
      await clock.settle(1_000);
      assert.equal(agent.one.index, undefined);
    }
    assert.equal(watch.status().state, 'failing');
    assert.equal(watch.status().problem, '500 No cluster leader');
    assert.equal(told.length, 1);
    await agent.one.answer(12, ['a']);
    assert.equal(watch.status().state, 'current');
    assert.equal(watch.status().problem, undefined);
    assert.equal(told.length, 1, 'the same is no news');
    await agent.one.answer(13, ['b']);
    assert.equal(told.length, 2);
    assert.equal(agent.open.length, 0, 'one read more at once, then one a second: many others come back too');
    await clock.settle(1_000);
    await clock.settle(5_000);
    await agent.one.break('unreachable');
    await clock.settle(187.5);
    assert.equal(agent.open.length, 1, 'the first wait is short again');
  });

  it('a blocking query that fails looks for an agent that is gone every four seconds at most', async () => {
    const { agent, clock } = rig();
    agent.onRead = (read) => void read.break('unreachable', 'ECONNREFUSED');
    await agent.one.break('unreachable');
    await clock.settle(600_000);
    const gaps = agent.reads.slice(1).map(({ atMs }, i) => atMs - agent.reads[i]!.atMs);
    assert.ok(Math.max(...gaps) <= 4_000);
    assert.ok(agent.reads.length < 250, `${agent.reads.length} reads`);
  });

  it('a blocking query that fails gives up a read that hangs beyond its wait and a sixteenth, and carries on', async () => {
    const { agent, clock, told, watch } = rig();
    await agent.one.answer(12, ['a']);
    await clock.settle(290_625 * (17 / 16) + 10_000 - 1);
    assert.equal(watch.status().state, 'current');
    await clock.settle(1);
    assert.equal(watch.status().problem, 'no answer');
    await clock.settle(1_000);
    await agent.one.answer(14, ['b']);
    assert.deepEqual(told.at(-1), [['b'], 'agent']);
  });

  it('a blocking query that fails takes garbage for a failure, and quotes none of it', async () => {
    const base = rig();
    const { agent, told, watch, clock } = base;
    await agent.one.answer(12, ['a']);
    await agent.one.answer(13, '-----BEGIN EC PRIVATE KEY-----');
    assert.equal(told.length, 1);
    assert.equal(watch.status().state, 'failing');
    assert.deepEqual(problems(base), ['the answer cannot be used: it is no valid JSON']);
    await clock.settle(1_000);
    await agent.one.answer(13, ['b']);
    assert.deepEqual(told.at(-1), [['b'], 'agent']);
  });

  it('a blocking query that fails reports what its parser found wrong', async () => {
    const base = rig({ parse: () => Promise.reject(new Error('no field Service\nin line 3')) });
    await base.agent.one.answer(12, {});
    assert.deepEqual(problems(base), ['the answer cannot be used: no field Service']);
  });

  it('a blocking query that fails gives up a parser that never ends', async () => {
    const { agent, clock, watch } = rig({ parse: () => new Promise<Value>(() => {}) });
    await agent.one.answer(12, ['a']);
    await clock.settle(30_000);
    assert.equal(watch.status().failures, 1);
    await clock.settle(1_000);
    assert.equal(agent.open.length, 1);
  });

  it('a blocking query that fails logs once that it is refused, and once that it is served again', async () => {
    const base = rig();
    const { agent, log } = base;
    for (let i = 0; i < 20; i++) {
      await agent.one.refuse(403, 'Permission denied');
      await nextRead(base);
    }
    assert.deepEqual(problems(base), ['403 Permission denied']);
    await agent.one.answer(12, ['a']);
    assert.deepEqual(
      log.map(({ message }) => message),
      ['Consul cannot be read; what is known stays in use', 'Consul can be read again'],
    );
  });

  it('a blocking query that fails bounds what an agent can make it log', async () => {
    const base = rig();
    base.agent.onRead = (read) => void read.break('unreachable', `fault ${base.agent.reads.length % 2}`);
    await base.agent.one.break('unreachable');
    await base.clock.settle(600_000);
    assert.ok(base.watch.status().failures > 150);
    assert.ok(problems(base).length <= 42, `${problems(base).length} lines`);
  });
});

describe('the cache of a blocking query', () => {
  const cached = (load: () => Value | undefined) => {
    const saved: Value[] = [];
    return { saved, cache: { load, save: (value: Value) => void saved.push(value) } };
  };

  it('the cache of a blocking query is used after two seconds without an answer', async () => {
    const { cache, saved } = cached(() => ['old']);
    const { clock, agent, told, watch } = rig({ cache });
    await clock.settle(1_999);
    assert.equal(told.length, 0);
    assert.equal(watch.status().state, 'waiting');
    await clock.settle(1);
    assert.deepEqual(told, [[['old'], 'cache']]);
    assert.equal(watch.status().state, 'cached');
    await agent.one.answer(5, ['old']);
    assert.deepEqual(told.at(-1), [['old'], 'agent'], 'the agent confirms it');
    assert.equal(watch.status().state, 'current');
    assert.deepEqual(saved, [['old']]);
  });

  it('the cache of a blocking query is used at once when the first read fails, and only once', async () => {
    let loads = 0;
    const { cache } = cached(() => {
      loads += 1;
      return ['old'];
    });
    const base = rig({ cache });
    const { agent, told } = base;
    for (let i = 0; i < 5; i++) {
      await agent.one.break('unreachable');
      await nextRead(base);
    }
    assert.deepEqual(told, [[['old'], 'cache']]);
    assert.equal(loads, 1);
  });

  it('the cache of a blocking query is not used once the agent has answered', async () => {
    const { cache, saved } = cached(() => ['old']);
    const { clock, agent, told } = rig({ cache });
    await agent.one.answer(5, ['new']);
    await agent.one.break('unreachable');
    await clock.settle(3_000);
    assert.deepEqual(told, [[['new'], 'agent']]);
    assert.deepEqual(saved, [['new']]);
  });

  it('the cache of a blocking query may be empty, and may fail', async () => {
    const empty = rig(cached(() => undefined));
    await empty.agent.one.break('unreachable');
    assert.equal(empty.watch.status().state, 'failing');
    const broken = rig({
      cache: {
        load: () => {
          throw new Error('damaged');
        },
        save: () => {
          throw new Error('disk full');
        },
      },
    });
    await broken.agent.one.break('unreachable');
    await broken.clock.settle(1_000);
    await broken.agent.one.answer(5, ['a']);
    assert.deepEqual(broken.told, [[['a'], 'agent']]);
    assert.equal(broken.agent.one.index, '5');
  });
});

describe('QueryRegistry', () => {
  const parse = (body: Buffer) => JSON.parse(body.toString()) as Value;

  it('the query registry makes one query for one key, and gives a late user the last value at once', async () => {
    const { watches, agent, told } = rig();
    await agent.one.answer(5, ['a']);
    const late: [Value, Source][] = [];
    const second = watches.watch<Value>({ ...KEY, query: {}, parse }, (value, from) =>
      late.push([value, from]),
    );
    assert.deepEqual(late, [[['a'], 'agent']]);
    assert.equal(agent.open.length, 1);
    await agent.one.answer(6, ['b']);
    assert.deepEqual(late.at(-1), [['b'], 'agent']);
    second.close();
    await agent.one.answer(7, ['c']);
    assert.equal(late.length, 2);
    assert.deepEqual(told.at(-1), [['c'], 'agent']);
    assert.equal(watches.statuses().length, 1);
  });

  it('the query registry ends a query with its last user, and begins anew for the next', async () => {
    const { watches, watch, agent, clock } = rig();
    await agent.one.answer(5, ['a']);
    watch.close();
    watch.close();
    await clock.settle();
    assert.equal(agent.open.length, 0);
    assert.equal(clock.pending(), 0);
    assert.deepEqual(watches.statuses(), []);
    const told: Value[] = [];
    watches.watch<Value>({ ...KEY, query: {}, parse }, (value) => told.push(value));
    watch.close();
    watch.reread('it is over');
    assert.deepEqual(told, []);
    assert.equal(agent.one.index, undefined);
  });

  it('the query registry ends everything when closed, reads, waits and parsers alike', async () => {
    for (const act of [
      () => {},
      (base: Rig) => base.agent.one.answer(5, ['a']),
      (base: Rig) => base.agent.one.break('unreachable'),
    ]) {
      const base = rig({ cache: { load: () => ['old'], save: () => {} } });
      await act(base);
      const before = base.told.length;
      base.watches.close();
      await base.clock.settle(600_000);
      assert.equal(base.agent.open.length, 0);
      assert.equal(base.clock.pending(), 0);
      assert.equal(base.told.length, before);
    }
  });

  it('the query registry does not publish an answer that was being parsed when its user left', async () => {
    let finish: (value: Value) => void = () => {};
    const { agent, watch, told, clock } = rig({
      parse: () => new Promise<Value>((resolve) => (finish = resolve)),
    });
    await agent.one.answer(5, ['a']);
    watch.close();
    finish(['a']);
    await clock.settle();
    assert.deepEqual(told, []);
    assert.equal(clock.pending(), 0);
  });

  it('the query registry goes on when a user throws, or leaves while it is notified', async () => {
    const base = rig();
    const { watches, agent, told, log } = base;
    const spec = { ...KEY, query: {}, parse };
    watches.watch<Value>(spec, () => {
      throw new Error('no');
    });
    const leaver = watches.watch<Value>(spec, () => leaver.close());
    const last: Value[] = [];
    watches.watch<Value>(spec, (value) => last.push(value));
    await agent.one.answer(5, ['a']);
    await agent.one.answer(6, ['b']);
    assert.equal(told.length, 2);
    assert.equal(last.length, 2);
    assert.equal(log.filter(({ level }) => level === 'error').length, 2);
  });

  it('the query registry stops reading when its only user leaves while it is notified', async () => {
    const { agent, deps, clock } = kit();
    const watches = new QueryRegistry(agent, deps);
    const watch: Watch = watches.watch<Value>({ ...KEY, query: {}, parse }, () => watch.close());
    await agent.one.answer(5, ['a']);
    assert.equal(agent.open.length, 0);
    assert.equal(clock.pending(), 0);
  });

  it('the query registry logs once, not once a query, that an agent is away, and retries all queries soon when it is back', async () => {
    const { agent, deps, clock, log } = kit();
    const watches = new QueryRegistry(agent, deps);
    for (let i = 0; i < 20; i++)
      watches.watch<Value>({ key: `${i}`, name: `query ${i}`, path: `/kv/${i}`, query: {}, parse }, () => {});
    let isAway = true;
    const answer = (read: (typeof agent.reads)[number]): void => {
      if (isAway) void read.break('unreachable', 'ECONNREFUSED');
      else if (read.index === undefined) void read.answer(5, [read.path]);
    };
    for (const read of agent.open) answer(read);
    agent.onRead = answer;
    await clock.settle(60_000);
    assert.equal(log.length, 1);
    isAway = false;
    const sinceMs = clock.now();
    await clock.settle(5_000);
    assert.ok(watches.statuses().every(({ state }) => state === 'current'));
    const back = agent.reads
      .filter(({ atMs, index }) => atMs > sinceMs && index === undefined)
      .map(({ atMs }) => atMs);
    assert.ok(Math.max(...back) - Math.min(...back) <= 500);
    assert.equal(log.length, 2);
  });
});

describe('a watch in doubt', () => {
  it('a watch in doubt abandons the read that blocks, and reads afresh at the leader', async () => {
    const { agent, watch, told } = rig();
    await agent.one.answer(12, ['a']);
    const blocked = agent.one;
    watch.reread('connections to every instance were refused');
    assert.equal(blocked.isOpen, false);
    assert.deepEqual(agent.one.query, { dc: 'dc2' });
    await agent.one.answer(12, ['b']);
    assert.deepEqual(told.at(-1), [['b'], 'agent']);
    assert.deepEqual(agent.one.query, { dc: 'dc2', stale: '', index: '12', wait: '290625ms' });
    assert.equal(watch.status().rereads, 1);
    assert.equal(watch.status().failures, 0);
  });

  it('a watch in doubt publishes nothing when what it doubted is confirmed', async () => {
    const { agent, watch, told } = rig();
    await agent.one.answer(12, ['a']);
    watch.reread('so');
    await agent.one.answer(12, ['a']);
    assert.equal(told.length, 1);
  });

  it('a watch in doubt lets a fresh read finish, however often it is asked', async () => {
    const { agent, watch } = rig();
    for (let i = 0; i < 100; i++) watch.reread('so');
    assert.equal(agent.reads.length, 1);
    await agent.one.answer(12, ['a']);
    watch.reread('so');
    const fresh = agent.one;
    watch.reread('so');
    assert.equal(agent.one, fresh);
  });

  it('a watch in doubt reads about once a second under steady doubt', async () => {
    const { agent, watch, clock } = rig();
    agent.onRead = (read) => {
      if (read.index === undefined) void read.answer(12, ['a']);
    };
    await agent.one.answer(12, ['a']);
    for (let i = 0; i < 600; i++) {
      watch.reread('so');
      await clock.settle(100);
    }
    const fresh = agent.reads.filter(({ index }) => index === undefined).length;
    assert.ok(fresh >= 25 && fresh <= 66, `${fresh} fresh reads`);
    assert.ok(agent.reads.length <= 66, `${agent.reads.length} reads`);
  });

  it('a watch in doubt does not wait for the backoff of a read that failed', async () => {
    const base = rig();
    const { agent, watch } = base;
    for (let i = 0; i < 8; i++) {
      await agent.one.refuse(500, 'no');
      await nextRead(base);
    }
    await agent.one.refuse(500, 'no');
    assert.equal(agent.open.length, 0);
    watch.reread('so');
    assert.equal(agent.open.length, 1);
  });

  it('a watch in doubt drops what is being parsed, for it was read before the doubt', async () => {
    const finishers: ((value: Value) => void)[] = [];
    const { agent, watch, told, clock } = rig({
      parse: () => new Promise<Value>((resolve) => finishers.push(resolve)),
    });
    await agent.one.answer(5, ['a']);
    finishers[0]!(['a']);
    await clock.settle();
    await agent.one.answer(6, ['b']);
    watch.reread('so');
    finishers[1]!(['b']);
    await clock.settle();
    assert.equal(told.length, 1);
    await agent.one.answer(7, ['c']);
    finishers[2]!(['c']);
    await clock.settle();
    assert.deepEqual(told.at(-1), [['c'], 'agent']);
  });
});
