import assert from 'node:assert/strict';
import fc from 'fast-check';
import type { Action, Intention } from '../../../../sidecar/core/authorization/intentions.js';
import { IntentionTable } from '../../../../sidecar/core/authorization/intentions.js';
import { ModelGrant } from '../../../../sidecar/core/authorization/model-grant.js';
import type { Permission } from '../../../../sidecar/core/authorization/permissions.js';

const of = (from: string, to: string, action: Action): Intention => ({ from, to, action });
const table = (intentions: readonly Intention[], otherwise: Action = 'deny'): IntentionTable =>
  new IntentionTable(intentions, otherwise, 1);

/** From the most to the least specific; Consul's 9, 8, 6 and 5. */
const LADDER = [
  ['web', 'digits'],
  ['*', 'digits'],
  ['web', '*'],
  ['*', '*'],
] as const;

describe('IntentionTable', () => {
  it('denies what no intention names, and allows it when the default says so', () => {
    assert.equal(table([], 'allow').allows('web', 'digits'), true);
    for (const list of [[], [of('api', 'digits', 'allow')], [of('web', 'other', 'allow')]])
      assert.equal(table(list).allows('web', 'digits'), false);
  });

  for (let high = 0; high < LADDER.length; high += 1) {
    for (let low = high + 1; low < LADDER.length; low += 1) {
      const [a, b] = [LADDER[high]!, LADDER[low]!];
      it(`lets ${a.join(' → ')} decide over ${b.join(' → ')}, in either order and either way`, () => {
        for (const action of ['allow', 'deny'] as const) {
          const other = action === 'allow' ? 'deny' : 'allow';
          const intentions = [of(a[0], a[1], action), of(b[0], b[1], other)];
          for (const list of [intentions, intentions.toReversed()]) {
            assert.equal(table(list, other).allows('web', 'digits'), action === 'allow');
            assert.deepEqual(table(list, other).explain('web', 'digits'), of(a[0], a[1], action));
          }
        }
      });
    }
  }

  for (const [source, destination] of LADDER)
    it(`lets deny win between two for ${source} → ${destination}`, () => {
      const both = [of(source, destination, 'deny'), of(source, destination, 'allow')];
      for (const list of [both, both.toReversed()])
        assert.equal(table(list, 'allow').allows('web', 'digits'), false);
    });

  describe('a method that loads or unloads models', () => {
    const LOAD = '/inference.GRPCInferenceService/RepositoryModelLoad';
    const UNLOAD = '/inference.GRPCInferenceService/RepositoryModelUnload';
    const call = (path: string) => ({ method: 'POST', path, headers: () => [] });
    const COMPILE = (source: string) => new RegExp(`^(?:${source})$`);
    const allows = (list: readonly Intention[], path = LOAD, otherwise: Action = 'allow'): boolean =>
      new IntentionTable(list, otherwise, 1, { compile: COMPILE }).allowsControl('web', 'digits', call(path));
    const named = (...controlMethods: string[]): Intention => ({
      ...of('web', 'digits', 'allow'),
      controlMethods,
    });
    const permitted = (...permissions: Permission[]): Intention => ({
      ...of('web', 'digits', 'deny'),
      permissions,
    });

    it('is not for a caller that may call the service, nor by default', () => {
      for (const list of [[], [of('web', 'digits', 'allow')], [of('*', '*', 'allow')], [named(UNLOAD)]])
        assert.equal(allows(list), false);
    });

    it('is for a caller whose intention names it, unless another one decides', () => {
      assert.equal(allows([named(LOAD)]), true);
      assert.equal(allows([named(UNLOAD), named(LOAD), of('web', 'digits', 'allow')], LOAD, 'deny'), true);
      assert.equal(allows([{ ...named(LOAD), from: '*' }, of('web', 'digits', 'allow')]), false);
      for (const list of [
        [named(LOAD), of('web', 'digits', 'deny')],
        [of('web', 'digits', 'deny'), named(LOAD)],
      ])
        assert.equal(allows(list), false);
    });

    it('is for a caller with a permission that has its name, and not with a wider one', () => {
      const allow = { action: 'allow' } as const;
      for (const permission of [
        { ...allow, pathExact: LOAD },
        { ...allow, pathPrefix: LOAD },
        {
          ...allow,
          pathRegex: '/inference[.]GRPCInferenceService/(RepositoryModelLoad|RepositoryModelUnload)',
        },
      ])
        assert.equal(allows([permitted(permission)], LOAD, 'deny'), true);
      for (const permission of [
        allow,
        { ...allow, pathPrefix: '/' },
        { ...allow, pathPrefix: '/inference.GRPCInferenceService/' },
        { ...allow, pathRegex: '.*' },
        { ...allow, pathExact: UNLOAD },
        { ...allow, pathExact: LOAD, methods: ['GET'] },
        { action: 'deny', pathExact: LOAD } as const,
      ])
        assert.equal(
          allows([permitted(permission, { ...allow, pathPrefix: '/' })]),
          false,
          JSON.stringify(permission),
        );
      assert.equal(
        allows([permitted({ action: 'deny', pathPrefix: '/inference.' }, { ...allow, pathExact: LOAD })]),
        false,
        'the first that matches decides',
      );
    });
  });

  it('allows models where it names them: two such add up, a deny wins, and all models do not', () => {
    const some = (...models: string[]): Intention => ({ ...of('web', 'digits', 'allow'), models });
    const permits = (list: readonly Intention[], model: string): boolean => {
      const decision = table(list, 'allow').decisionFor('web', 'digits');
      return decision instanceof ModelGrant ? decision.permits(model) : decision === 'allow';
    };
    for (const list of [
      [some('a'), some('b')],
      [of('web', 'digits', 'allow'), some('a', 'b')],
      [some('a', 'b'), of('web', 'digits', 'allow')],
      [of('*', 'digits', 'deny'), some('a', 'b')],
    ]) {
      assert.deepEqual(
        ['a', 'b', 'c', ''].map((model) => permits(list, model)),
        [true, true, false, false],
      );
      assert.deepEqual([table(list).allows('web', 'digits'), table(list).hasModels], [false, true]);
      assert.deepEqual(table(list).explain('web', 'digits'), of('web', 'digits', 'allow'));
    }
    for (const list of [
      [of('web', 'digits', 'deny'), some('a')],
      [some('a'), of('web', 'digits', 'deny')],
    ])
      assert.equal(permits(list, 'a'), false);
  });

  it('decides on a caller without identity only by wildcard and default', () => {
    assert.equal(table([of('web', 'digits', 'allow')]).allows('', 'digits'), false);
    assert.equal(table([of('*', 'digits', 'allow')]).allows('', 'digits'), true);
    assert.equal(table([of('*', 'digits', 'deny')], 'allow').allows('', 'digits'), false);
  });

  it('compares names exactly', () => {
    const only = table([of('web', 'digits', 'allow')]);
    for (const source of ['Web', 'web ', 'web2', 'we', '__proto__', 'constructor', '*x'])
      assert.equal(only.allows(source, 'digits'), false, source);
  });

  it('explains a default decision by no intention', () =>
    assert.equal(table([]).explain('web', 'digits'), undefined));

  for (const name of ['', 'web*', '*web', '**', 'we*b'])
    it(`refuses the name "${name}"`, () => {
      assert.throws(() => table([of(name, 'digits', 'deny')]), RangeError);
      assert.throws(() => table([of('web', name, 'deny')]), RangeError);
    });

  it('agrees with a search through the list by precedence', () => {
    const name = fc.constantFrom('*', 'a', 'b', 'c');
    const action = fc.constantFrom(...(['allow', 'deny'] as const));
    const intention = fc.record({ from: name, to: name, action });
    const caller = fc.constantFrom('a', 'b', 'd');
    const precedence = ({ from, to }: Intention): number => (to === '*' ? 0 : 2) + (from === '*' ? 0 : 1);
    fc.assert(
      fc.property(fc.array(intention), caller, caller, (list, from, to) => {
        const names = (pattern: string, each: string): boolean => pattern === '*' || pattern === each;
        const matching = list.filter((each) => names(each.from, from) && names(each.to, to));
        const best = Math.max(...matching.map(precedence));
        const deciding = matching.filter((candidate) => precedence(candidate) === best);
        const isAllowed = deciding.length > 0 && deciding.every((each) => each.action === 'allow');
        assert.equal(table(list).allows(from, to), isAllowed);
      }),
    );
  });
});
