/**
 * What a Markdown file, or the comments of a YAML file, promise: commands, links, headings and blocks of code.
 */

export interface Document {
  /** From the root of the package. */
  readonly path: string;
  /** Commands as a reader would type them, one line each. */
  readonly commands: readonly Found[];
  /** Those of them that stand in blocks marked as shell, to be typed as they are. */
  readonly typed: readonly Found[];
  readonly links: readonly Found[];
  /** Anchors of the headings, as GitHub makes them. */
  readonly anchors: readonly string[];
  /** Blocks of code that are marked as YAML. */
  readonly yaml: readonly Found[];
}

export interface Found {
  readonly text: string;
  readonly line: number;
}

export function readMarkdown(path: string, source: string): Document {
  const { prose, blocks } = splitBlocks(source);
  const commandsIn = (language: RegExp): Found[] =>
    blocks
      .filter((block) => language.test(block.language))
      .flatMap(({ lines }) => shellLines(lines))
      .filter(isCommand);
  return {
    path,
    commands: [...prose.flatMap(codeSpans).filter(isCommand), ...commandsIn(/^(sh|bash|shell|console|)$/)],
    typed: commandsIn(/^(sh|bash|shell|console)$/),
    links: prose.flatMap(linksIn),
    anchors: anchorsOf(prose),
    yaml: blocks.filter(({ language }) => /^ya?ml$/.test(language)).map(({ lines }) => joined(lines)),
  };
}

/** In YAML only the comments speak to the reader. */
export function readYamlComments(path: string, source: string): Document {
  const comments = numbered(source).flatMap(({ text, line }) => {
    const comment = /(?:^|\s)#(.*)$/.exec(text)?.[1];
    return comment === undefined ? [] : [{ text: comment, line }];
  });
  const commands = comments.flatMap(codeSpans).filter(isCommand);
  return { path, commands, typed: [], links: [], anchors: [], yaml: [] };
}

interface Block {
  readonly language: string;
  readonly lines: readonly Found[];
}

function splitBlocks(source: string): { prose: Found[]; blocks: Block[] } {
  const prose: Found[] = [];
  const blocks: Block[] = [];
  let open: { fence: string; language: string; lines: Found[] } | undefined;
  for (const { text, line } of numbered(source)) {
    const fence = /^\s*(```+|~~~+)\s*([^\s`]*)/.exec(text);
    if (open === undefined && fence !== null)
      open = { fence: fence[1]!, language: fence[2]!.toLowerCase(), lines: [] };
    else if (open !== undefined && fence !== null && fence[1]!.startsWith(open.fence) && fence[2] === '') {
      blocks.push(open);
      open = undefined;
    } else if (open !== undefined) open.lines.push({ text, line });
    else prose.push({ text, line });
  }
  if (open !== undefined) blocks.push(open);
  return { prose, blocks };
}

function numbered(source: string): Found[] {
  return source.split(/\r?\n/).map((text, i) => ({ text, line: i + 1 }));
}

function joined(lines: readonly Found[]): Found {
  return { text: lines.map(({ text }) => text).join('\n'), line: lines[0]?.line ?? 1 };
}

function codeSpans({ text, line }: Found): Found[] {
  return [...text.matchAll(/(`+)(.+?)\1/g)].map((match) => ({ text: match[2]!.trim(), line }));
}

/** Lines of a shell block, one command each: without prompt and comment, split where one command follows another. */
function shellLines(lines: readonly Found[]): Found[] {
  const whole: Found[] = [];
  for (const { text, line } of lines) {
    const before = whole.at(-1);
    if (before?.text.endsWith('\\'))
      whole[whole.length - 1] = { text: before.text.slice(0, -1) + text, line: before.line };
    else whole.push({ text, line });
  }
  return whole.flatMap(({ text, line }) =>
    text
      .replace(/(^|\s)#.*$/, '')
      .split(/&&|\|\||;|\s\|\s|&$/)
      .map((command) => ({ text: command.trim().replace(/^\$\s+/, ''), line })),
  );
}

function isCommand({ text }: Found): boolean {
  return /^(npx\s+)?(outrider|npm)\s+\S/.test(text);
}

function linksIn({ text, line }: Found): Found[] {
  const plain = text.replaceAll(/(`+)(.+?)\1/g, '');
  const inline = [...plain.matchAll(/\]\(\s*<?([^)\s>]+)>?(?:\s+"[^"]*")?\s*\)/g)];
  const references = [...plain.matchAll(/^\s*\[[^\]]+\]:\s*(\S+)/g)];
  const html = [...plain.matchAll(/\b(?:src|href)="([^"]+)"/g)];
  return [...inline, ...references, ...html].map((match) => ({ text: match[1]!, line }));
}

function anchorsOf(prose: readonly Found[]): string[] {
  const seen = new Map<string, number>();
  return prose.flatMap(({ text }) => {
    const heading = /^#{1,6}\s+(.*?)\s*#*$/.exec(text)?.[1];
    if (heading === undefined) return [];
    const anchor = heading
      .toLowerCase()
      .replaceAll(/[^\p{L}\p{N} _-]/gu, '')
      .replaceAll(' ', '-');
    const times = seen.get(anchor) ?? 0;
    seen.set(anchor, times + 1);
    return [times === 0 ? anchor : `${anchor}-${times}`];
  });
}
