import { MetadataKey } from '../../core/metadata-key.js';
import { type Column, tableOf } from '../columns.js';
import { CommandFailure } from '../failure.js';
import { fold, type Palette, paletteFor } from '../terminal.js';
import { CONSUL_OUTPUTS } from './consul-outputs.js';
import { HANDSHAKE_REASONS } from './handshake-reasons.js';
import { type Explained, lookUp, REASON_NAMES, reasonNamed } from './lookup.js';

/**
 * `outrider explain WORD…`: prints what each reason means, its causes, where to look and what to do. Without a word, all
 * reasons, one line each.
 *
 * @throws CommandFailure(2) for a word that is not known, with the nearest one.
 */
export function explainCommand(words: readonly string[], { json }: { readonly json: boolean }): number {
  const palette = paletteFor(process.stdout, process.env);
  if (words.length === 0) {
    const all = REASON_NAMES.map(reasonNamed);
    process.stdout.write(`${json ? JSON.stringify(all, null, 2) : listed(palette)}\n`);
    return 0;
  }
  const found = foundOf(words);
  const texts = found.map((each) => fold(explained(each, palette), palette.width, 2));
  const shown = found.length === 1 ? found[0] : found;
  process.stdout.write(`${json ? JSON.stringify(shown, null, 2) : texts.join('\n\n')}\n`);
  return 0;
}

type Known = Exclude<Explained, { kind: 'unknown' }>;

/**
 * What words on a command line mean: all of them together, as the output of a check is, or else each one. Exported for its test.
 * @throws CommandFailure(2) for a word that is not known, with the nearest one.
 */
export function foundOf(words: readonly string[]): readonly Known[] {
  const together = lookUp(words.join(' '));
  if (together.kind !== 'unknown') return [together];
  return words.map((word) => {
    const found = lookUp(word);
    if (found.kind !== 'unknown') return found;
    const near = found.near === undefined ? '' : `; did you mean ${found.near}?`;
    throw new CommandFailure(`unknown reason "${found.word}"${near} (\`outrider explain\` lists all)`, 2);
  });
}

/** What a line of the list needs of an entry. */
interface Listed {
  readonly name: string;
  readonly meaning: string;
  readonly statuses?: readonly string[];
}

/** All that can be explained, as lines. Exported for its test. */
export function listed(palette: Palette): string {
  const handshakes = Object.entries(HANDSHAKE_REASONS).map(([name, [meaning]]) => ({ name, meaning }));
  const outputs = CONSUL_OUTPUTS.map(({ shown, meaning }) => ({ name: shown, meaning }));
  const named = (title: string): Column<Listed> => ({ title, cell: ({ name }) => name });
  const meant: Column<Listed> = {
    title: 'meaning',
    cell: ({ meaning }) => firstSentence(meaning),
    isSentence: true,
  };
  const status: Column<Listed> = {
    title: 'gRPC status',
    cell: ({ statuses = [] }) => (statuses.length === 1 ? statuses[0]! : 'several'),
  };
  return [
    tableOf(palette, REASON_NAMES.map(reasonNamed), [named(MetadataKey.reason), status, meant]),
    tableOf(palette, handshakes, [named('refused certificate'), meant]),
    tableOf(palette, outputs, [named('check in Consul'), meant]),
    'outrider explain REASON says more of one, also of a gRPC status such as UNAVAILABLE.',
  ].join('\n\n');
}

/** One entry as text. Exported for its test. */
export function explained(found: Known, palette: Palette): string {
  const { bold } = palette;
  if (found.kind === 'grpc-status') return statusText(found, palette);
  if (found.kind !== 'outrider-reason')
    return [bold(found.name), `  ${found.meaning}`, list(bold('remedy'), found.remedy)].join('\n');
  const note = found.isUnprocessed ? '. The model has not seen the call: it may be sent again' : '';
  return [
    `${bold(found.name)}  ${found.statuses.join(', ')}${note}`,
    `  ${found.meaning}`,
    list(bold('likely causes'), found.causes),
    list(bold('where to look'), found.look),
    list(bold('remedy'), found.remedy),
    `  ${bold('options')}\n    ${found.options.join(', ')}  (mesh-config/REFERENCE.md)`,
  ].join('\n');
}

function statusText(
  { name, reasons }: Extract<Explained, { kind: 'grpc-status' }>,
  { bold }: Palette,
): string {
  const other = 'Without `outrider-reason` in the trailers it is the answer of the service itself.';
  if (reasons.length === 0) return `${bold(name)}\n  A sidecar never gives this status by itself. ${other}`;
  const lines = reasons.map((reason) => `    ${reason}`);
  return [
    bold(name),
    '  Given by a sidecar with one of these values of the trailer `outrider-reason`:',
    ...lines,
    `  ${other}`,
    '  outrider explain REASON says more of one.',
  ].join('\n');
}

function list(title: string, entries: readonly string[]): string {
  return [`  ${title}`, ...entries.map((entry) => `    - ${entry}`)].join('\n');
}

function firstSentence(text: string): string {
  return /^.*?[.;](?= |$)/.exec(text)?.[0].replace(/;$/, '.') ?? text;
}
