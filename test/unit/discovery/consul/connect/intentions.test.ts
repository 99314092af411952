import assert from 'node:assert/strict';
import type { ConsulConfig } from '../../../../../sidecar/config/model.js';
import { defined } from '../../../../../sidecar/config/present.js';
import { IntentionTable } from '../../../../../sidecar/core/authorization/intentions.js';
import { PermissionList } from '../../../../../sidecar/core/authorization/permissions.js';
import { configuredAction } from '../../../../../sidecar/discovery/consul/connect/default-policy.js';
import { ConnectIntentions } from '../../../../../sidecar/discovery/consul/connect/intentions.js';
import { kit } from '../../../../kit/consul/scripted-agent.js';
import { afterTest } from '../../../../kit/mocha/after-test.js';
import { scratchForTest } from '../../../../kit/mocha/scratch.js';

const LIST = '/connect/intentions';
const MATCH = '/connect/intentions/match';
const CHECK = '/connect/intentions/check';
const SELF = '/agent/self';

type Rule = readonly [source: string, destination: string, action: string, permissions?: readonly object[]];
const list = (...rules: readonly Rule[]): object[] =>
  rules.map(([SourceName, DestinationName, Action, Permissions]) =>
    defined({ SourceName, DestinationName, Action, Permissions }),
  );
const INFER = { Action: 'allow', HTTP: { PathExact: '/inference.GRPCInferenceService/ModelInfer' } };

/** Closed after the test. @param mayMatch the token may read the intentions of this service. */
function rig(config: Partial<ConsulConfig> = {}, service = 'digits', mayMatch = true) {
  const base = kit(config);
  const { deps, agent, watches } = base;
  /** What Consul has: a list that is answered is whole, unless a test says otherwise. */
  let whole: readonly object[] | null = null;
  const at: typeof base.at = (path) => {
    const read = base.at(path);
    if (path !== LIST) return read;
    const answer = read.answer.bind(read);
    read.answer = (index, body) => {
      if (Array.isArray(body) && body.every((each) => typeof each.SourceName === 'string')) whole = body;
      return answer(index, body);
    };
    return read;
  };
  const told: IntentionTable[] = [];
  const table = () => told.at(-1) ?? IntentionTable.notLoaded(0);
  const problem = () => [...intentions.problems().values()].join();
  const intentions = new ConnectIntentions(watches, agent, { ...deps, service }, (table) => told.push(table));
  agent.onRead = (read) => {
    if (read.path === MATCH && mayMatch) void read.answer(undefined, { [service]: whole });
  };
  /** Consul answers with this list, then with this default. */
  const know = async (index: number, rules: readonly object[], isAllowed: boolean): Promise<void> => {
    await at(LIST).answer(index, rules);
    await at(CHECK).answer(undefined, { Allowed: isAllowed });
  };
  const close = (): void => {
    intentions.close();
    base.close();
  };
  afterTest(close);
  const isAsking = (path: string) => agent.open.some((read) => read.path === path);
  const allows = (source: string) => table().allows(source, service);
  return { ...base, at, intentions, told, table, problem, know, isAsking, allows, close };
}

