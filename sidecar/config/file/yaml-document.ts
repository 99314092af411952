/**
 * One YAML document, read into plain values, with the line of every one of them.
 *
 * Here are the bounds on a file as a whole and what makes a file not YAML at all; yaml-walk.ts turns nodes into
 * values. What the values should be is the schema's business.
 */
import {
  type Document,
  isAlias,
  isMap,
  isScalar,
  isSeq,
  LineCounter,
  type Node,
  parseAllDocuments,
} from 'yaml';
import type { Path, Problem } from '../problem.js';
import { KUBERNETES } from './foreign-file.js';
import { TOO_DEEP, walk } from './yaml-walk.js';

/** A file that people write is a few KiB; one MiB already takes seconds to parse. */
export const MAX_FILE_BYTES = 1_048_576;
const MAX_PROBLEMS = 20;

/** The values of a file, with the places where it says them. */
export interface YamlDocument {
  readonly value: unknown;
  /** The line of the value at `path`, or of the nearest thing around it that exists. */
  lineOf(path: Path): number;
  /** The line of the key that ends `path`, or else of what is around it. */
  lineOfKey(path: Path): number;
  /** The value at `path` as the file spells it (`007`, not 7), when it is a scalar. */
  sourceOf(path: Path): string | undefined;
  /** The same places with another value, in which something was filled in: what the file does not say is where it would stand. */
  withValue(value: unknown): YamlDocument;
}

/** A document, or why there is none. */
export type YamlResult =
  | { readonly ok: true; readonly document: YamlDocument }
  | { readonly ok: false; readonly problems: readonly Problem[] };

/** Reads one document of YAML 1.2 (core schema) of at most 1 MiB. `file` is its name in problems. */
export function readYaml(text: string, file: string): YamlResult {
  const bytes = Buffer.byteLength(text);
  if (bytes > MAX_FILE_BYTES)
    return failed(file, `found ${bytes} bytes; expected at most ${MAX_FILE_BYTES} (1MiB)`);
  const lines = new LineCounter();
  const lineAt = (offset: number): number => Math.max(1, lines.linePos(offset).line);
  // The library's own check for duplicate keys takes minutes on 100,000 keys: the walk does it.
  const documents = parseAllDocuments(text, {
    lineCounter: lines,
    prettyErrors: false,
    uniqueKeys: false,
    version: '1.2',
    schema: 'core',
    merge: false,
    logLevel: 'silent',
  });
  const first: Document.Parsed | undefined = 'empty' in documents ? undefined : documents[0];
  if (first === undefined) return failed(file, 'the file is empty');

  const syntax = [...first.errors, ...first.warnings];
  if (syntax.length > 0) return { ok: false, problems: syntaxProblems(syntax, file, lineAt) };
  const second = documents[1];
  if (second !== undefined) {
    const isKubernetes = ['apiVersion', 'kind'].every((key) => isMap(first.contents) && first.has(key));
    if (isKubernetes) return failed(file, KUBERNETES, 1);
    return failed(file, 'found a second document ("---"); expected one per file', lineAt(second.range[0]));
  }
  if (first.directives.yaml.explicit === true && first.directives.yaml.version !== '1.2')
    return failed(file, `found YAML ${first.directives.yaml.version}; expected YAML 1.2`, 1);
  const root: Node | null = first.contents;
  if (root === null || (isScalar(root) && root.value === null)) return failed(file, 'the file is empty');

  const { value, problems } = walk(root, file, lineAt);
  if (problems.length > 0) return { ok: false, problems };
  return { ok: true, document: new Located(first, root, value, lineAt) };
}

interface SyntaxError {
  readonly code: string;
  readonly message: string;
  readonly pos: readonly [number, number];
}

function syntaxProblems(
  errors: readonly SyntaxError[],
  file: string,
  lineAt: (offset: number) => number,
): Problem[] {
  const tooDeep = errors.find((error) => error.code === 'RESOURCE_EXHAUSTION');
  if (tooDeep !== undefined) return [{ file, line: lineAt(tooDeep.pos[0]), path: '', message: TOO_DEEP }];
  const byText = new Map<string, Problem>();
  for (const error of errors) {
    if (byText.size === MAX_PROBLEMS) break;
    const problem = {
      file,
      line: lineAt(error.pos[0]),
      path: '',
      message: `not valid YAML: ${sentence(error)}`,
    };
    byText.set(`${problem.line} ${problem.message}`, problem);
  }
  return [...byText.values()];
}

function sentence(error: SyntaxError): string {
  if (error.code === 'TAB_AS_INDENT') return 'found a tab as indentation; expected spaces';
  return error.message.charAt(0).toLowerCase() + error.message.slice(1);
}

function failed(file: string, message: string, line?: number): YamlResult {
  return { ok: false, problems: [{ file, ...(line === undefined ? {} : { line }), path: '', message }] };
}

class Located implements YamlDocument {
  constructor(
    private readonly document: Document.Parsed,
    private readonly root: Node,
    readonly value: unknown,
    private readonly lineAt: (offset: number) => number,
  ) {}

  lineOf(path: Path): number {
    return this.lineOfNode(this.find(path).value);
  }

  lineOfKey(path: Path): number {
    return this.lineOfNode(this.find(path).key);
  }

  sourceOf(path: Path): string | undefined {
    const { value, depth } = this.find(path);
    return depth === path.length && isScalar(value) ? value.source : undefined;
  }

  withValue(value: unknown): YamlDocument {
    return new Located(this.document, this.root, value, this.lineAt);
  }

  private lineOfNode(node: Node): number {
    return this.lineAt(node.range?.[0] ?? 0);
  }

  /** Follows `path` as far as it goes. `key` is the key that led to `value`; the root and list items are their own. */
  private find(path: Path): { readonly key: Node; readonly value: Node; readonly depth: number } {
    let found = { key: this.root, value: this.root, depth: 0 };
    for (const step of path) {
      const next = this.child(found.value, step);
      if (next === undefined) break;
      found = { ...next, depth: found.depth + 1 };
    }
    return found;
  }

  private child(node: Node, step: string | number): { key: Node; value: Node } | undefined {
    const parent = isAlias(node) ? node.resolve(this.document) : node;
    if (isSeq(parent) && typeof step === 'number') {
      const item = parent.items[step] as Node | undefined;
      return item === undefined ? undefined : { key: item, value: item };
    }
    if (!isMap(parent)) return undefined;
    const pair = parent.items.find((candidate) => isScalar(candidate.key) && candidate.key.value === step);
    const key = pair?.key as Node | undefined;
    if (key === undefined) return undefined;
    return { key, value: (pair?.value as Node | null | undefined) ?? key };
  }
}
