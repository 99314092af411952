import assert from 'node:assert/strict';
import fc from 'fast-check';
import { IntentionTable } from '../../../../../sidecar/core/authorization/intentions.js';
import { PermissionList } from '../../../../../sidecar/core/authorization/permissions.js';
import {
  parseIntentionsAnswer,
  readIntentions,
} from '../../../../../sidecar/discovery/consul/connect/intention-parser.js';

const SOURCE = { SourceNS: 'default', SourceName: 'web', SourceType: 'consul' };
const DESTINATION = { DestinationNS: 'default', DestinationName: 'digits' };
const ID = 'a4fe0687-55cd-8c2f-b690-f4cf3f9bda16';
const REST = { ID, Description: '', Meta: {}, Precedence: 9, CreateIndex: 23, ModifyIndex: 23 };
const entry = (over: object = {}): object => ({
  ...SOURCE,
  ...DESTINATION,
  Action: 'allow',
  ...REST,
  ...over,
});
const permission = (over: object = {}): object => entry({ Action: '', Permissions: [over] });
const read = (...entries: object[]) => readIntentions(entries, 'digits');
const one = (of: object) => read(of).intentions[0];

describe('the list of intentions', () => {
  it('the list of intentions is read as Consul 1.8 gives it', () => {
    const { intentions, notes } = read(
      entry(),
      entry({ SourceName: '*', Action: 'deny' }),
      entry({ DestinationName: '*' }),
      entry({ DestinationName: 'other' }),
    );
    assert.deepEqual(intentions, [
      { from: 'web', to: 'digits', action: 'allow' },
      { from: '*', to: 'digits', action: 'deny' },
      { from: 'web', to: '*', action: 'allow' },
    ]);
    assert.deepEqual(notes, []);
  });

  it('the list of intentions keeps the entries as they came, of this service alone', () => {
    const { raw } = read(entry(), entry({ DestinationName: 'other' }));
    assert.deepEqual(readIntentions(raw, 'digits').intentions, read(entry()).intentions);
    assert.equal(raw.length, 1);
  });

  for (const [what, over] of [
    ['another namespace', { SourceNS: 'team' }],
    ['another namespace of ours', { DestinationNS: 'team' }],
    ['another partition', { SourcePartition: 'part' }],
    ['a peered cluster', { SourcePeer: 'cloud' }],
  ] as const) {
    it(`the list of intentions leaves out what is about ${what}`, () => {
      assert.deepEqual(read(entry({ ...over, Action: 'deny' })).intentions, []);
    });
  }

  it('the list of intentions takes an unknown action, and unknown sources, for a deny, and notes it', () => {
    for (const [over, note] of [
      [{ Action: 'audit' }, 'the action "audit" is not known; it denies'],
      [{ SourceType: 'external' }, 'sources of the type "external"; it denies'],
      [{ SourceSamenessGroup: 'all' }, 'a sameness group; it denies'],
      [{ JWT: { Providers: [{ Name: 'okta' }] } }, 'a JWT is asked for; it denies'],
    ] as const) {
      const { intentions, notes } = read(entry(over));
      assert.equal(intentions[0]!.action, 'deny');
      assert.deepEqual(notes, [`intention web → digits: ${note}`]);
    }
    assert.deepEqual(read(entry({ JWT: { Providers: [] }, Action: 'deny' })).notes, []);
  });

  it('the list of intentions has permissions', () => {
    const pathPrefix = '/inference.GRPCInferenceService/';
    const Header = [
      { Name: 'x-team', Exact: 'a', Invert: true },
      { Name: 'x-any', Present: true },
      { Name: 'x-role', Regex: 'a.*', IgnoreCase: true, Exact: '' },
    ];
    const headers = [
      { name: 'x-team', kind: 'exact', value: 'a', invert: true, ignoreCase: false },
      { name: 'x-any', kind: 'present', value: '', invert: false, ignoreCase: false },
      { name: 'x-role', kind: 'regex', value: 'a.*', invert: false, ignoreCase: true },
    ];
    const HTTP = { PathPrefix: pathPrefix, Methods: ['POST'], Header };
    const found = one(permission({ Action: 'allow', HTTP, JWT: null }));
    const allowed = { action: 'allow', pathPrefix, methods: ['POST'], headers, isForeign: false };
    assert.deepEqual(found, { from: 'web', to: 'digits', action: 'deny', permissions: [allowed] });
  });

  const foreign: [string, object][] = [
    ['nothing at all', { Action: 'allow' }],
    ['no HTTP', { Action: 'allow', HTTP: null }],
    ['an unknown action', { Action: 'audit', HTTP: { PathPrefix: '/' } }],
    ['a JWT', { Action: 'allow', HTTP: { PathPrefix: '/' }, JWT: { Providers: [{ Name: 'okta' }] } }],
    ['a field of later', { Action: 'allow', HTTP: { PathPrefix: '/', PathTemplate: '/*' } }],
    ['two paths', { Action: 'allow', HTTP: { PathPrefix: '/', PathExact: '/a' } }],
    ['methods that are none', { Action: 'allow', HTTP: { Methods: [1] } }],
    ['methods that are no list', { Action: 'allow', HTTP: { Methods: 'POST' } }],
    ['headers that are no list', { Action: 'allow', HTTP: { Header: {} } }],
    ['a header without a name', { Action: 'allow', HTTP: { Header: [{ Exact: 'a' }] } }],
    ['a header without a match', { Action: 'allow', HTTP: { Header: [{ Name: 'a' }] } }],
    ['a header with two', { Action: 'allow', HTTP: { Header: [{ Name: 'a', Exact: 'a', Prefix: 'a' }] } }],
    ['a header match of later', { Action: 'allow', HTTP: { Header: [{ Name: 'a', Glob: '*' }] } }],
  ];
  for (const [what, said] of foreign) {
    it(`a permission with ${what} lets no caller in`, () => {
      const { intentions, notes } = read(permission(said));
      assert.equal(intentions[0]!.permissions?.[0]?.isForeign, true);
      assert.match(notes[0]!, /^intention web → digits: permission 1: asks for what is not known here/);
      const verdict = new IntentionTable(intentions, 'deny', 1).decisionFor('web', 'digits');
      assert.ok(verdict instanceof PermissionList);
      const call = { method: 'POST', path: '/a.B/C', headers: () => ['a'] };
      assert.equal(verdict.decide(call), 'deny');
    });
  }

  it('the list of intentions is garbage as a whole where one name cannot be read: a deny might be lost', () => {
    const sources = ['', 7, 'we*b'].map((SourceName) => ({ SourceName }));
    for (const over of [...sources, { DestinationName: null }])
      assert.throws(() => read(entry(), entry(over)), /Name/);
    for (const body of ['', 'null', '{}', '7', '[1', '[null]'])
      assert.throws(() => parseIntentionsAnswer(Buffer.from(body), 'digits'), Error, body);
    assert.deepEqual(parseIntentionsAnswer(Buffer.from('[]'), 'digits').intentions, []);
  });

  it('the list of intentions makes a table or an error of any JSON', () => {
    const values = fc.constantFrom<unknown>('', '*', 'web', 'digits', 'allow', 'deny', null, 7, true, {}, []);
    const ends = ['SourceName', 'DestinationName', 'SourceNS'];
    const keys = [...ends, 'Action', 'Permissions', 'HTTP', 'Header', 'JWT'];
    const thing = fc.letrec<{ any: unknown }>((tie) => ({
      any: fc.oneof(
        { maxDepth: 4 },
        values,
        fc.array(tie('any'), { maxLength: 3 }),
        fc.dictionary(fc.constantFrom(...keys), tie('any'), { maxKeys: 5 }),
      ),
    })).any;
    fc.assert(
      fc.property(fc.array(thing, { maxLength: 3 }), (answer) => {
        let rules: ReturnType<typeof readIntentions>;
        try {
          rules = readIntentions(answer, 'digits');
        } catch (error) {
          assert.ok(error instanceof Error && !(error instanceof TypeError));
          return;
        }
        new IntentionTable(rules.intentions, 'deny', 1).allows('web', 'digits');
      }),
      { numRuns: 2000 },
    );
  });
});
