import assert from 'node:assert/strict';
import type { Watch } from '../../../../../sidecar/discovery/consul/query/query-registry.js';
import type { QuerySpec, Source } from '../../../../../sidecar/discovery/consul/query/query-spec.js';
import { kit, type Read } from '../../../../kit/consul/scripted-agent.js';

type Value = readonly string[];

const PATH = '/health/connect/digits';
const parse = (body: Buffer) => JSON.parse(body.toString()) as Value;
const SPEC = { key: PATH, name: 'instances of digits', path: PATH, query: {}, parse };

function rig(spec: Partial<QuerySpec<Value>> = {}, config: Parameters<typeof kit>[0] = {}) {
  const base = kit(config);
  /** Bodies that were parsed. */
  const parsed: string[] = [];
  const told: [Value, Source][] = [];
  const counting = (body: Buffer) => {
    parsed.push(body.toString());
    return parse(body);
  };
  const all = { ...SPEC, query: { dc: 'dc2' }, parse: counting, ...spec };
  const watch = base.watches.watch<Value>(all, (value, from) => told.push([value, from]));
  return { ...base, watch, told, parsed, values: () => told.map(([value]) => value) };
}

/** A rig whose agent has answered once. */
async function known() {
  const made = rig();
  await made.agent.one.answer(12, ['a']);
  return made;
}

