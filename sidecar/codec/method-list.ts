/**
 * What a sidecar tells the sidecars of callers of the methods of its model: `outrider.v1.Methods/List`, an empty request, and a message
 * with the paths of unary methods in field 1 and of streams in field 2, each repeated.
 */

import { fieldsOf, MessageWriter } from './protobuf.js';

/** Methods by what their service says of them, as paths; a method that is in neither list is not described. */
export interface MethodList {
  /** One message is answered by one. */
  readonly unary: readonly string[];
  /** The caller, the service or both may send several. */
  readonly streaming: readonly string[];
}

/** Methods of one list, at most. */
export const MAX_LISTED = 256;
const PATH = /^\/\w+(?:\.\w+)*\/\w+$/;

/** Answered by the sidecar, never by the model. */
export const LIST_METHODS = '/outrider.v1.Methods/List';

/** Longest list that is sent or read, bytes: that of 256 methods with long names. */
export const MAX_LIST_BYTES = 64 * 1024;

/** A list within the bound; methods beyond it are left out, and their callers know nothing of them. */
export function writeMethodList({ unary, streaming }: MethodList): Buffer {
  const list = new MessageWriter();
  let left = MAX_LIST_BYTES;
  const write = (field: number, paths: readonly string[]): void => {
    for (const path of paths) {
      left -= path.length + 4;
      if (left >= 0) list.text(field, path);
    }
  };
  write(1, unary);
  write(2, streaming);
  return list.finish();
}

/** Undefined: it is no such message. Paths that are none are left out. */
export function readMethodList(bytes: Buffer): MethodList | undefined {
  const unary: string[] = [];
  const streaming: string[] = [];
  try {
    for (const field of fieldsOf(bytes)) {
      if (field.type !== 'bytes' || field.number > 2) continue;
      const path = field.value.toString('utf8');
      if (!PATH.test(path) || unary.length + streaming.length >= MAX_LISTED) continue;
      (field.number === 1 ? unary : streaming).push(path);
    }
  } catch {
    return undefined;
  }
  return { unary, streaming };
}
