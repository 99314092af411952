import { fold, type Palette, table, visibleWidth } from './terminal.js';

/** One column of a table, with what it shows of a row. */
export interface Column<Row> {
  readonly title: string;
  cell(row: Row): string;
  /** Omitted when every cell is empty. */
  readonly isOptional?: boolean;
  /** Its cells are sentences: on a terminal that is too narrow each stands below its row, and is folded. */
  readonly isSentence?: boolean;
  /** On a terminal that is too narrow it is left out, the larger the earlier. Absent: it always stays. */
  readonly giveUp?: number;
}

/** Of a sentence below its row. */
const INDENT = '    ';

/**
 * A table of rows, empty where there are none, without the optional columns that would say nothing. Where the terminal is
 * narrower than that, sentences go below their rows, and then columns with `giveUp` are left out, which a last line says.
 */
export function tableOf<Row>(
  palette: Palette,
  rows: readonly Row[],
  columns: readonly Column<Row>[],
): string {
  if (rows.length === 0) return '';
  const { width = Number.POSITIVE_INFINITY } = palette;
  const fits = (text: string): boolean => text.split('\n').every((line) => visibleWidth(line) <= width);
  const drawn = (shown: readonly Column<Row>[]): string =>
    table(
      shown.map(({ title }) => title),
      rows.map((row) => shown.map(({ cell }) => cell(row))),
      palette,
    );
  const used = columns.filter(
    ({ cell, isOptional }) => isOptional !== true || rows.some((row) => cell(row) !== ''),
  );
  const whole = drawn(used);
  if (fits(whole)) return whole;
  const sentences = used.filter(({ isSentence }) => isSentence === true);
  let shown = used.filter(({ isSentence }) => isSentence !== true);
  let text = drawn(shown);
  let left = 0;
  for (const given of byGiveUp(shown)) {
    if (fits(text)) break;
    shown = shown.filter((column) => column !== given);
    text = drawn(shown);
    left += 1;
  }
  const [header, ...lines] = text.split('\n');
  const body = lines.flatMap((line, i) => [line, ...below(sentences, rows[i]!, width)]);
  const note = `(${left} more ${left === 1 ? 'column' : 'columns'} on a wider terminal)`;
  return [header, ...body, ...(left === 0 ? [] : [palette.dim(note)])].join('\n');
}

/** Those that may be left out, the first to go first. */
function byGiveUp<Row>(columns: readonly Column<Row>[]): Column<Row>[] {
  return columns
    .filter(({ giveUp }) => giveUp !== undefined)
    .sort((one, other) => other.giveUp! - one.giveUp!);
}

/** The sentences of one row, each on lines of its own; what is empty has none. */
function below<Row>(sentences: readonly Column<Row>[], row: Row, width: number): string[] {
  return sentences.flatMap(({ cell }) => {
    const sentence = cell(row);
    return sentence === '' ? [] : [fold(INDENT + sentence, width)];
  });
}
