import { type Palette, table } from '../terminal.js';

/** One column of a table, with what it shows of a row. */
export interface Column<Row> {
  readonly title: string;
  cell(row: Row): string;
  /** Omitted when every cell is empty. */
  readonly isOptional?: boolean;
}

/** A table of rows, empty where there are none, without the optional columns that would say nothing. */
export function tableOf<Row>(
  palette: Palette,
  rows: readonly Row[],
  columns: readonly Column<Row>[],
): string {
  if (rows.length === 0) return '';
  const shown = columns.filter(
    ({ cell, isOptional }) => isOptional !== true || rows.some((row) => cell(row) !== ''),
  );
  return table(
    shown.map(({ title }) => title),
    rows.map((row) => shown.map(({ cell }) => cell(row))),
    palette,
  );
}
