/** Which instance has the state of a sequence. */
import assert from 'node:assert/strict';
import { SequenceTable } from '../../../../sidecar/core/models/sequence-table.js';

describe('the table of sequences', () => {
  it('keeps a sequence at its instance until it ends', () => {
    const table = new SequenceTable<string>();
    table.bind('7', 'one', 0);
    table.bind('8', 'other', 0);
    assert.deepEqual(
      [table.find('7', 10), table.find('8', 10), table.find('9', 10)],
      ['one', 'other', undefined],
    );
    table.end('7');
    assert.equal(table.find('7', 20), undefined);
  });

  it('forgets what was not used for ten minutes, and keeps what was', () => {
    const table = new SequenceTable<string>();
    table.bind('idle', 'one', 0);
    table.bind('used', 'one', 0);
    assert.equal(table.find('used', 599_000), 'one');
    assert.equal(table.find('idle', 601_000), undefined);
    assert.equal(table.find('used', 1_100_000), 'one');
  });

  it('holds 10,000 sequences that never end, and drops the one that was used longest ago', () => {
    const table = new SequenceTable<string>();
    for (let i = 0; i < 10_000; i++) table.bind(String(i), 'one', i);
    assert.equal(table.find('0', 10_000), 'one');
    for (let i = 10_000; i < 25_000; i++) table.bind(String(i), 'one', 10_000);
    assert.equal(table.size, 10_000);
    assert.deepEqual([table.find('1', 10_000), table.find('24999', 10_000)], [undefined, 'one']);
  });

  it('drops idle ones when another is bound', () => {
    const table = new SequenceTable<string>();
    for (let i = 0; i < 100; i++) table.bind(String(i), 'one', 0);
    table.bind('new', 'one', 700_000);
    assert.equal(table.size, 1);
  });

  it('forgets the sequences of an instance that has lost their state, and no others', () => {
    const table = new SequenceTable<string>();
    table.bind('7', 'one', 0);
    table.bind('8', 'other', 0);
    table.forget('one');
    assert.deepEqual([table.find('7', 1), table.find('8', 1)], [undefined, 'other']);
  });
});
