/**
 * The reference page: every option with its meaning, its values, its default and the reason for that default.
 */
import type * as z from 'zod';
import { type OptionEntry, optionsOf, type ValueShape } from './option-tree.js';

export interface ReferenceFile {
  readonly title: string;
  /** One paragraph, Markdown. */
  readonly about: string;
  readonly schema: z.ZodType;
}

/**
 * Markdown: the contents, then a table for each block. A block, or an option, that several places share is written once, and the
 * others lead there.
 */
export function renderReference(intro: string, files: readonly ReferenceFile[]): string {
  const page = new Page();
  const sections = files.flatMap(({ title, about, schema }) => [
    `## ${title}`,
    about,
    ...page.block({ file: title, path: '', heading: title }, optionsOf(schema)),
  ]);
  return `${[intro, contents(page.headings), ...sections].join('\n\n')}\n`;
}

/** A line for each file and for each of its blocks, with the blocks inside it. */
function contents(headings: readonly Place[]): string {
  const link = ({ path, heading }: Place, under: string): string =>
    `[${path === '' ? heading : `\`${path.slice(under.length).replace(/^\./, '')}\``}](#${anchor(heading)})`;
  const lines = headings
    .filter(({ path }) => path.replace('.NAME', '').split('.').length === 1)
    .map((top) => {
      const inner = headings.filter(({ file, path }) => file === top.file && path.startsWith(`${top.path}.`));
      const links = top.path === '' ? '' : inner.map((each) => link(each, top.path)).join(', ');
      return `${top.path === '' ? '' : '  '}* ${link(top, '')}${links === '' ? '' : `: ${links}`}`;
    });
  return `## Contents\n\n${lines.join('\n')}`;
}

/** Where a block stands. */
interface Place {
  readonly file: string;
  /** Empty: the file itself. */
  readonly path: string;
  readonly heading: string;
}

class Page {
  readonly headings: Place[] = [];
  /** Where a block with the same options was written already, by its content. */
  private readonly blocks = new Map<string, Place>();
  /** The same for single options. */
  private readonly rows = new Map<string, Place>();

  /** The table of a block, then the blocks inside it. */
  block(place: Place, options: readonly OptionEntry[]): string[] {
    this.headings.push(place);
    const elsewhere = this.elsewhere(place, options);
    const mine = options.filter((entry) => ![...elsewhere.values()].flat().includes(entry));
    const parts = mine.map((entry) => {
      const path = place.path === '' ? entry.name : `${place.path}.${entry.name}`;
      return { entry, inner: this.inner(place.file, path, entry.value) };
    });
    const rows = parts.map(({ entry, inner: { at } }) => row(entry, at));
    const table = [
      '| option | meaning | values | default | why |',
      '| --- | --- | --- | --- | --- |',
      ...rows,
    ];
    const same = [...elsewhere].map(
      ([there, entries]) =>
        `As in [${there.heading}](#${anchor(there.heading)}): ${entries.map(({ name }) => `\`${name}\``).join(', ')}.`,
    );
    return [
      ...(rows.length === 0 ? [] : [table.join('\n')]),
      ...same,
      ...parts.flatMap(({ inner: { text } }) => text),
    ];
  }

  /** Options that a block of another file has too, three at least: fewer are sooner read here. The others are this block's own. */
  private elsewhere(place: Place, options: readonly OptionEntry[]): Map<Place, OptionEntry[]> {
    const shared = new Map<Place, OptionEntry[]>();
    for (const entry of options) {
      const content = JSON.stringify(entry);
      const before = this.rows.get(content);
      if (before === undefined) this.rows.set(content, place);
      else if (before.file !== place.file) shared.set(before, [...(shared.get(before) ?? []), entry]);
    }
    return new Map([...shared].filter(([, entries]) => entries.length >= 3));
  }

  /** The sections of the blocks in a value, and where the first one stands. */
  private inner(file: string, path: string, value: ValueShape): { text: string[]; at?: Place } {
    switch (value.kind) {
      case 'plain':
        return { text: [] };
      case 'list':
        return this.inner(file, `${path}[]`, value.of);
      case 'map':
        return this.inner(file, `${path}.NAME`, value.of);
      case 'either': {
        const branches = value.of.map((branch) => this.inner(file, path, branch));
        const at = branches.find((branch) => branch.at !== undefined)?.at;
        return { text: branches.flatMap(({ text }) => text), ...(at === undefined ? {} : { at }) };
      }
      case 'block': {
        const content = JSON.stringify(value.options);
        const before = this.blocks.get(content);
        if (before !== undefined) return { text: [], at: before };
        const place = { file, path, heading: `${path} (${file.toLowerCase()})` };
        this.blocks.set(content, place);
        return { text: [`### ${place.heading}`, ...this.block(place, value.options)], at: place };
      }
    }
  }
}

function row({ name, doc, required, defaultInput, value }: OptionEntry, block: Place | undefined): string {
  const fallback = required ? 'required' : (doc?.otherwise ?? shownDefault(defaultInput, value));
  const cells = [`\`${name}\``, doc?.meaning ?? '', shownValue(value, block), fallback, doc?.why ?? ''];
  return `| ${cells.map((cell) => cell.replaceAll('|', '\\|').replaceAll('\n', ' ')).join(' | ')} |`;
}

/** @param block where the block in the value is written. */
function shownValue(value: ValueShape, block: Place | undefined): string {
  switch (value.kind) {
    case 'plain':
      return value.doc.range === undefined ? value.doc.type : `${value.doc.type}, ${value.doc.range}`;
    case 'list':
      return `list: ${shownValue(value.of, block)}`;
    case 'map':
      return `map by name: ${shownValue(value.of, block)}`;
    case 'either':
      return value.of.map((branch) => shownValue(branch, block)).join(' or ');
    case 'block':
      return block === undefined ? 'block' : `[block](#${anchor(block.heading)})`;
  }
}

function shownDefault(input: unknown, value: ValueShape): string {
  if (input === undefined) return '';
  if (value.kind === 'map') return 'empty';
  if (typeof input === 'object' && input !== null) {
    if (Array.isArray(input)) return `\`[${input.join(', ')}]\``;
    const inner = Object.entries(input).map(([key, value]) => `${key}: ${value}`);
    return inner.length === 0 ? 'its defaults' : `\`{ ${inner.join(', ')} }\``;
  }
  return `\`${input}\``;
}

/** As GitHub makes them of headings. */
function anchor(heading: string): string {
  return heading
    .toLowerCase()
    .replaceAll(/[^a-z0-9 _-]/g, '')
    .replaceAll(' ', '-');
}