describe('ConnectIntentions', () => {
  it('intentions from Consul are read for this service alone, by a filter that any name fits into', () => {
    const filterOf = (service: string) => rig({}, service).at(LIST).query['filter'];
    assert.equal(filterOf('digits'), 'DestinationName == "digits" or DestinationName == "*"');
    assert.equal(filterOf('a"b\\'), 'DestinationName == `a"b\\` or DestinationName == "*"');
    assert.equal(filterOf('a`b'), '');
  });

  it('intentions from Consul deny every caller until list and default are known', async () => {
    const { at, intentions, allows, told } = rig();
    assert.deepEqual([intentions.loaded(), allows('web')], [false, false]);
    await at(LIST).answer(7, list(['web', 'digits', 'allow']));
    assert.deepEqual([intentions.loaded(), told.length], [false, 0]);
    assert.equal(at(CHECK).query['destination'], 'digits');
    await at(CHECK).answer(undefined, { Allowed: false });
    assert.deepEqual([intentions.loaded(), allows('web'), allows('api')], [true, true, false]);
    assert.equal(told.length, 1);
  });

  it('intentions from Consul have the default of Consul: allow', async () => {
    const { know, allows } = rig();
    await know(7, list(['web', 'digits', 'deny']), true);
    assert.deepEqual([allows('web'), allows('api')], [false, true]);
  });

  it('intentions from Consul follow the list, each table with a version of its own, and an equal list makes no table', async () => {
    const { know, at, allows, told, clock } = rig();
    for (const [i, action] of ['allow', 'deny', 'allow'].entries()) {
      await know(7 + i, list(['web', 'digits', action]), false);
      assert.equal(allows('web'), action === 'allow');
    }
    const versions = told.map(({ version }) => version);
    assert.deepEqual(versions, [1, 2, 3]);
    await know(20, [...list(['web', 'digits', 'allow']), ...list(['web', 'other', 'deny'])], false);
    await clock.settle(61_000);
    await at(CHECK).answer(undefined, { Allowed: false });
    assert.equal(told.length, 3);
  });

  it('intentions from Consul read the default about once a minute', async () => {
    const { know, at, allows, clock, isAsking } = rig();
    await know(7, [], false);
    await clock.settle(53_000);
    assert.equal(isAsking(CHECK), false);
    await clock.settle(14_000);
    await at(CHECK).answer(undefined, { Allowed: true });
    assert.equal(allows('api'), true);
  });

  it('intentions from Consul hold a new list back for the default, a second at most', async () => {
    const { know, at, allows, clock } = rig();
    await know(7, list(['web', 'digits', 'allow']), false);
    await at(LIST).answer(8, list(['web', 'digits', 'deny']));
    await clock.settle(900);
    assert.equal(allows('web'), true);
    await clock.settle(200);
    assert.equal(allows('web'), false);
  });

  it('intentions from Consul stay in force through failures, garbage and an agent that is away', async () => {
    const { know, at, allows, told, clock, problem, isAsking } = rig();
    await know(7, list(['web', 'digits', 'allow']), false);
    await at(LIST).answer(8, 'no JSON');
    await clock.settle(31_000);
    await at(LIST).answer(9, [{ SourceName: 7 }]);
    await clock.settle(31_000);
    await at(LIST).refuse(500, 'no leader');
    await clock.settle(31_000);
    while (!isAsking(CHECK)) await clock.settle(100);
    await at(CHECK).break('unreachable', 'connection refused');
    assert.deepEqual([allows('web'), told.length], [true, 1]);
    assert.match(problem(), /connection refused|500/);
  });

  describe('while a wildcard covers every source', () => {
    it('the default does not matter while a wildcard covers every source, and is read anew when the wildcard goes', async () => {
      const { know, at, allows, clock } = rig();
      await know(7, list(['*', '*', 'allow']), true);
      await at(SELF).refuse(403, 'Permission denied');
      assert.equal(allows('api'), true);
      await at(LIST).answer(8, []);
      await clock.settle(1_500);
      assert.equal(allows('api'), true, 'the default is not known: what was known stays');
      await at(CHECK).answer(undefined, { Allowed: false });
      assert.equal(allows('api'), false);
    });

    it('permissions of a wildcard have the default of the agent, else deny', async () => {
      const rules = list(['*', 'digits', 'deny'], ['web', 'digits', '', [INFER]]);
      const other = { method: 'POST', path: '/a.B/C', headers: () => [] };
      for (const [refused, decision] of [
        [false, 'allow'],
        [true, 'deny'],
      ] as const) {
        const { know, at, table, log } = rig();
        await know(7, rules, false);
        if (refused) await at(SELF).refuse(403, 'Permission denied');
        else await at(SELF).answer(undefined, { DebugConfig: { ACLsEnabled: false } });
        const verdict = table().decisionFor('web', 'digits');
        assert.ok(verdict instanceof PermissionList);
        assert.equal(verdict.decide(other), decision);
        assert.equal(verdict.decide({ ...other, path: INFER.HTTP.PathExact }), 'allow');
        assert.equal(JSON.stringify(log).includes('does not tell the default policy'), refused);
      }
    });
  });

  it('intentions from Consul do not change by a list that the token cannot read whole', async () => {
    const { at, allows, clock, problem, log } = rig({}, 'digits', false);
    await at(LIST).answer(7, list(['web', 'digits', 'deny']));
    assert.deepEqual(at(MATCH).query, { by: 'destination', name: 'digits' });
    await at(MATCH).answer(undefined, { digits: list(['web', 'digits', 'deny']) });
    await at(CHECK).answer(undefined, { Allowed: true });
    assert.equal(allows('web'), false);
    await at(LIST).answer(8, []);
    await at(MATCH).refuse(403, 'Permission denied');
    await clock.settle(1_500);
    assert.equal(allows('web'), false);
    assert.match(problem(), /does not let us read the intentions of digits: 403/);
    assert.ok(JSON.stringify(log).includes('does not let us read the intentions of digits'));
    await clock.settle(1_000);
    await at(MATCH).answer(undefined, { digits: null });
    await at(CHECK).answer(undefined, { Allowed: true });
    assert.deepEqual([allows('web'), problem()], [true, '']);
  });

  describe('while the token has lost its rights', () => {
    const RULES = list(['web', 'digits', 'deny']);
    const known = async () => {
      const all = rig({}, 'digits', false);
      await all.at(LIST).answer(7, RULES);
      await all.at(MATCH).answer(undefined, { digits: RULES });
      await all.at(CHECK).answer(undefined, { Allowed: true });
      assert.equal(all.allows('web'), false);
      return all;
    };

    it('the log says it each time that they are lost, and once', async () => {
      const { at, clock, problems, problem } = await known();
      for (let lost = 1; lost <= 2; lost++) {
        await at(LIST).answer(7 + lost, lost === 1 ? [] : RULES);
        for (let i = 0; i < 2; i++) {
          await at(MATCH).refuse(403, 'Permission denied');
          await clock.settle(2_500);
        }
        assert.match(problem(), /does not let us read the intentions of digits: 403/);
        assert.equal(problems().length, lost);
        await at(MATCH).answer(undefined, { digits: RULES });
        await at(CHECK).answer(undefined, { Allowed: true });
        assert.equal(problem(), '');
      }
    });

    it('a filtered list is not in force once the rights are back', async () => {
      const { at, allows, clock, told, problem } = await known();
      await at(LIST).answer(8, []);
      await at(MATCH).refuse(403, 'Permission denied');
      await clock.settle(2_500);
      // The query has not answered again: what it said last has holes still.
      await at(MATCH).answer(undefined, { digits: RULES });
      await at(CHECK).answer(undefined, { Allowed: true });
      assert.deepEqual([allows('web'), told.length, problem()], [false, 1, '']);
    });

    it('a filtered list is not in force where the refusal is followed by a failure', async () => {
      const { at, allows, clock } = await known();
      await at(LIST).answer(8, []);
      await at(MATCH).refuse(403, 'Permission denied');
      await clock.settle(2_500);
      await at(MATCH).refuse(500, 'no leader');
      await clock.settle(1_500);
      assert.equal(allows('web'), false);
    });

    it('a filtered list is not in force where the refusal is late', async () => {
      const { at, allows, clock } = await known();
      await at(LIST).answer(8, []);
      await clock.settle(4_000);
      assert.equal(allows('web'), false);
      await at(MATCH).refuse(403, 'Permission denied');
      assert.equal(allows('web'), false);
    });

    it('nothing is allowed that was never known whole', async () => {
      const { at, clock, intentions, allows, problem } = rig({}, 'digits', false);
      await at(LIST).answer(7, list(['*', 'digits', 'allow']));
      for (let i = 0; i < 5; i++) {
        await at(MATCH).refuse(500, 'no leader');
        await clock.settle(2_500);
      }
      assert.deepEqual([intentions.loaded(), allows('web')], [false, false]);
      await at(MATCH).answer(undefined, {});
      assert.match(problem(), /the answer does not name digits/);
      assert.equal(intentions.loaded(), false);
    });
  });

  it('intentions from Consul are not loaded while the default is not known, and deny after three failures', async () => {
    const { at, allows, clock, intentions, problem } = rig();
    await at(LIST).answer(7, list(['web', 'digits', 'allow']));
    for (const answer of [{}, { Allowed: 'yes' }, 'no JSON']) {
      assert.equal(intentions.loaded(), false);
      await at(CHECK).answer(undefined, answer);
      if (!intentions.loaded()) await clock.settle(2_500);
    }
    assert.deepEqual([allows('web'), allows('api')], [true, false]);
    assert.match(problem(), /^the default of intentions is not known: /);
  });

  it('intentions from Consul that are not applied are logged once', async () => {
    const { know, intentions, problems } = rig();
    const foreign = { Action: 'allow', HTTP: { PathRegex: '\\pL' } };
    for (const [i, action] of ['allow', 'deny'].entries())
      await know(7 + i, list(['web', 'digits', '', [foreign]], ['w', 'digits', action]), false);
    const notes = [
      'intention web → digits: permission 1: PathRegex has invalid escape sequence at "\\\\p"; it allows nothing',
    ];
    assert.deepEqual(intentions.unsupported(), notes);
    assert.deepEqual(problems(), notes);
  });

  it('intentions from Consul start from the cache, and follow Consul as soon as it answers', async () => {
    const cache = { dir: `${scratchForTest().path}/cache`, keys: false };
    const first = rig({ cache });
    await first.know(7, list(['web', 'digits', 'deny'], ['api', 'digits', '', [INFER]]), true);
    first.close();
    const { at, allows, intentions, table } = rig({ cache });
    await at(LIST).break('unreachable', 'connection refused');
    assert.deepEqual([intentions.loaded(), allows('web'), allows('x')], [true, false, true]);
    assert.equal(typeof table().decisionFor('api', 'digits'), 'object');
  });

  it('intentions from Consul leave no timer or query behind when closed', async () => {
    const { at, close, clock } = rig();
    await at(LIST).answer(7, []);
    close();
    await at(CHECK).answer(undefined, { Allowed: true });
    assert.equal(clock.pending(), 0);
  });
});

