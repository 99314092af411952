/** Reading and changing a document of Kubernetes in place, so that comments and quotes stay. */
import {
  Document,
  isAlias,
  isCollection,
  isMap,
  isNode,
  isPair,
  isScalar,
  isSeq,
  LineCounter,
  type Node,
  type Pair,
  parseAllDocuments,
  type ScalarTag,
  visit,
  type YAMLMap,
} from 'yaml';

export {
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
};

/** A place in a document: keys, and positions in lists. */
export type Path = readonly (string | number)[];

/** Sets a value. Maps on the way that are missing or empty (`metadata:`) are made. */
export function setAt(document: Document, path: Path, value: unknown): void {
  for (let length = 1; length < path.length; length++) {
    const above = path.slice(0, length);
    const node = document.getIn(above, true);
    if (isScalar(node) && node.value === null) document.deleteIn(above);
  }
  document.setIn(path, value);
}

/** What stands at a place in place of a list, or of a map; undefined: one of them, or nothing. */
export function otherThan(kind: 'list' | 'map', document: Document, path: Path): string | undefined {
  const found = document.getIn(path);
  if (found === undefined || found === null || (kind === 'list' ? isSeq(found) : isMap(found)))
    return undefined;
  return `${written(path)}: found ${shown(found)}; expected a ${kind}`;
}

/** Adds to a list, which is made where there is none; a native sidecar goes before the init containers that may call. */
export function append(document: Document, path: Path, values: readonly object[], first: boolean): void {
  const list = document.getIn(path);
  const nodes = values.map((value) => document.createNode(value));
  if (!isSeq(list)) document.setIn(path, document.createNode(values));
  else if (first) list.items.unshift(...nodes);
  else list.items.push(...nodes);
}

export function itemsAt(document: Document, path: Path): readonly unknown[] {
  const list = document.getIn(path);
  return isSeq(list) ? list.items : [];
}

export function textAt(document: Document, path: Path): string | undefined {
  const value = document.getIn(path);
  return typeof value === 'string' ? value : undefined;
}

export function numberAt(document: Document, path: Path): number | undefined {
  const value = document.getIn(path);
  return typeof value === 'number' ? value : undefined;
}

/** Such as `items[0].spec.containers`. */
export function written(path: Path): string {
  return path
    .map((step) => (typeof step === 'number' ? `[${step}]` : `.${step}`))
    .join('')
    .slice(1);
}

export function shown(node: unknown): string {
  if (node === undefined || node === null) return 'none';
  if (isSeq(node)) return node.items.length === 0 ? 'an empty list' : 'a list';
  if (isMap(node)) return 'a map';
  return JSON.stringify(isScalar(node) ? node.value : node);
}

/** As in YAML 1.1, which Kubernetes reads: mode 0440 is octal. To YAML 1.2 it is decimal, and would be written as 440. */
const OCTAL: ScalarTag = {
  identify: (value) => typeof value === 'number',
  default: true,
  tag: 'tag:yaml.org,2002:int',
  format: 'OCTAL',
  test: /^0[0-7]+$/,
  resolve: (text) => Number.parseInt(text, 8),
  stringify: ({ value }) => `0${(value as number).toString(8)}`,
};

/** Undefined: the text has none. An invalid document has `errors`. */
export function readDocuments(source: string): readonly Document[] | undefined {
  const documents = parseAllDocuments(source, {
    lineCounter: new LineCounter(),
    keepSourceTokens: true,
    customTags: (tags) => [OCTAL, ...tags],
  });
  return Array.isArray(documents) ? (documents as Document[]) : undefined;
}

export function documentOf(object: object): Document {
  return new Document(object);
}

/** Lists stand below their key at the same column in most files of Kubernetes, indented in others: as the file has it. */
export function writeDocuments(documents: readonly Document[], source: string): string {
  const indentSeq = !/^( *)[^\s#-][^\n]*:[ ]*\n\1- /m.test(source);
  return documents
    .map((document, i) => {
      const text = document.toString({ indentSeq, lineWidth: 0 });
      return i === 0 || text.startsWith('---') ? text : `---\n${text}`;
    })
    .join('');
}
