import type { HeaderEdits } from '../core/routing/header-edits.js';
import { type HeaderField, makeField } from '../http2/hpack/field.js';
import { HeaderBlock, StableList } from '../http2/hpack/header-list.js';

/** Changes header lists as a rule says; its fields are made once. */
export class HeaderEditor {
  private readonly removed: ReadonlySet<string>;
  private readonly added: readonly HeaderField[];

  constructor({ remove, set, add }: HeaderEdits) {
    this.removed = new Set([...remove, ...set.map(([name]) => name)]);
    this.added = [...set, ...add].map(([name, value]) => makeField(name, value));
  }

  /** The same request with other headers. */
  request(block: HeaderBlock): HeaderBlock {
    const { bytes, count, overLimit, misordered } = block;
    const extras = this.extras(block.extras);
    return new HeaderBlock(this.list(block.stable), extras, bytes, count, overLimit, misordered);
  }

  /** The stable part, with what is added. */
  list(list: StableList): StableList {
    return StableList.of([...this.extras(list.toFields()), ...this.added]);
  }

  /** The fields that stay. */
  extras(fields: readonly HeaderField[]): readonly HeaderField[] {
    return fields.some(({ name }) => this.removed.has(name))
      ? fields.filter(({ name }) => !this.removed.has(name))
      : fields;
  }
}
