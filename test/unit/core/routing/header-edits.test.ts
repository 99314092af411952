import assert from 'node:assert/strict';
import { type HeaderEdits, mergeEdits, whyNotEdited } from '../../../../sidecar/core/routing/header-edits.js';

describe('headers that a rule may change', () => {
  it('are those of the application', () => {
    for (const name of ['x-tier', 'authorization', 'user-agent', 'server'])
      assert.equal(whyNotEdited(name, 'some value'), undefined);
    assert.equal(whyNotEdited('x-empty', ''), undefined);
  });

  it('are not those of HTTP/2, gRPC and the mesh', () => {
    for (const name of [
      ':path',
      'host',
      'te',
      'content-type',
      'grpc-timeout',
      'grpc-status',
      'outrider-reason',
    ])
      assert.equal(whyNotEdited(name), 'it belongs to HTTP/2, gRPC or the mesh');
  });

  it('have a name and a value that HTTP/2 can carry', () => {
    for (const name of ['', 'a b', 'X-Upper', 'ü'])
      assert.equal(whyNotEdited(name), 'no header has such a name');
    for (const value of [' a', 'a ', 'a\nb', 'ü'])
      assert.equal(whyNotEdited('x-a', value), 'no header has such a value');
  });
});

describe('edits of headers, one after the other', () => {
  /** What becomes of headers, by the order that `HeaderEdits` has. */
  function apply(headers: readonly string[][], { remove, set, add }: HeaderEdits): string[][] {
    const gone = new Set([...remove, ...set.map(([name]) => name)]);
    return [...headers.filter(([name]) => !gone.has(name!)), ...[...set, ...add].map((pair) => [...pair])];
  }
  const sorted = (headers: readonly string[][]): string[] => headers.map((each) => each.join('=')).sort();

  it('are merged into edits that do the same', () => {
    const names = ['a', 'b'];
    const choices: HeaderEdits[] = [];
    for (const remove of [[], ['a']])
      for (const set of [[], [['a', 's'] as const], [['b', 's'] as const]])
        for (const add of [[], [['a', '+'] as const], [['b', '+'] as const]])
          choices.push({ remove, set, add });
    const before = names.map((name) => [name, 'old']);
    for (const first of choices)
      for (const second of choices) {
        const both = apply(apply(before, first), second);
        const merged = apply(before, mergeEdits(first, second)!);
        assert.deepEqual(sorted(merged), sorted(both), JSON.stringify([first, second]));
      }
  });

  it('are those of the one where the other has none', () => {
    const some = { remove: ['a'], set: [], add: [] };
    assert.deepEqual([mergeEdits(some, undefined), mergeEdits(undefined, some)], [some, some]);
    assert.equal(mergeEdits(undefined, undefined), undefined);
  });
});
