import type { HeaderField } from './field.js';

/** Nodes of one trie. */
export const MAX_TRIE_NODES = 4096;

class Trie {
  readonly root: StableList = new StableList(null, null, this);
  nodes = 0;
  retired = false;

  /** Removes the children of all nodes, so that a reference to a node keeps its ancestors only. */
  retire(): void {
    this.retired = true;
    const open: StableList[] = [this.root];
    for (let node = open.pop(); node !== undefined; node = open.pop()) node.detachChildren(open);
  }
}

/**
 * The fields of a header list that repeat from call to call, as a node of a trie: the same sequence is the same object, so
 * that work on it is done once and memoised here. The trie is bounded: when it is full a new one begins, and old nodes
 * live as long as they are referenced.
 */
export class StableList {
  readonly count: number;
  /** Sum of the sizes of its fields (RFC 9113 10.5.1). */
  readonly bytes: number;
  /** Whether a pseudo-header follows a regular field (malformed by RFC 9113 section 8.3). */
  readonly misordered: boolean;
  /** Whether any field is a regular one. */
  readonly hasRegular: boolean;
  /** Memo of header-view.ts. */
  view: unknown = null;
  /** Memo of the relay: the rewritten list. */
  slot: unknown = null;
  /** The block with these fields and no extras; made by the decoder. */
  block: HeaderBlock | null = null;
  readonly #trie: Trie;
  #lastField: HeaderField | null = null;
  #lastChild: StableList | null = null;
  #children: Map<HeaderField, StableList> | null = null;
  #fields: HeaderField[] | null = null;

  constructor(
    readonly parent: StableList | null,
    readonly field: HeaderField | null,
    trie: Trie,
  ) {
    this.count = parent === null ? 0 : parent.count + 1;
    this.bytes = (parent?.bytes ?? 0) + (field?.size ?? 0);
    const pseudo = field?.info.pseudo === true;
    this.hasRegular = parent?.hasRegular === true || (field !== null && !pseudo);
    this.misordered = parent?.misordered === true || (pseudo && parent?.hasRegular === true);
    this.#trie = trie;
  }

  /** The empty list of the current trie. */
  static root(): StableList {
    if (current.nodes >= MAX_TRIE_NODES) StableList.beginAnew();
    return current.root;
  }

  /** Leaves the trie to those who hold a list of it. */
  static beginAnew(): void {
    current.retire();
    current = new Trie();
  }

  /** The list of these fields, in this order. */
  static of(fields: readonly HeaderField[]): StableList {
    return fields.reduce((list, field) => list.with(field), StableList.root());
  }

  /** This list with one more field at its end; the same object for the same field while the trie lasts. */
  with(field: HeaderField): StableList {
    return field === this.#lastField ? this.#lastChild! : this.#find(field);
  }

  #find(field: HeaderField): StableList {
    const trie = this.#trie;
    let child = this.#children?.get(field);
    if (child === undefined) {
      child = new StableList(this, field, trie);
      if (trie.retired || trie.nodes >= MAX_TRIE_NODES) return child;
      trie.nodes++;
      // The first child needs no map.
      if (this.#lastChild !== null) {
        this.#children ??= new Map([[this.#lastField!, this.#lastChild]]);
        this.#children.set(field, child);
      }
    }
    this.#lastField = field;
    this.#lastChild = child;
    return child;
  }

  /** The fields in order; the same array each time, not to be changed. */
  toFields(): HeaderField[] {
    if (this.#fields === null) {
      const fields = new Array<HeaderField>(this.count);
      for (let node: StableList = this; node.field !== null; node = node.parent!)
        fields[node.count - 1] = node.field;
      this.#fields = fields;
    }
    return this.#fields;
  }

  /** @internal Removes the children and appends them to `into`. */
  detachChildren(into: StableList[]): void {
    if (this.#children !== null) into.push(...this.#children.values());
    else if (this.#lastChild !== null) into.push(this.#lastChild);
    this.#children = null;
    this.#lastChild = null;
    this.#lastField = null;
    this.block = null;
  }
}

/** Bytes of a whole list, by RFC 9113 section 10.5.1. */
export function listBytes(list: StableList, extras: readonly HeaderField[]): number {
  let { bytes } = list;
  for (let at = 0; at < extras.length; at++) bytes += extras[at]!.size;
  return bytes;
}

let current = new Trie();

const NO_FIELDS: readonly HeaderField[] = Object.freeze([]);

/** One decoded header block: the stable list and the fields that vary. Immutable; blocks without extras are shared. */
export class HeaderBlock {
  /** Fields that vary from call to call, in the order received. Fields of one name keep their order: stable first. */
  readonly extras: readonly HeaderField[];
  /** Memo of header-view.ts: asked for a dozen times in a call. */
  view: unknown = null;

  constructor(
    readonly stable: StableList,
    extras: readonly HeaderField[] | null,
    /** Size of the whole list as sent, by RFC 9113 section 10.5.1. */
    readonly bytes: number,
    readonly count: number,
    /** Above the limits: the fields beyond them are counted and not kept, but one `grpc-status`. */
    readonly overLimit: boolean,
    /** A pseudo-header follows a regular field: malformed by RFC 9113 section 8.3. */
    readonly misordered: boolean,
  ) {
    this.extras = extras ?? NO_FIELDS;
  }
}