describe('a blocking query', () => {
  it('a blocking query asks first without an index, then waits for what comes after the one it got', async () => {
    const { agent, told } = rig();
    assert.equal(agent.one.path, '/health/connect/digits');
    assert.deepEqual(agent.one.query, { dc: 'dc2', stale: '' });
    const { timeoutMs, maxBytes } = agent.one.options;
    assert.deepEqual([timeoutMs, maxBytes], [10_000, 1024 * 1024]);
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

  for (const [what, index, body] of [
    ['an answer with the index that it asked with', 12, ['a']],
    ['the same bytes under a new index', 13, ['a']],
  ] as const) {
    it(`a blocking query neither parses nor publishes ${what}`, async () => {
      const { agent, told, parsed } = await known();
      await agent.one.answer(index, body);
      assert.deepEqual([agent.one.index, told.length, parsed.length], [`${index}`, 1, 1]);
    });
  }

  it('a blocking query takes what has changed under the index that it asked with, as rights of the token do it', async () => {
    const { agent, told } = await known();
    await agent.one.answer(12, []);
    assert.deepEqual([agent.one.index, told.at(-1)], ['12', [[], 'agent']]);
    await agent.one.answer(12, ['a']);
    assert.deepEqual([agent.one.index, told.at(-1)], ['12', [['a'], 'agent']]);
  });

  it('a blocking query reads afresh when the index goes backwards, and does not take what came with it', async () => {
    const { agent, told, watch } = await known();
    await agent.one.answer(3, []);
    assert.equal(agent.one.index, undefined);
    assert.equal(told.length, 1);
    await agent.one.answer(4, ['b']);
    assert.equal(agent.one.index, '4');
    assert.deepEqual(told.at(-1), [['b'], 'agent']);
    assert.equal(watch.status().resets, 1);
  });

  for (const [what, lose] of [
    ['finds an index that goes backwards', (read: Read) => read.answer(3, [])],
    ['finds the agent away', (read: Read) => read.break('unreachable', 'ECONNRESET')],
  ] as const) {
    it(`a blocking query forgets its index when another one ${what} between two of its reads`, async () => {
      const { agent, clock, watches } = await known();
      watches.watch<Value>({ ...SPEC, key: '/other', path: '/other', parse }, () => {});
      await agent.at('/other').answer(12, ['c']);
      // A service that changes all the time is read once a second.
      for (let index = 13; agent.open.some(({ path }) => path === PATH); index++)
        await agent.at(PATH).answer(index, ['a', `${index}`]);
      await lose(agent.at('/other'));
      await clock.settle(1_000);
      assert.equal(agent.at(PATH).index, undefined);
    });

    it(`a blocking query that has just been sent is sent again without its index when another one ${what}`, async () => {
      const { agent, clock, watches } = await known();
      watches.watch<Value>({ ...SPEC, key: '/other', path: '/other', parse }, () => {});
      await agent.at('/other').answer(12, ['c']);
      const [sent] = agent.open;
      await lose(agent.at('/other'));
      await clock.settle(1_000);
      assert.equal(sent!.isOpen, false);
      assert.equal(agent.at(PATH).index, undefined);
    });
  }

  it('a blocking query that the agent holds stays as it is when another one is refused', async () => {
    const { agent, clock, watches } = await known();
    watches.watch<Value>({ ...SPEC, key: '/other', path: '/other', parse }, () => {});
    await agent.at('/other').answer(12, ['c']);
    await clock.settle(2_000);
    await agent.at('/other').refuse(403, 'Permission denied');
    await clock.settle(100);
    assert.equal(agent.at(PATH).index, '12');
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
      const { agent, clock, values } = rig(pollMs === undefined ? {} : { pollMs });
      await agent.one.answer(undefined, ['a']);
      for (const body of [['a'], ['a'], ['b']]) {
        await clock.settle(periodMs - 1);
        assert.equal(agent.open.length, 0);
        await clock.settle(1);
        assert.equal(agent.one.index, undefined);
        await agent.one.answer(undefined, body);
      }
      assert.deepEqual(values(), [['a'], ['b']]);
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
    const { agent, values, watch } = rig({ absent: () => ['none'] });
    await agent.one.refuse(404, 'Config entry not found', 3);
    assert.equal(agent.one.index, '3');
    await agent.one.answer(5, ['a']);
    await agent.one.refuse(404, 'Config entry not found', 6);
    assert.equal(agent.one.index, '6');
    assert.deepEqual(values(), [['none'], ['a'], ['none']]);
    assert.equal(watch.status().failures, 0);
  });

  it('a blocking query asks again when a thing that may not exist is answered the same under a new index', async () => {
    const { agent, told, nextRead } = rig({ absent: () => ['none'] });
    await agent.one.answer(5, ['a']);
    // Consul 1.8, of an entry that was just deleted.
    await agent.one.answer(6, ['a']);
    assert.equal(agent.one.index, undefined);
    await agent.one.refuse(404, 'Config entry not found', 6);
    assert.equal(agent.one.index, '6');
    assert.deepEqual(told.at(-1), [['none'], 'agent']);
    await agent.one.refuse(404, 'Config entry not found', 7);
    await agent.one.refuse(404, 'Config entry not found', 7);
    await nextRead();
    assert.deepEqual([agent.one.index, told.length], ['7', 2]);
  });

  it('a blocking query takes a 404 for a failure where its spec knows no absence, or without an index', async () => {
    for (const [spec, index] of [
      [{}, 3],
      [{ absent: () => ['none'] }, undefined],
    ] as const) {
      const { agent, told, watch } = rig(spec);
      await agent.one.refuse(404, 'page not found', index);
      assert.deepEqual([told.length, watch.status().state], [0, 'failing']);
    }
  });

  it('a blocking query whose index loops costs one read a second, and publishes nothing', async () => {
    const { agent, clock, told } = rig();
    let index = 1;
    agent.onRead = (read) => void read.answer(++index, ['a']);
    await agent.one.answer(1, ['a']);
    await clock.settle(60_000);
    const reads = agent.reads.length;
    assert.ok(reads >= 60 && reads <= 66, `${reads} reads`);
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
    const { agent, clock, told, watch } = await known();
    for (const waitMs of [187.5, 375, 750, 1_500, 3_000, 6_000, 12_000, 22_500, 22_500]) {
      await agent.one.refuse(500, 'No cluster leader');
      assert.equal(agent.open.length, 0);
      await clock.settle(waitMs - 1);
      assert.equal(agent.open.length, 0);
      // The bucket may make it a little longer.
      await clock.settle(1_000);
      assert.equal(agent.one.index, undefined);
    }
    const status = () => [watch.status().state, watch.status().problem, told.length];
    assert.deepEqual(status(), ['failing', '500 No cluster leader', 1]);
    await agent.one.answer(12, ['a']);
    assert.deepEqual(status(), ['current', undefined, 1], 'the same is no news');
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
    const { agent, clock, told, watch } = await known();
    await clock.settle(290_625 * (17 / 16) + 10_000 - 1);
    assert.equal(watch.status().state, 'current');
    await clock.settle(1);
    assert.equal(watch.status().problem, 'no answer');
    await clock.settle(1_000);
    await agent.one.answer(14, ['b']);
    assert.deepEqual(told.at(-1), [['b'], 'agent']);
  });

  it('a blocking query that fails takes garbage for a failure, and quotes none of it', async () => {
    const { agent, told, watch, clock, problems } = await known();
    await agent.one.answer(13, '-----BEGIN EC PRIVATE KEY-----');
    assert.deepEqual([told.length, watch.status().state], [1, 'failing']);
    assert.deepEqual(problems(), ['the answer cannot be used: it is no valid JSON']);
    await clock.settle(1_000);
    await agent.one.answer(13, ['b']);
    assert.deepEqual(told.at(-1), [['b'], 'agent']);
  });

  it('a blocking query that fails reports what its parser found wrong', async () => {
    const { agent, problems } = rig({
      parse: () => Promise.reject(new Error('no field Service\nin line 3')),
    });
    await agent.one.answer(12, {});
    assert.deepEqual(problems(), ['the answer cannot be used: no field Service']);
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
    const { agent, log, nextRead, problems } = rig();
    for (let i = 0; i < 20; i++) {
      await agent.one.refuse(403, 'Permission denied');
      await nextRead();
    }
    assert.deepEqual(problems(), ['403 Permission denied']);
    await agent.one.answer(12, ['a']);
    const messages = log.map(({ message }) => message);
    const said = ['Consul cannot be read; what is known stays in use', 'Consul can be read again'];
    assert.deepEqual(messages, said);
  });

  it('a blocking query that fails bounds what an agent can make it log', async () => {
    const { agent, clock, watch, problems } = rig();
    agent.onRead = (read) => void read.break('unreachable', `fault ${agent.reads.length % 2}`);
    await agent.one.break('unreachable');
    await clock.settle(600_000);
    assert.ok(watch.status().failures > 150);
    assert.ok(problems().length <= 42, `${problems().length} lines`);
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
    const state = () => [told.at(-1), watch.status().state];
    await clock.settle(1_999);
    assert.deepEqual(state(), [undefined, 'waiting']);
    await clock.settle(1);
    assert.deepEqual(state(), [[['old'], 'cache'], 'cached']);
    assert.equal(told.length, 1);
    await agent.one.answer(5, ['old']);
    assert.deepEqual(state(), [[['old'], 'agent'], 'current'], 'the agent confirms it');
    assert.deepEqual(saved, [['old']]);
  });

  it('the cache of a blocking query is used at once when the first read fails, and only once', async () => {
    let loads = 0;
    const { cache } = cached(() => {
      loads += 1;
      return ['old'];
    });
    const { agent, told, nextRead } = rig({ cache });
    for (let i = 0; i < 5; i++) {
      await agent.one.break('unreachable');
      await nextRead();
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
    const fail = (): never => {
      throw new Error('damaged, or the disk is full');
    };
    const broken = rig({ cache: { load: fail, save: fail } });
    await broken.agent.one.break('unreachable');
    await broken.clock.settle(1_000);
    await broken.agent.one.answer(5, ['a']);
    assert.deepEqual(broken.told, [[['a'], 'agent']]);
    assert.equal(broken.agent.one.index, '5');
  });
});

describe('QueryRegistry', () => {
  it('the query registry makes one query for one key, and gives a late user the last value at once', async () => {
    const { watches, agent, told } = rig();
    await agent.one.answer(5, ['a']);
    const late: [Value, Source][] = [];
    const second = watches.watch<Value>(SPEC, (value, from) => late.push([value, from]));
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
    assert.deepEqual([agent.open.length, clock.pending(), watches.statuses()], [0, 0, []]);
    const told: Value[] = [];
    watches.watch<Value>(SPEC, (value) => told.push(value));
    watch.close();
    watch.reread('it is over');
    assert.deepEqual(told, []);
    assert.equal(agent.one.index, undefined);
  });

  it('the query registry ends everything when closed, reads, waits and parsers alike', async () => {
    for (const act of ['none', 'answer', 'break'] as const) {
      const { agent, clock, told, watches } = rig({ cache: { load: () => ['old'], save: () => {} } });
      if (act === 'answer') await agent.one.answer(5, ['a']);
      if (act === 'break') await agent.one.break('unreachable');
      const before = told.length;
      watches.close();
      await clock.settle(600_000);
      assert.deepEqual([agent.open.length, clock.pending(), told.length], [0, 0, before]);
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
    assert.deepEqual([told, clock.pending()], [[], 0]);
  });

  it('the query registry goes on when a user throws, or leaves while it is notified', async () => {
    const { watches, agent, told, log } = rig();
    watches.watch<Value>(SPEC, () => {
      throw new Error('no');
    });
    const leaver = watches.watch<Value>(SPEC, () => leaver.close());
    const last: Value[] = [];
    watches.watch<Value>(SPEC, (value) => last.push(value));
    await agent.one.answer(5, ['a']);
    await agent.one.answer(6, ['b']);
    const errors = log.filter(({ level }) => level === 'error');
    assert.deepEqual([told.length, last.length, errors.length], [2, 2, 2]);
  });

  it('the query registry stops reading when its only user leaves while it is notified', async () => {
    const { agent, watches, clock } = kit();
    const watch: Watch = watches.watch<Value>(SPEC, () => watch.close());
    await agent.one.answer(5, ['a']);
    assert.deepEqual([agent.open.length, clock.pending()], [0, 0]);
  });

  it('the query registry logs once, not once a query, that an agent is away, and retries all queries soon when it is back', async () => {
    const { agent, watches, clock, log } = kit();
    for (let i = 0; i < 20; i++)
      watches.watch<Value>({ ...SPEC, key: `${i}`, name: `query ${i}`, path: `/kv/${i}` }, () => {});
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
    const reads = agent.reads.filter(({ atMs, index }) => atMs > sinceMs && index === undefined);
    const back = reads.map(({ atMs }) => atMs);
    assert.ok(Math.max(...back) - Math.min(...back) <= 500);
    assert.equal(log.length, 2);
  });
});

describe('a watch in doubt', () => {
  it('a watch in doubt abandons the read that blocks, and reads afresh at the leader', async () => {
    const { agent, watch, told } = await known();
    const blocked = agent.one;
    watch.reread('connections to every instance were refused');
    assert.equal(blocked.isOpen, false);
    assert.deepEqual(agent.one.query, { dc: 'dc2' });
    await agent.one.answer(12, ['b']);
    assert.deepEqual(told.at(-1), [['b'], 'agent']);
    assert.deepEqual(agent.one.query, { dc: 'dc2', stale: '', index: '12', wait: '290625ms' });
    const { rereads, failures } = watch.status();
    assert.deepEqual([rereads, failures], [1, 0]);
  });

  it('a watch in doubt publishes nothing when what it doubted is confirmed', async () => {
    const { agent, watch, told } = await known();
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
    const { agent, watch, nextRead } = rig();
    for (let i = 0; i < 8; i++) {
      await agent.one.refuse(500, 'no');
      await nextRead();
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
    const finish = async (read: number, value: Value): Promise<void> => {
      finishers[read]!(value);
      await clock.settle();
    };
    await finish(0, ['a']);
    await agent.one.answer(6, ['b']);
    watch.reread('so');
    await finish(1, ['b']);
    assert.equal(told.length, 1);
    await agent.one.answer(7, ['c']);
    await finish(2, ['c']);
    assert.deepEqual(told.at(-1), [['c'], 'agent']);
  });
});
