import assert from 'node:assert/strict';
import { Turns } from '../../../../../services/openai/tokenizer/turns.js';

describe('turns between callers', () => {
  let turns: Turns<string>;
  beforeEach(() => {
    turns = new Turns();
  });
  const rest = (): string[] => {
    const taken: string[] = [];
    for (let next = turns.next(); next !== undefined; next = turns.next()) taken.push(next);
    return taken;
  };

  it('give one of each caller, and of one caller the first', () => {
    for (const entry of ['a1', 'a2', 'a3', 'b1', 'b2', 'c1']) turns.add(entry[0]!, entry);
    assert.deepEqual(rest(), ['a1', 'b1', 'c1', 'a2', 'b2', 'a3']);
  });

  it('put a caller that has had its turn behind one that came meanwhile', () => {
    for (const entry of ['a1', 'a2']) turns.add('a', entry);
    assert.equal(turns.next(), 'a1');
    turns.add('b', 'b1');
    assert.deepEqual(rest(), ['a2', 'b1']);
  });

  it('leave out what waits no longer', () => {
    for (const entry of ['a1', 'a2', 'b1']) turns.add(entry[0]!, entry);
    turns.remove('a', 'a1');
    turns.remove('b', 'b1');
    turns.remove('b', 'b1');
    assert.deepEqual(rest(), ['a2']);
    assert.equal(turns.next(), undefined);
  });
});
