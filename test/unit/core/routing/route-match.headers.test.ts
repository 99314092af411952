/** Headers are matched as Envoy documents it: by traffic rules to the letter, by permissions so or narrower. */
import assert from 'node:assert/strict';
import type { Action, Permission } from '../../../../sidecar/core/authorization/permissions.js';
import { PermissionList, unsupported } from '../../../../sidecar/core/authorization/permissions.js';
import { matchRoute } from '../../../../sidecar/core/routing/route-match.js';
import { matchOf } from '../../../../sidecar/discovery/consul/chain/route-match.js';
import { readIntentions } from '../../../../sidecar/discovery/consul/connect/intention-parser.js';
import { compileRe2 } from '../../../../sidecar/discovery/re2-pattern.js';
import { makeField } from '../../../../sidecar/http2/hpack/field.js';
import { HeaderBlock, StableList } from '../../../../sidecar/http2/hpack/header-list.js';
import { callFacts, headerValues } from '../../../../sidecar/relay/call-facts.js';
import type { ConsulHeader } from '../../../kit/config/header-table.js';
import { CALLS, PERMISSION_ROWS, REFUSED_ROWS, ROWS } from '../../../kit/config/header-table.js';

const PATH = '/inference.GRPCInferenceService/ModelInfer';

type Fields = readonly (readonly [name: string, value: string])[];

/** A call as it came; `varying`: with the fields that are not to be indexed. */
function callWith(fields: Fields, varying: Fields = []): HeaderBlock {
  let list = StableList.root();
  for (const [name, value] of [[':method', 'POST'], [':path', PATH], ...fields] as const)
    list = list.with(makeField(name, value));
  const extras = varying.map(([name, value]) => makeField(name, value, true));
  return new HeaderBlock(list, extras, list.bytes, list.count + extras.length, false, false);
}

/** One letter for each of CALLS. */
function letters(matches: (block: HeaderBlock) => boolean): string {
  return CALLS.map(([, values]) =>
    matches(callWith(values.map((value) => ['x-kind', value] as const))) ? 'y' : '-',
  ).join('');
}

function permissionOf(action: Action, header: Omit<ConsulHeader, 'Name'>): Permission {
  const Permissions = [{ Action: action, HTTP: { Header: [{ Name: 'X-Kind', ...header }] } }];
  const entry = { SourceName: 'app', DestinationName: 'digits', Permissions };
  const { intentions } = readIntentions([entry], 'digits');
  const permission = intentions[0]?.permissions?.[0];
  assert.ok(permission !== undefined);
  return permission;
}

/** Whether the permission takes the call. */
function takes(permission: Permission, block: HeaderBlock): boolean {
  const list = new PermissionList([permission], permission.action === 'allow' ? 'deny' : 'allow', compileRe2);
  return list.decide(callFacts(block)) === permission.action;
}

/** Whether a traffic rule with this header matches the call. */
function matchesBy(header: object): (block: HeaderBlock) => boolean {
  const matched = matchOf({ HTTP: { Header: [{ Name: 'X-Kind', ...header }] } });
  assert.ok(matched.kind === 'some' && matched.match !== undefined);
  const route = { match: matched.match, split: [{ weight: 1, cluster: 'a' }] };
  return (block) => matchRoute([route], PATH, (name) => headerValues(block, name)) !== undefined;
}

describe('A header match of a traffic rule', () => {
  for (const [rule, header, expected] of ROWS)
    it(`${rule}: ${JSON.stringify(header)}`, () => assert.equal(letters(matchesBy(header)), expected));

  it('does not match a value that is too long to evaluate, inverted or not', () => {
    const block = callWith([['x-kind', 'a'.repeat(5000)]]);
    for (const Invert of [true, false]) assert.equal(matchesBy({ Regex: 'b', Invert })(block), false);
  });

  for (const [what, header, why] of [
    ['nothing of the value', { Name: 'x-kind' }, 'Match.HTTP.Header "x-kind" says nothing of its value'],
    [
      'what a newer Consul may have',
      { Name: 'x-kind', Contains: 'a' },
      'Match.HTTP.Header "x-kind" asks for Contains, which is not known here',
    ],
  ] as const)
    it(`that says ${what} takes no call, and the reason is given`, () =>
      assert.deepEqual(matchOf({ HTTP: { Header: [header] } }), { kind: 'never', why }));
});

describe('The values of a header', () => {
  it('come in order, and those that may not be indexed last', () => {
    const fields = [
      ['x-a', '1'],
      ['x-b', 'b'],
      ['x-a', '2'],
    ] as const;
    const block = callWith(fields, [['x-a', 'secret']]);
    assert.deepEqual(headerValues(block, 'x-a'), ['1', '2', 'secret']);
    assert.deepEqual(headerValues(block, 'x-c'), []);
  });

  it('are one for a cookie that was cut into pieces', () => {
    const block = callWith([
      ['cookie', 'a=1'],
      ['cookie', 'b=2'],
    ]);
    assert.deepEqual(headerValues(block, 'cookie'), ['a=1; b=2']);
    assert.deepEqual(callFacts(block).headers('cookie'), ['a=1; b=2']);
  });

  it('are the authority under both of its names', () => {
    const block = callWith([[':authority', 'digits']]);
    for (const name of [':authority', 'host']) assert.deepEqual(headerValues(block, name), ['digits']);
  });
});

describe('A header match of a permission', () => {
  const last = CALLS.length - 1;
  for (const [rule, header, expected] of [...ROWS, ...PERMISSION_ROWS, ...REFUSED_ROWS])
    it(`${rule}: ${JSON.stringify(header)}`, () => {
      const allowed = letters((block) => takes(permissionOf('allow', header), block));
      const denied = letters((block) => takes(permissionOf('deny', header), block));
      const isInverted = header.Invert === true && header.Present === undefined;
      // One value or none: as Envoy, but for the deny that an absent header must not walk around.
      assert.equal(allowed.slice(0, last), expected.slice(0, last));
      assert.equal(denied.slice(0, last), (isInverted ? 'y' : expected[0]) + expected.slice(1, last));
      // Several values: an allow is no wider than Envoy's, a deny no narrower.
      assert.ok(allowed[last] === '-' || expected[last] === 'y', `allowed ${allowed}`);
      assert.ok(denied[last] === 'y' || expected[last] === '-', `denied ${denied}`);
    });

  it('reports where it denies more than Envoy', () => {
    assert.deepEqual(unsupported([permissionOf('deny', { Exact: 'blue', Invert: true })], compileRe2), [
      'permission 1: it also denies calls without the header "X-Kind", which Envoy lets pass',
    ]);
    for (const permission of [
      permissionOf('deny', { Exact: 'blue' }),
      permissionOf('deny', { Present: true, Invert: true }),
      permissionOf('allow', { Exact: 'blue', Invert: true }),
    ])
      assert.deepEqual(unsupported([permission], compileRe2), []);
  });
});
