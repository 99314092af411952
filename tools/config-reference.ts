/**
 * The reference page: every option with its meaning, its values, its default and the reason for that default.
 */
import type { z } from 'zod';
import { type OptionEntry, optionsOf, type ValueShape } from './option-tree.js';

export interface ReferenceFile {
  readonly title: string;
  /** One paragraph, Markdown. */
  readonly about: string;
  readonly schema: z.ZodType;
}

/** Markdown. A block that several places share is written once and linked from the others. */
export function renderReference(intro: string, files: readonly ReferenceFile[]): string {
  const page = new Page();
  const sections = files.flatMap(({ title, about, schema }) => [
    `## ${title}`,
    about,
    ...page.block(title, '', optionsOf(schema)),
  ]);
  return `${[intro, ...sections].join('\n\n')}\n`;
}

class Page {
  /** Where a block with the same options was written already, by its content. */
  private readonly written = new Map<string, { readonly heading: string }>();

  /** The table of a block, then the blocks inside it. */
  block(file: string, path: string, options: readonly OptionEntry[]): string[] {
    const rows = options.map((entry) => this.row(entry));
    const table = [
      '| option | meaning | values | default | why |',
      '| --- | --- | --- | --- | --- |',
      ...rows,
    ].join('\n');
    const inner = options.flatMap((entry) =>
      this.inner(file, path === '' ? entry.name : `${path}.${entry.name}`, entry.value),
    );
    return [table, ...inner];
  }

  private inner(file: string, path: string, value: ValueShape): string[] {
    switch (value.kind) {
      case 'plain':
        return [];
      case 'list':
        return this.inner(file, `${path}[]`, value.of);
      case 'map':
        return this.inner(file, `${path}.NAME`, value.of);
      case 'either':
        return value.of.flatMap((branch) => this.inner(file, path, branch));
      case 'block': {
        const heading = `${path} (${file.toLowerCase()})`;
        const content = JSON.stringify(value.options);
        const before = this.written.get(content);
        if (before !== undefined)
          return [`### ${heading}`, `The same options as [${before.heading}](#${anchor(before.heading)}).`];
        this.written.set(content, { heading });
        return [`### ${heading}`, ...this.block(file, path, value.options)];
      }
    }
  }

  private row({ name, doc, required, defaultInput, value }: OptionEntry): string {
    const fallback = required ? 'required' : (doc?.otherwise ?? shownDefault(defaultInput, value));
    const cells = [`\`${name}\``, doc?.meaning ?? '', shownValue(value), fallback, doc?.why ?? ''];
    return `| ${cells.map((cell) => cell.replaceAll('|', '\\|').replaceAll('\n', ' ')).join(' | ')} |`;
  }
}

function shownValue(value: ValueShape): string {
  switch (value.kind) {
    case 'plain':
      return value.doc.range === undefined ? value.doc.type : `${value.doc.type}, ${value.doc.range}`;
    case 'list':
      return `list: ${shownValue(value.of)}`;
    case 'map':
      return `map by name: ${shownValue(value.of)}`;
    case 'either':
      return value.of.map(shownValue).join(' or ');
    case 'block':
      return 'block, below';
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
