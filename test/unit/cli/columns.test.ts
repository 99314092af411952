import assert from 'node:assert/strict';
import { type Column, tableOf } from '../../../sidecar/cli/columns.js';
import { paletteFor } from '../../../sidecar/cli/terminal.js';

interface Row {
  readonly name: string;
  readonly state: string;
  readonly calls: string;
  readonly why: string;
}

const COLUMNS: readonly Column<Row>[] = [
  { title: 'name', cell: ({ name }) => name },
  { title: 'state', cell: ({ state }) => state, giveUp: 1 },
  { title: 'calls', cell: ({ calls }) => calls, giveUp: 2, isOptional: true },
  { title: 'why', cell: ({ why }) => why, isSentence: true },
];
const ROWS: readonly Row[] = [
  { name: 'digits-1', state: 'ready', calls: '12', why: '' },
  { name: 'digits-2', state: 'ejected', calls: '7', why: 'five failures in a row, the last one UNAVAILABLE' },
];

/** The lines at so many columns; 0: no terminal. */
function at(columns: number, rows = ROWS): string[] {
  const palette = paletteFor({ isTTY: columns > 0, columns, write: () => {} }, { NO_COLOR: '1' });
  return tableOf(palette, rows, COLUMNS).split('\n');
}

describe('a table on a terminal', () => {
  it('is whole where it fits, and where there is no terminal', () => {
    const whole = [
      'name      state    calls  why',
      'digits-1  ready       12',
      'digits-2  ejected      7  five failures in a row, the last one UNAVAILABLE',
    ];
    assert.deepEqual(at(0), whole);
    assert.deepEqual(at(whole[2]!.length), whole);
  });

  it('has its sentences below their rows where it does not fit', () => {
    assert.deepEqual(at(60), [
      'name      state    calls',
      'digits-1  ready       12',
      'digits-2  ejected      7',
      '    five failures in a row, the last one UNAVAILABLE',
    ]);
  });

  it('gives up columns then, in their order, says how many, and folds what is left', () => {
    assert.deepEqual(at(20), [
      'name      state',
      'digits-1  ready',
      'digits-2  ejected',
      '    five failures in',
      '    a row, the last',
      '    one UNAVAILABLE',
      '(1 more column on a wider terminal)',
    ]);
    assert.equal(at(12)[0], 'name');
    assert.equal(at(12).at(-1), '(2 more columns on a wider terminal)');
  });

  it('leaves out optional columns without a cell, and is nothing without rows', () => {
    assert.equal(at(0, [{ ...ROWS[0]!, calls: '' }])[0], 'name      state  why');
    assert.deepEqual(at(80, []), ['']);
  });
});
