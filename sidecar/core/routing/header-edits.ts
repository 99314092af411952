/** What a rule does to the headers of a request or a response, in this order (Envoy's `HeaderMutation`s, Consul's `HTTPHeaderModifiers`). */
export interface HeaderEdits {
  /** Names, lower case, all of whose values go. */
  readonly remove: readonly string[];
  /** Replaces all values of the name. */
  readonly set: readonly NameValue[];
  /** One more value beside those there are. */
  readonly add: readonly NameValue[];
}

export type NameValue = readonly [name: string, value: string];

/** The edits that do what `first` and then `second` would. Undefined: neither does anything. */
export function mergeEdits(
  first: HeaderEdits | undefined,
  second: HeaderEdits | undefined,
): HeaderEdits | undefined {
  if (first === undefined || second === undefined) return first ?? second;
  const replaced = new Set([...second.remove, ...second.set.map(([name]) => name)]);
  // What is set or added first goes where the second edit removes or sets the same name.
  const left = (values: readonly NameValue[]) => values.filter(([name]) => !replaced.has(name));
  return {
    remove: [...new Set([...first.remove, ...second.remove])],
    set: [...left(first.set), ...second.set],
    add: [...left(first.add), ...second.add],
  };
}

/** Fields that HTTP/2 and gRPC give a meaning of their own, or that sidecars speak to each other with. */
const RESERVED =
  /^(?::|grpc-|outrider-|(?:host|te|connection|content-type|content-length|transfer-encoding|upgrade)$)/;
/** RFC 9110 section 5.6.2, in lower case as HTTP/2 has it. */
const NAME = /^[a-z0-9!#$%&'*+.^_`|~-]+$/;
const VALUE = /^(?:[!-~](?:[ -~]*[!-~])?)?$/;

/** Why a rule may not change this header; undefined: it may. @param name in lower case. */
export function whyNotEdited(name: string, value = ''): string | undefined {
  if (RESERVED.test(name)) return 'it belongs to HTTP/2, gRPC or the mesh';
  if (!NAME.test(name)) return 'no header has such a name';
  return VALUE.test(value) ? undefined : 'no header has such a value';
}
