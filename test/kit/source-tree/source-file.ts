/**
 * What the architecture rules need to know of one source file: what it imports, what it exports by default, which
 * ambient things it uses, and how long it is.
 */
import { readdirSync, readFileSync } from 'node:fs';
import { join, posix } from 'node:path';
import { packageRoot } from '../process/package-root.js';
import { type Token, tokenize } from './tokens.js';

export interface SourceFile {
  /** From the root of the package, with slashes: `sidecar/core/outcome/outcome.ts`. */
  readonly path: string;
  readonly imports: readonly Import[];
  readonly defaultExportLines: readonly number[];
  readonly ambient: readonly AmbientUse[];
  readonly lines: number;
}

/** Stands for the target of an import whose path is not written down, so that a table has to allow it. */
export const COMPUTED = 'a computed path';

export interface Import {
  /** A path like the file's own for relative imports, else the specifier as written. */
  readonly target: string;
  readonly isRelative: boolean;
  readonly line: number;
}

export interface AmbientUse {
  readonly name: string;
  readonly line: number;
}

/** Where TypeScript sources of the project lie. */
export const ROOTS = ['proto', 'services', 'sidecar', 'test', 'tools'];

/** Files of the package below `root` whose path matches, in order; paths from the root of the package, with slashes. */
export function filesBelow(root: string, pattern: RegExp): string[] {
  return readdirSync(join(packageRoot, root), { recursive: true, encoding: 'utf8' })
    .map((name) => `${root}/${name.replaceAll('\\', '/')}`)
    .filter((path) => pattern.test(path) && !path.includes('node_modules'))
    .sort();
}

/** The text of a file of the package. */
export const read = (path: string): string => readFileSync(join(packageRoot, path), 'utf8');

/** Every TypeScript source of the project. */
export function readTree(): SourceFile[] {
  const paths = ROOTS.flatMap((root) => filesBelow(root, /\.ts$/));
  return paths.map((path) => readSourceFile(path, read(path)));
}

/** A tree that is not on disk: sources by their paths. */
export function treeOf(sources: Readonly<Record<string, string>>): SourceFile[] {
  return Object.entries(sources).map(([path, source]) => readSourceFile(path, source));
}

export function readSourceFile(path: string, source: string): SourceFile {
  const tokens = tokenize(source);
  return {
    path,
    imports: importsIn(tokens).map(({ text, line }) => ({ ...resolve(path, text), line })),
    defaultExportLines: defaultExports(tokens),
    ambient: ambientUses(tokens),
    lines: source.split('\n').length - (source.endsWith('\n') ? 1 : 0),
  };
}

function resolve(from: string, specifier: string): { target: string; isRelative: boolean } {
  if (!specifier.startsWith('.')) return { target: specifier, isRelative: false };
  const target = posix.join(posix.dirname(from), specifier).replace(/\.js$/, '.ts');
  return { target, isRelative: true };
}

/** The package of a specifier: `@scope/name/deep` is `@scope/name`. Nothing for Node's own modules. */
export function packageOf(specifier: string): string | undefined {
  if (specifier.startsWith('node:')) return undefined;
  return specifier
    .split('/')
    .slice(0, specifier.startsWith('@') ? 2 : 1)
    .join('/');
}

/** Static and dynamic imports, re-exports, `import('…')` in types, and `require('…')`. */
function importsIn(tokens: readonly Token[]): Token[] {
  return tokens.flatMap((token, i) => {
    if (token.kind !== 'name' || isMember(tokens, i)) return [];
    if (token.text === 'require' || token.text === 'import') {
      const next = tokens[i + 1];
      if (next?.text === '(' && tokens[i + 2]?.kind === 'string') return [tokens[i + 2]!];
      if (next?.text === '(' && token.text === 'import') return [{ ...token, text: COMPUTED }];
      if (token.text === 'import' && next?.kind === 'string') return [next];
    }
    if (token.text === 'import' || token.text === 'export') return clauseSource(tokens, i + 1);
    return [];
  });
}

