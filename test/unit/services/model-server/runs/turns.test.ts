import assert from 'node:assert/strict';
import { Turns } from '../../../../../services/model-server/runs/turns.js';

describe('turns of models', () => {
  /** Runs what waits; each run takes the time of its model. @returns the order. */
  function runAll(turns: Turns<string, number>, runMs: Readonly<Record<string, number>>, most = 100): string {
    let order = '';
    for (let lane = turns.next(); lane !== undefined && order.length < most; lane = turns.next()) {
      lane.items.shift();
      turns.charge(lane.key, runMs[lane.key]!);
      order += lane.key;
    }
    return order;
  }

  const fill = (turns: Turns<string, number>, key: string, count: number) => {
    for (let i = 0; i < count; i++) turns.add(key, i);
  };

  it('are shared by the time that runs take', () => {
    const turns = new Turns<string, number>();
    fill(turns, 'S', 3);
    fill(turns, 'q', 12);
    assert.equal(runAll(turns, { S: 30, q: 10 }), 'SqqqSqqqSqqqqqq');
  });

  it('are not saved up by a model that was idle', () => {
    const turns = new Turns<string, number>();
    fill(turns, 'a', 10);
    runAll(turns, { a: 10 });
    fill(turns, 'a', 4);
    fill(turns, 'b', 4);
    assert.doesNotMatch(runAll(turns, { a: 10, b: 10 }), /bbb/);
  });

  it('go to the urgent items of a model first, in order of arrival among equals', () => {
    const turns = new Turns<string, { level: number; id: string }>();
    const isMoreUrgent = (a: { level: number }, b: { level: number }) => a.level < b.level;
    for (const [id, level] of [
      ['1', 5],
      ['2', 1],
      ['3', 5],
      ['4', 1],
    ] as const)
      turns.add('m', { id, level }, isMoreUrgent);
    assert.deepEqual(
      turns.next()!.items.map(({ id }) => id),
      ['2', '4', '1', '3'],
    );
  });

  it('do not come for a model that may not run, nor for an item that was taken away', () => {
    const barred = new Set(['x']);
    const turns = new Turns<string, number>((key) => !barred.has(key));
    turns.add('x', 1);
    assert.deepEqual([turns.next(), turns.waiting], [undefined, false]);
    barred.clear();
    assert.deepEqual([turns.waiting, turns.othersWait('x'), turns.othersWait('y')], [true, false, true]);
    assert.deepEqual(
      [turns.remove('x', 2), turns.remove('y', 1), turns.remove('x', 1)],
      [false, false, true],
    );
    assert.equal(turns.next(), undefined);
  });

  it('keep nothing of a model that is forgotten', () => {
    const turns = new Turns<string, number>();
    turns.add('m', 1);
    turns.next()!.items.pop();
    turns.forget('m');
    turns.charge('m', 5);
    assert.equal(turns.next(), undefined);
    turns.add('m', 2);
    assert.equal(turns.next()!.spentMs, 0);
  });
});
