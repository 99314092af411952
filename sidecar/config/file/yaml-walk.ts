/**
 * From YAML nodes to plain values, in one bounded and strict pass.
 *
 * The library's own `toJS` will not do: aliases multiply, nesting recurses and duplicates pass. Keys must be text,
 * each once; tags are refused; what an alias stands for counts every time it is used. Maps become objects without
 * a prototype.
 */
import { type Alias, isAlias, isMap, isScalar, isSeq, type Node, type YAMLMap, type YAMLSeq } from 'yaml';
import { quoted } from '../codecs/parse-result.js';
import { formatPath, type Path, type Problem } from '../problem.js';

const MAX_DEPTH = 32;
/** Values, after every alias has been followed. */
const MAX_VALUES = 100_000;
const MAX_PROBLEMS = 20;

/** The problem of a file that nests deeper than 32 levels. */
export const TOO_DEEP = `nested too deep; expected at most ${MAX_DEPTH} levels`;
const PLAIN_TAGS = new Set(
  ['str', 'int', 'float', 'bool', 'null', 'map', 'seq'].map((name) => `tag:yaml.org,2002:${name}`),
);

/** When a bound is passed, that is the only problem and the value means nothing. */
export function walk(
  root: Node,
  file: string,
  lineAt: (offset: number) => number,
): { readonly value: unknown; readonly problems: readonly Problem[] } {
  const pass = new Pass(file, lineAt);
  const value = pass.valueOf(root, []);
  return { value, problems: pass.problems };
}

class Pass {
  problems: Problem[] = [];
  private halted = false;
  private values = 0;
  /** Nodes by anchor as seen so far: an alias points backwards only. */
  private readonly anchors = new Map<string, Node>();
  /** Collections being walked: an alias to one of them would be endless. */
  private readonly open = new Set<Node>();

  constructor(
    private readonly file: string,
    private readonly lineAt: (offset: number) => number,
  ) {}

  valueOf(node: Node | null, path: Path): unknown {
    if (node === null || this.halted) return null;
    this.values += 1;
    if (this.values > MAX_VALUES)
      return this.halt(node, path, `more than ${MAX_VALUES} values once aliases are followed`);
    if (path.length > MAX_DEPTH) return this.halt(node, path, TOO_DEEP);
    if (isAlias(node)) return this.followed(node, path);
    if (!isScalar(node) && !isMap(node) && !isSeq(node)) return null;
    if (node.anchor !== undefined) this.anchors.set(node.anchor, node);
    if (node.tag !== undefined && !PLAIN_TAGS.has(node.tag))
      return this.note(node, path, `found the tag ${quoted(node.tag)}; expected a plain value`);
    if (isScalar(node)) return node.value;
    this.open.add(node);
    const value = isMap(node) ? this.mapOf(node, path) : this.listOf(node, path);
    this.open.delete(node);
    return value;
  }

  private followed(alias: Alias, path: Path): unknown {
    const target = this.anchors.get(alias.source);
    if (target === undefined)
      return this.note(
        alias,
        path,
        `found the alias "*${alias.source}"; expected an anchor "&${alias.source}" before it`,
      );
    if (this.open.has(target))
      return this.note(alias, path, `found the alias "*${alias.source}" inside what it stands for`);
    return this.valueOf(target, path);
  }

  private mapOf(node: YAMLMap, path: Path): Record<string, unknown> {
    const value: Record<string, unknown> = Object.create(null);
    for (const pair of node.items) {
      if (this.halted) break;
      const key = pair.key as Node | null;
      if (!isScalar(key) || typeof key.value !== 'string' || key.value === '__proto__') {
        const shown = isScalar(key) && key.source !== undefined ? ` ${quoted(key.source)}` : '';
        this.note(
          key ?? node,
          path,
          `found the key${shown}; expected a name, in quotes if it looks like a number`,
        );
      } else if (Object.hasOwn(value, key.value)) {
        this.note(key, [...path, key.value], 'found a second time; expected each key once');
      } else {
        value[key.value] = this.valueOf(pair.value as Node | null, [...path, key.value]);
      }
    }
    return value;
  }

  private listOf(node: YAMLSeq, path: Path): unknown[] {
    const list: unknown[] = [];
    for (const item of node.items) {
      if (this.halted) break;
      list.push(this.valueOf(item as Node | null, [...path, list.length]));
    }
    return list;
  }

  private note(node: Node, path: Path, message: string): null {
    if (this.halted) return null;
    this.problems.push({
      file: this.file,
      line: this.lineAt(node.range?.[0] ?? 0),
      path: formatPath(path),
      message,
    });
    this.halted = this.problems.length >= MAX_PROBLEMS;
    return null;
  }

  private halt(node: Node, path: Path, message: string): null {
    this.problems = [];
    this.note(node, path, message);
    this.halted = true;
    return null;
  }
}