describe('the default action that an agent is configured with', () => {
  const table: [string, unknown, 'allow' | 'deny' | undefined][] = [
    ['1.8 without ACLs', { ACLsEnabled: false, ACLDefaultPolicy: 'deny' }, 'allow'],
    ['1.8, allow', { ACLsEnabled: true, ACLDefaultPolicy: 'allow' }, 'allow'],
    ['1.8, deny', { ACLsEnabled: true, ACLDefaultPolicy: 'deny' }, 'deny'],
    ['later', { ACLsEnabled: true, ACLResolverSettings: { ACLDefaultPolicy: 'allow' } }, 'allow'],
    ['later, deny', { ACLResolverSettings: { ACLsEnabled: true, ACLDefaultPolicy: 'deny' } }, 'deny'],
    ['1.17', { ACLsEnabled: true, ACLDefaultPolicy: 'deny', DefaultIntentionPolicy: 'allow' }, 'allow'],
    ['an unknown policy', { ACLsEnabled: true, ACLDefaultPolicy: 'maybe' }, 'deny'],
    ['ACLs, and no policy', { ACLsEnabled: true }, undefined],
    ['nothing', {}, undefined],
    ['no object', null, undefined],
  ];
  for (const [what, debug, action] of table) {
    it(`${what}: ${action}`, () => assert.equal(configuredAction(debug), action));
  }
});
