/** Why the model that a message names cannot be read, each as the end of a sentence. */

import { MAX_INFLATED_BYTES } from '../relay/inflate-prefix.js';
import { MAX_SEARCHED_BYTES, Naming, type ReadingScope } from '../relay/named-model/model-name.js';

export const NO_MESSAGE = 'the bytes are not a message';
const TWICE = 'the message names more than one model, or goes on with what is no message';
export const UNCLEAR: Readonly<Record<ReadingScope, string>> = {
  beginning: TWICE,
  whole: TWICE,
  versions:
    'the message names more than one model, has a version after other fields, or goes on with what is no message',
};
export const TOO_LONG = `the compressed message has more than ${MAX_INFLATED_BYTES} bytes, and may name another model further on`;
export const TOO_LATE = `it is not within the first ${MAX_SEARCHED_BYTES} bytes of the message`;
export const NO_ROOM = 'there is no memory to inflate the message';

/** It is compressed by a method that is not read here. */
export function otherEncoding(encoding: string): string {
  return `the message is compressed as '${encoding.slice(0, 40)}'; gzip and deflate can be read`;
}

/** It is said to be compressed by this method, and is not. */
export function notEncoded(encoding: string): string {
  return `the bytes are not compressed as '${encoding}'`;
}

/** Why a message that has been read so far could be for any model; empty: it names one or none, or is not judged by this. */
export function problemIn(naming: Naming): string {
  if (naming === Naming.malformed) return NO_MESSAGE;
  return naming === Naming.tooLate ? TOO_LATE : '';
}
