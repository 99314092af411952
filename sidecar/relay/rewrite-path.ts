/** A request whose path a rule replaces on its way out. */

import { type Field, makeField } from '../http2/hpack/field.js';
import { HeaderBlock, StableList } from '../http2/hpack/header-list.js';
import { Token } from '../http2/hpack/tokens.js';

/** Paths remembered as fields: the same one recurs with every call of its method. */
const REMEMBERED_PATHS = 1024;

export class PathFields {
  private readonly fields = new Map<string, Field>();

  /** The same request with another `:path`. */
  rewritten(block: HeaderBlock, path: string): HeaderBlock {
    const field = this.fieldOf(path);
    const change = (each: Field): Field => (each.token === Token.path ? field : each);
    let list = StableList.root();
    for (const each of block.stable.toFields()) list = list.with(change(each));
    const extras = block.extras.map(change);
    return new HeaderBlock(list, extras, block.bytes, block.count, block.overLimit, block.misordered);
  }

  private fieldOf(path: string): Field {
    let field = this.fields.get(path);
    if (field === undefined) {
      field = makeField(':path', path);
      if (this.fields.size < REMEMBERED_PATHS) this.fields.set(path, field);
    }
    return field;
  }
}
