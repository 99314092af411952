/**
 * Aliases and merge keys of a YAML document, written out. A list behind an alias is not there for whoever looks at its place, and a list with an
 * anchor is that of several places: what is added to one of them would be added to all.
 */
import {
  type Document,
  isAlias,
  isCollection,
  isMap,
  isNode,
  isPair,
  isScalar,
  isSeq,
  type Node,
  type Pair,
  visit,
  type YAMLMap,
} from './kubernetes-yaml.js';

/** As go-yaml, which Kubernetes uses, it ends what would fill the memory. */
const MOST_NODES = 100_000;

/** Whether `expandAliases` would change anything. */
export function hasAliases(document: Document): boolean {
  let found = false;
  visit(document, {
    Alias: () => {
      found = true;
      return visit.BREAK;
    },
    Pair: (_, pair) => {
      if (!isMergeKey(pair)) return undefined;
      found = true;
      return visit.BREAK;
    },
  });
  return found;
}

/**
 * The same document without aliases and merge keys. Comments and the form of what it already has stay.
 * @returns what is wrong in place of it, `found …; expected …`.
 */
export function expandAliases(document: Document): Document | string {
  const copy = document.clone();
  try {
    const { contents } = copy;
    if (contents !== null) copy.contents = new Expansion().expand(contents as Node) as typeof contents;
    return copy;
  } catch (error) {
    if (error instanceof AliasError) return error.message;
    throw error;
  }
}

class AliasError extends Error {}

class Expansion {
  /** By name, the last one that has it; `open`: the place is within it. */
  private readonly anchors = new Map<string, Node | 'open'>();
  private added = 0;

  expand(node: Node): Node {
    if (isAlias(node)) return this.copyOf(node.source);
    const { anchor } = node as { anchor?: string };
    if (anchor !== undefined) this.anchors.set(anchor, 'open');
    if (isMap(node)) {
      for (const pair of node.items) {
        if (isNode(pair.key)) pair.key = this.expand(pair.key);
        if (isNode(pair.value)) pair.value = this.expand(pair.value);
      }
      merge(node);
    } else if (isSeq(node))
      node.items = node.items.map((each) => {
        // Of `[a: 1]`.
        if (!isPair(each)) return isNode(each) ? this.expand(each) : each;
        if (isNode(each.value)) each.value = this.expand(each.value);
        return each;
      });
    if (anchor !== undefined) this.anchors.set(anchor, node);
    return node;
  }

  private copyOf(name: string): Node {
    const found = this.anchors.get(name);
    if (found === undefined) throw new AliasError(`found the alias *${name}; expected &${name} before it`);
    if (found === 'open')
      throw new AliasError(`found the alias *${name} within &${name}; expected it elsewhere`);
    const copy = found.clone() as Node;
    visit(copy, (_, node) => {
      this.added += 1;
      if (isCollection(node) || isScalar(node)) delete node.anchor;
      if (this.added <= MOST_NODES) return;
      throw new AliasError(`found aliases of more than ${MOST_NODES} nodes; expected fewer`);
    });
    return copy;
  }
}

function isMergeKey({ key }: Pair): boolean {
  return isScalar(key) && key.value === '<<' && key.type === 'PLAIN';
}

/** Takes in what merge keys bring (YAML 1.1, and Kubernetes): keys of the map itself win, then those of the first map that is named. */
function merge(map: YAMLMap): void {
  const own = map.items.filter((pair) => !isMergeKey(pair as Pair));
  if (own.length === map.items.length) return;
  const has = new Set(own.map(keyOf));
  map.items = map.items.flatMap((pair) => {
    if (!isMergeKey(pair as Pair)) return [pair];
    const { value } = pair;
    return (isSeq(value) ? value.items : [value]).flatMap((from) => {
      if (!isMap(from))
        throw new AliasError('found a merge key << without a map; expected a map, or a list of maps');
      return from.items.filter((each) => {
        const key = keyOf(each);
        const isNew = !has.has(key);
        has.add(key);
        return isNew;
      });
    });
  });
}

function keyOf({ key }: Pair<unknown, unknown>): unknown {
  return isScalar(key) ? key.value : key;
}
