import { visibleOutput } from '../runtime/log/visible-text.js';

/** The part of a stream that output needs; `process.stdout` and `process.stderr` have it. */
export interface OutputStream {
  readonly isTTY?: boolean;
  readonly columns?: number;
  write(text: string): unknown;
}

type Paint = (text: string) => string;

/** Text styles; each adds nothing where colour is off. */
export interface Palette {
  readonly bold: Paint;
  readonly dim: Paint;
  readonly red: Paint;
  readonly green: Paint;
  readonly yellow: Paint;
  /** Columns of the terminal; absent: there is none, and lines may be as long as they are. */
  readonly width?: number;
}

const PLAIN: Palette = { bold: same, dim: same, red: same, green: same, yellow: same };
const COLOURED: Palette = {
  bold: sgr(1, 22),
  dim: sgr(2, 22),
  red: sgr(31, 39),
  green: sgr(32, 39),
  yellow: sgr(33, 39),
};

/**
 * Styles for a terminal, unless NO_COLOR is set and not empty (no-color.org) or TERM is `dumb`, and its width where it tells one.
 */
export function paletteFor(stream: OutputStream, env: Readonly<Record<string, string | undefined>>): Palette {
  const { isTTY = false, columns = 0 } = stream;
  const palette = isTTY && !env['NO_COLOR'] && env['TERM'] !== 'dumb' ? COLOURED : PLAIN;
  return isTTY && columns > 0 ? { ...palette, width: columns } : palette;
}

/**
 * Lines of at most `width` characters, broken at spaces. What follows a break is indented as its line is, by `hang` more; a word that
 * is too long stays whole. Without a width: the text as it is.
 */
export function fold(text: string, width = Number.POSITIVE_INFINITY, hang = 0): string {
  return text
    .split('\n')
    .flatMap((line) => (visibleWidth(line) <= width ? [line] : foldedLine(line, width, hang)))
    .join('\n');
}

function foldedLine(line: string, width: number, hang: number): string[] {
  const own = /^ */.exec(line)![0];
  const indent = own + ' '.repeat(hang);
  const lines: string[] = [];
  let current = own;
  for (const word of line.slice(own.length).split(' ')) {
    const isFirst = current.trim() === '';
    const next = isFirst ? current + word : `${current} ${word}`;
    if (isFirst || visibleWidth(next) <= width) current = next;
    else {
      lines.push(current.trimEnd());
      current = indent + word;
    }
  }
  return [...lines, current];
}

/** A line that replaces itself, for progress. Writes nothing unless the stream is a terminal. */
export class ProgressLine {
  private isShown = false;

  constructor(private readonly stream: OutputStream) {}

  show(text: string): void {
    if (this.stream.isTTY !== true) return;
    const width = Math.max(20, (this.stream.columns || 80) - 1);
    this.stream.write(`\r\x1b[2K${text.slice(0, width)}`);
    this.isShown = true;
  }

  clear(): void {
    if (this.isShown) this.stream.write('\r\x1b[2K');
    this.isShown = false;
  }
}

/**
 * Columns two spaces apart: left-aligned, or right-aligned where every cell is a number (with a
 * unit).
 */
export function table(
  header: readonly string[],
  rows: readonly (readonly string[])[],
  palette: Palette = PLAIN,
): string {
  const columns = header.map((title, i) => {
    const cells = rows.map((row) => oneLineOf(row[i] ?? ''));
    const width = Math.max(visibleWidth(title), ...cells.map(visibleWidth));
    const isNumeric = cells.length > 0 && cells.every((cell) => /^[\d.,]+( (ms|s|%|B))?$|^-?$/.test(cell));
    return (text: string): string => {
      const space = ' '.repeat(Math.max(0, width - visibleWidth(text)));
      return isNumeric ? space + text : text + space;
    };
  });
  const line = (cells: readonly string[]) =>
    columns
      .map((padded, i) => padded(oneLineOf(cells[i] ?? '')))
      .join('  ')
      .trimEnd();
  return [palette.bold(line(header)), ...rows.map(line)].join('\n');
}

/** A cell has one line, whatever a peer has said: no row is of its making. */
function oneLineOf(cell: string): string {
  return cell.includes('\n') ? cell.replaceAll(/\s*\n\s*/g, ' ') : cell;
}

/**
 * What the program writes to `stream` from now on holds nothing that a terminal acts on, but its own colours: texts of peers, models
 * and Consul come into messages in many places. Bytes pass unchanged.
 */
export function guardOutput(stream: Pick<NodeJS.WriteStream, 'write'>): void {
  const write = stream.write.bind(stream) as (chunk: unknown, ...rest: unknown[]) => boolean;
  const guarded = (chunk: unknown, ...rest: unknown[]): boolean =>
    write(typeof chunk === 'string' ? visibleOutput(chunk) : chunk, ...rest);
  stream.write = guarded as typeof stream.write;
}

/** Characters of a text without its colour codes. */
export function visibleWidth(text: string): number {
  // biome-ignore lint/suspicious/noControlCharactersInRegex: colour codes begin with the escape character
  return text.replace(/\x1b\[[0-9;]*m/g, '').length;
}

function same(text: string): string {
  return text;
}

/** Wraps text in ANSI SGR codes. */
function sgr(on: number, off: number): Paint {
  return (text) => `\x1b[${on}m${text}\x1b[${off}m`;
}
