/** Stable subsets: which endpoints of many a sidecar keeps to. */
import assert from 'node:assert/strict';
import { subsetOf } from '../../../../sidecar/core/balancing/subset.js';

function names(count: number): string[] {
  return Array.from({ length: count }, (_, i) => `10.0.${i >> 8}.${i & 255}:8443`);
}
const itself = (name: string) => name;

describe('A subset', () => {
  it('has all items when they are few', () => {
    const few = names(5);
    assert.equal(subsetOf(few, itself, 5, 1), few);
    assert.deepEqual(subsetOf([], itself, 5, 1), []);
  });

  it('has the requested size, and keeps the order', () => {
    const all = names(1000);
    const chosen = subsetOf(all, itself, 128, 7);
    assert.deepEqual([chosen.length, new Set(chosen).size], [128, 128]);
    const places = chosen.map((name) => all.indexOf(name));
    assert.ok(places.every((place, i) => i === 0 || place > places[i - 1]!));
  });

  it('does not depend on the order of the list', () => {
    const all = names(500);
    const [one, other] = [all, all.toReversed()].map((list) => [...subsetOf(list, itself, 20, 3)].sort());
    assert.deepEqual(one, other);
  });

  it('changes by at most one item when one comes or goes', () => {
    const all = names(500);
    const before = new Set(subsetOf(all, itself, 20, 3));
    for (let gone = 0; gone < 500; gone += 7) {
      const rest = all.filter((_, i) => i !== gone);
      const after = subsetOf(rest, itself, 20, 3);
      const fresh = after.filter((name) => !before.has(name));
      assert.equal(fresh.length, before.has(all[gone]!) ? 1 : 0);
    }
  });

  it('differs between sidecars, so that all endpoints are used about alike', () => {
    const all = names(100);
    const uses = new Map(all.map((name) => [name, 0]));
    for (let seed = 0; seed < 1000; seed++)
      for (const name of subsetOf(all, itself, 10, seed * 2_654_435_761)) uses.set(name, uses.get(name)! + 1);
    // Each is used 100 times on average, standard deviation about 9.5.
    for (const [name, count] of uses) assert.ok(count > 50 && count < 150, `${name}: ${count}`);
  });
});