/** The string after `from`, when a clause of names, braces and stars leads to it. */
function clauseSource(tokens: readonly Token[], start: number): Token[] {
  const isDeclaration = /^(const|let|var|function|class|async|abstract|interface|enum|default|declare)$/;
  if (isDeclaration.test(tokens[start]?.text ?? '')) return [];
  for (let i = start; i < tokens.length; i++) {
    const { kind, text } = tokens[i]!;
    if (kind === 'name' && text === 'from' && tokens[i + 1]?.kind === 'string') return [tokens[i + 1]!];
    const isClause = kind === 'name' || text === '{' || text === '}' || text === ',' || text === '*';
    if (!isClause || (kind === 'mark' && text === '}' && tokens[i + 1]?.text !== 'from')) return [];
  }
  return [];
}

function defaultExports(tokens: readonly Token[]): number[] {
  return tokens.flatMap((token, i) => {
    const isDirect = token.text === 'export' && token.kind === 'name' && tokens[i + 1]?.text === 'default';
    const isRenamed = token.text === 'as' && tokens[i + 1]?.text === 'default' && isInsideExport(tokens, i);
    return (isDirect || isRenamed) && !isMember(tokens, i) ? [token.line] : [];
  });
}

function isInsideExport(tokens: readonly Token[], at: number): boolean {
  for (let i = at; i >= 0; i--) {
    if (tokens[i]!.text === '{') return tokens[i - 1]?.text === 'export';
  }
  return false;
}

const TIMERS = new Set(['setTimeout', 'setInterval', 'setImmediate', 'queueMicrotask']);
const AMBIENT_MODULES = /^node:(timers|timers\/promises|perf_hooks|process|console)$/;

function ambientUses(tokens: readonly Token[]): AmbientUse[] {
  const hasOwnProcess = tokens.some((_, i) => declaresProcess(tokens, i));
  return tokens.flatMap((token, i) => {
    if (token.kind === 'string' && AMBIENT_MODULES.test(token.text))
      return [{ name: token.text, line: token.line }];
    if (token.kind !== 'name' || isMember(tokens, i) || isKey(tokens, i)) return [];
    const name = ambientName(tokens, i, hasOwnProcess);
    return name === undefined ? [] : [{ name, line: token.line }];
  });
}

function ambientName(tokens: readonly Token[], i: number, hasOwnProcess: boolean): string | undefined {
  const { text } = tokens[i]!;
  const next = tokens[i + 1]?.text;
  const member = tokens[i + 2]?.text;
  if (TIMERS.has(text) || text === 'performance' || text === 'console') return text;
  if (text === 'process' && !hasOwnProcess) return text;
  if (text === 'Math' && member === 'random') return 'Math.random';
  if (text !== 'Date') return undefined;
  // `new Date(ms)` and `Date.parse` only convert; the clock is read by `Date.now`, `Date()` and `new Date()`.
  if (next === '.' && member === 'now') return 'Date.now';
  if (next === '(' && (member === ')' || tokens[i - 1]?.text !== 'new')) return 'Date()';
  return tokens[i - 1]?.text === 'new' && next !== '(' ? 'Date()' : undefined;
}

/** Files about processes call their own variable or parameter `process`; then the name is theirs. */
function declaresProcess(tokens: readonly Token[], i: number): boolean {
  if (tokens[i]!.text !== 'process' || tokens[i]!.kind !== 'name') return false;
  const before = tokens[i - 1]?.text ?? '';
  const after = tokens[i + 1]?.text ?? '';
  if (['const', 'let', 'var'].includes(before)) return true;
  return before === '(' && after === ':';
}

/** After a dot: a member, not the global. `...` spreads a value. */
function isMember(tokens: readonly Token[], i: number): boolean {
  const before = tokens[i - 1];
  return before?.kind === 'mark' && (before.text === '.' || before.text === '?.');
}

/** A key of a block or a type: `process: …` or `process?: …`. In `a ? process : b` it is a value. */
function isKey(tokens: readonly Token[], i: number): boolean {
  const before = tokens[i - 1]?.text ?? '';
  const after = tokens[i + 1]?.text;
  const isNamed = after === ':' || (after === '?' && tokens[i + 2]?.text === ':');
  return (
    isNamed && (['{', ',', ';', '(', 'readonly'].includes(before) || tokens[i - 1]!.line < tokens[i]!.line)
  );
}
