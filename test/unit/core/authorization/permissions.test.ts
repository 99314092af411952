import assert from 'node:assert/strict';
import fc from 'fast-check';
import { IntentionTable } from '../../../../sidecar/core/authorization/intentions.js';
import {
  type Action,
  type CallFacts,
  type HeaderCondition,
  type Permission,
  PermissionList,
  unsupported,
} from '../../../../sidecar/core/authorization/permissions.js';
import { compileRe2 } from '../../../../sidecar/discovery/re2-pattern.js';

const INFER = '/inference.GRPCInferenceService/ModelInfer';
const READY = '/inference.GRPCInferenceService/ModelReady';

type Headers = Readonly<Record<string, readonly string[]>>;

const call = (path = INFER, headers: Headers = {}): CallFacts => ({
  method: 'POST',
  path,
  headers: (name) => headers[name] ?? [],
});
const permissionList = (permissions: readonly Permission[], otherwise: Action): PermissionList =>
  new PermissionList(permissions, otherwise, compileRe2);
const allow = (permission: Partial<Permission> = {}): Permission => ({ action: 'allow', ...permission });
const deny = (permission: Partial<Permission> = {}): Permission => ({ action: 'deny', ...permission });
const header = (over: Partial<HeaderCondition>): HeaderCondition => ({
  ...{ name: 'x-role', kind: 'exact', value: 'admin', invert: false, ignoreCase: false },
  ...over,
});

describe('PermissionList', () => {
  const paths: [string, Permission, boolean, boolean][] = [
    ['every path, where none is named', allow(), true, true],
    ['the exact path', allow({ pathExact: INFER }), true, false],
    ['a path that only begins like it', allow({ pathExact: INFER.slice(0, -1) }), false, false],
    ['the prefix of a service', allow({ pathPrefix: '/inference.GRPCInferenceService/' }), true, true],
    ['the prefix of a method', allow({ pathPrefix: `${INFER.slice(0, -3)}` }), true, false],
    ['an expression', allow({ pathRegex: '/inference\\..*/Model(Infer|Load)' }), true, false],
    ['an expression that a part matches only', allow({ pathRegex: 'ModelInfer' }), false, false],
    ['an expression we do not take', allow({ pathRegex: '\\pL' }), false, false],
    ['the method POST', allow({ methods: ['GET', 'post'] }), true, true],
    ['other methods', allow({ methods: ['GET'] }), false, false],
    ['what is not known here', allow({ isForeign: true }), false, false],
  ];
  for (const [what, permission, infer, ready] of paths)
    it(`allows by ${what}`, () => {
      const list = permissionList([permission], 'deny');
      const allowed = [INFER, READY].map((path) => list.decide(call(path)) === 'allow');
      assert.deepEqual(allowed, [infer, ready]);
    });

  it('denies where a condition cannot be evaluated', () => {
    for (const permission of [deny({ pathRegex: '\\pL' }), deny({ isForeign: true })])
      assert.equal(permissionList([permission], 'allow').decide(call()), 'deny');
    const elsewhere = deny({ isForeign: true, pathExact: READY });
    assert.equal(permissionList([elsewhere], 'allow').decide(call()), 'allow');
  });

  it('lets the first that matches decide, and the default what none matches', () => {
    const permissions = [deny({ pathExact: READY }), allow({ pathPrefix: '/' }), deny()];
    const list = permissionList(permissions, 'deny');
    assert.deepEqual([list.decide(call(INFER)), list.decide(call(READY))], ['allow', 'deny']);
    assert.equal(permissionList([...permissions].reverse(), 'allow').decide(call()), 'deny');
    for (const otherwise of ['allow', 'deny'] as const) {
      assert.equal(permissionList([allow({ pathExact: READY })], otherwise).decide(call()), otherwise);
      assert.equal(permissionList([], otherwise).decide(call()), otherwise);
    }
  });

  for (const path of [
    ...['', '/', '//a.B/C', '/a.B//C', '/a.B/C/', '/a.B/C?x', '/a.B/C#x', '/a.B/%43', '/a.B/../C', '/./B'],
    ...['/../B', '/.a/B', '/a./B', '/a..b/C', '/a.B', 'a.B/C', '/a.B/C\u0000', '/a.B/C\n', '/a B/C'],
    ...['/a.B/C.D', '/a.B/é', 'http://x/a.B/C'],
  ])
    it(`denies the path ${JSON.stringify(path)}, whatever is allowed`, () =>
      assert.equal(permissionList([allow()], 'allow').decide(call(path)), 'deny'));

  const ONE: Headers = { 'x-role': ['admin'] };
  const VALUES: readonly Headers[] = [{}, ONE, { 'x-role': ['guest'] }, { 'x-role': ['admin', 'guest'] }];
  // What an allow and what a deny with this header match: no value, admin, another, both.
  for (const [what, match, allowed, denied] of [
    ['present', { kind: 'present' }, '-yyy', '-yyy'],
    ['not present', { kind: 'present', invert: true }, 'y---', 'y---'],
    ['exact', {}, '-y--', '-y-y'],
    ['not exact', { invert: true }, '--y-', 'y-yy'],
    ['prefix', { kind: 'prefix', value: 'ad' }, '-y--', '-y-y'],
    ['suffix', { kind: 'suffix', value: 'min' }, '-y--', '-y-y'],
    ['contains', { kind: 'contains', value: 'dmi' }, '-y--', '-y-y'],
    ['regex', { kind: 'regex', value: 'a.*n|x' }, '-y--', '-y-y'],
    ['a regex we do not take', { kind: 'regex', value: '\\C' }, '----', '-yyy'],
    ['not a regex we do not take', { kind: 'regex', value: '\\C', invert: true }, '----', 'yyyy'],
    ['the case apart', { value: 'ADMIN' }, '----', '----'],
    ['any case', { value: 'ADMIN', ignoreCase: true }, '-y--', '-y-y'],
    ['a regex in its own case', { kind: 'regex', value: 'ADMIN', ignoreCase: true }, '----', '----'],
    ['a name in any case', { name: 'X-Role' }, '-y--', '-y-y'],
  ] as const)
    it(`compares a header: ${what}`, () => {
      const matched = (action: Action, otherwise: Action): string => {
        const list = permissionList([{ action, headers: [header(match)] }], otherwise);
        return VALUES.map((values) => (list.decide(call(INFER, values)) === action ? 'y' : '-')).join('');
      };
      assert.deepEqual([matched('allow', 'deny'), matched('deny', 'allow')], [allowed, denied]);
    });

  it('requires every header condition, and the path too', () => {
    const both = allow({ pathExact: INFER, headers: [header({}), header({ name: 'x-team', value: 'a' })] });
    const list = permissionList([both], 'deny');
    const all = { 'x-role': ['admin'], 'x-team': ['a'] };
    const decisions = [call(INFER, all), call(READY, all), call(INFER, ONE)].map((each) => list.decide(each));
    assert.deepEqual(decisions, ['allow', 'deny', 'deny']);
  });

  it('does not admit a value that is too long to evaluate, either way', () => {
    const long = { 'x-role': ['a'.repeat(5000)] };
    const match = header({ kind: 'regex', value: 'b' });
    for (const list of [
      permissionList([allow({ headers: [match] })], 'deny'),
      permissionList([deny({ headers: [match] })], 'allow'),
    ])
      assert.equal(list.decide(call(INFER, long)), 'deny');
  });

  it('a deny in front only ever takes away', () => {
    const condition = fc.record({
      name: fc.constant('x-role'),
      kind: fc.constantFrom(...(['present', 'exact', 'prefix', 'regex'] as const)),
      value: fc.constantFrom('admin', 'a', 'a.*', '(', ''),
      invert: fc.boolean(),
      ignoreCase: fc.boolean(),
    });
    const action = fc.constantFrom(...(['allow', 'deny'] as const));
    const permission = fc.record({ action, headers: fc.array(condition, { maxLength: 2 }) });
    const values = fc.array(fc.constantFrom('admin', 'a', 'guest', ''), { maxLength: 3 });
    fc.assert(
      fc.property(fc.array(permission, { maxLength: 3 }), permission, values, (list, first, role) => {
        const facts = call(INFER, { 'x-role': role });
        const before = permissionList(list, 'deny').decide(facts);
        const after = permissionList([{ ...first, action: 'deny' }, ...list], 'deny').decide(facts);
        assert.ok(before === 'allow' || after === 'deny');
      }),
    );
  });
});

