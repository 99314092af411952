/**
 * What may be written where: colour and progress only on a terminal, and never when NO_COLOR or TERM=dumb asks for none.
 */

/** The part of a stream that matters here; `process.stdout` and `process.stderr` fit. */
export interface OutputStream {
  readonly isTTY?: boolean;
  readonly columns?: number;
  write(text: string): unknown;
}

type Paint = (text: string) => string;

export interface Palette {
  readonly bold: Paint;
  readonly dim: Paint;
  readonly red: Paint;
  readonly green: Paint;
  readonly yellow: Paint;
}

const PLAIN: Palette = { bold: same, dim: same, red: same, green: same, yellow: same };
const COLOURED: Palette = {
  bold: sgr(1, 22),
  dim: sgr(2, 22),
  red: sgr(31, 39),
  green: sgr(32, 39),
  yellow: sgr(33, 39),
};

/** See no-color.org: any non-empty value switches colour off. */
export function paletteFor(stream: OutputStream, env: Readonly<Record<string, string | undefined>>): Palette {
  const wanted = stream.isTTY === true && !env['NO_COLOR'] && env['TERM'] !== 'dumb';
  return wanted ? COLOURED : PLAIN;
}

/** One line that is drawn over itself. Writes nothing unless the stream is a terminal. */
export class ProgressLine {
  private shown = false;

  constructor(private readonly stream: OutputStream) {}

  show(text: string): void {
    if (this.stream.isTTY !== true) return;
    const width = Math.max(20, (this.stream.columns || 80) - 1);
    this.stream.write(`\r\x1b[2K${text.slice(0, width)}`);
    this.shown = true;
  }

  clear(): void {
    if (this.shown) this.stream.write('\r\x1b[2K');
    this.shown = false;
  }
}

/** `[#####.....] 50 %` */
export function bar(ratio: number, width = 30): string {
  const full = Math.round(Math.min(1, Math.max(0, ratio)) * width);
  return `[${'#'.repeat(full)}${'.'.repeat(width - full)}] ${String(Math.floor(ratio * 100)).padStart(3)} %`;
}

/** Left-aligned columns, two spaces apart; a column whose every cell is a number is right-aligned. */
export function table(
  header: readonly string[],
  rows: readonly (readonly string[])[],
  palette: Palette = PLAIN,
): string {
  const columns = header.map((title, i) => {
    const cells = rows.map((row) => row[i] ?? '');
    const width = Math.max(visible(title), ...cells.map(visible));
    return {
      width,
      numeric: cells.length > 0 && cells.every((cell) => /^[\d.,]+( (ms|s|%|B))?$|^-?$/.test(cell)),
    };
  });
  const line = (cells: readonly string[]) =>
    columns
      .map((c, i) => padded(cells[i] ?? '', c.width, c.numeric))
      .join('  ')
      .trimEnd();
  return [palette.bold(line(header)), ...rows.map(line)].join('\n');
}

function padded(text: string, width: number, right: boolean): string {
  const space = ' '.repeat(Math.max(0, width - visible(text)));
  return right ? space + text : text + space;
}

/** Width without colour codes. */
function visible(text: string): number {
  // biome-ignore lint/suspicious/noControlCharactersInRegex: colour codes begin with the escape character
  return text.replace(/\x1b\[[0-9;]*m/g, '').length;
}

function same(text: string): string {
  return text;
}

function sgr(on: number, off: number): Paint {
  return (text) => `\x1b[${on}m${text}\x1b[${off}m`;
}
