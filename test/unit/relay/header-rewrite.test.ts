import assert from 'node:assert/strict';
import { makeField } from '../../../sidecar/http2/hpack/field.js';
import { HeaderBlock, StableList } from '../../../sidecar/http2/hpack/header-list.js';
import {
  forwardExtras,
  forwardRequest,
  HeaderEditor,
  inboundProfile,
  type RequestProfile,
  requestProfile,
} from '../../../sidecar/relay/header-rewrite.js';

const fields = (pairs: readonly (readonly [string, string])[]) =>
  pairs.map(([name, value]) => makeField(name, value));
const pairs = (all: readonly { readonly name: string; readonly value: string }[]) =>
  all.map(({ name, value }) => [name, value]);

describe('the headers of a request that a rule changes', () => {
  const editor = new HeaderEditor({ remove: ['x-old'], set: [['x-tier', 'gold']], add: [['x-by', 'rule']] });

  it('lose, replace and gain fields, wherever those are', () => {
    const stable = StableList.of(
      fields([
        [':path', '/a'],
        ['x-old', '1'],
        ['x-by', 'caller'],
      ]),
    );
    const extras = fields([
      ['x-tier', 'iron'],
      ['x-n', '7'],
    ]);
    const changed = editor.request(new HeaderBlock(stable, extras, 0, 5, false, false));
    assert.deepEqual(pairs(changed.stable.toFields()), [
      [':path', '/a'],
      ['x-by', 'caller'],
      ['x-tier', 'gold'],
      ['x-by', 'rule'],
    ]);
    assert.deepEqual(pairs(changed.extras), [['x-n', '7']]);
  });

  it('are the same list each time, so that work on it is remembered', () => {
    const stable = StableList.of(fields([[':path', '/a']]));
    assert.equal(editor.list(stable), editor.list(stable));
  });
});

describe('the headers of a request as it goes on', () => {
  /** `repeated`: how many of them are in the stable part. */
  function forwarded(
    given: readonly (readonly [string, string])[],
    profile: RequestProfile,
    repeated: number,
  ): unknown[] {
    const all = fields(given);
    const stable = StableList.of(all.slice(0, repeated));
    const block = new HeaderBlock(stable, all.slice(repeated), 0, all.length, false, false);
    const list = forwardRequest(block, profile);
    return pairs([
      ...list.toFields(),
      ...forwardExtras(block, profile, Number.POSITIVE_INFINITY, null, 0),
    ]).filter(([name]) => name !== ':path' && name !== ':scheme');
  }
  const PATH = [':path', '/a'] as const;
  const HOST = ['host', 'evil.example'] as const;

  for (const repeated of [1, 9]) {
    const where = repeated === 1 ? 'varies' : 'repeats';

    it(`have no host beside an authority: a field that ${where}`, () => {
      const named = [':authority', 'digits'] as const;
      const to = requestProfile('https', 'model.example');
      assert.deepEqual(forwarded([PATH, HOST], to, repeated), [[':authority', 'model.example']]);
      if (repeated > 1) {
        assert.deepEqual(forwarded([PATH, named, HOST], to, repeated), [[':authority', 'model.example']]);
        assert.deepEqual(forwarded([PATH, named, HOST], inboundProfile(), repeated), [named]);
      }
      assert.deepEqual(forwarded([PATH, HOST], inboundProfile(), repeated), [HOST]);
    });

    it(`have nothing that a server could take for the mesh's word: a field that ${where}`, () => {
      const forged = ['outrider-caller', 'outrider_caller', 'outrider.caller'].map(
        (name) => [name, 'root'] as const,
      );
      const profile = inboundProfile();
      assert.deepEqual(forwarded([PATH, ...forged, ['x-a', '1']], profile, repeated), [['x-a', '1']]);
      const certificate = ['x_forwarded_client_cert', 'URI=spiffe://mesh/root'] as const;
      assert.deepEqual(forwarded([PATH, certificate], profile, repeated), []);
      assert.deepEqual(forwarded([PATH, certificate], requestProfile('https'), repeated), [certificate]);
    });
  }
});