describe('Permissions that cannot be evaluated', () => {
  it('are reported once each, with what happens instead', () => {
    const permissions = [
      allow({ pathExact: INFER, headers: [header({})] }),
      allow({ pathRegex: '\\pL' }),
      deny({ headers: [header({ kind: 'regex', value: '(' })] }),
      deny({ isForeign: true }),
    ];
    assert.deepEqual(unsupported(permissions, compileRe2), [
      'permission 2: PathRegex has invalid escape sequence at "\\\\p"; it allows nothing',
      'permission 3: Regex of header "x-role" has missing closing ) at "("; it denies whatever else it matches',
      'permission 4: asks for what is not known here; it denies whatever else it matches',
    ]);
  });
});

describe('an intention with permissions', () => {
  const permissions = [allow({ pathExact: INFER })];
  const of = (from: string, to: string, rest: object): never =>
    ({ from, to, action: 'deny', ...rest }) as never;

  it('decides call by call, and denies where only the connection is known', () => {
    const table = new IntentionTable([of('web', 'digits', { permissions })], 'deny', 1);
    const verdict = table.decisionFor('web', 'digits');
    assert.ok(verdict instanceof PermissionList);
    assert.deepEqual([verdict.decide(call(INFER)), verdict.decide(call(READY))], ['allow', 'deny']);
    assert.equal(table.allows('web', 'digits'), false);
    assert.deepEqual(table.explain('web', 'digits'), of('web', 'digits', {}));
  });

  it('leaves what it does not match to the default, not to the next intention', () => {
    const list = [of('web', 'digits', { permissions }), of('*', 'digits', { action: 'allow' })];
    for (const otherwise of ['allow', 'deny'] as const) {
      const verdict = new IntentionTable(list, otherwise, 1).decisionFor('web', 'digits');
      assert.ok(verdict instanceof PermissionList);
      assert.equal(verdict.decide(call(READY)), otherwise);
    }
  });

  it('ranks between a deny and an allow of the same pair', () => {
    for (const [action, isList] of [
      ['allow', true],
      ['deny', false],
    ] as const) {
      const list = [of('web', 'digits', { permissions }), of('web', 'digits', { action })];
      for (const each of [list, list.toReversed()]) {
        const verdict = new IntentionTable(each, 'allow', 1).decisionFor('web', 'digits');
        assert.equal(verdict instanceof PermissionList, isList);
      }
    }
  });
});

describe('a table that is not loaded', () => {
  it('denies every caller and reports that it is not loaded', () => {
    const table = IntentionTable.notLoaded(3);
    assert.deepEqual([table.isLoaded, table.version, table.allows('web', 'digits')], [false, 3, false]);
    assert.equal(new IntentionTable([], 'allow', 4).isLoaded, true);
  });
});
