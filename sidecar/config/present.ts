/** `{ key: value }`, or `{}` for undefined: `exactOptionalPropertyTypes` tells an absent option from an undefined one. */
export function present<K extends string, V>(key: K, value: V | undefined): { readonly [P in K]?: V } {
  return value === undefined ? {} : ({ [key]: value } as { readonly [P in K]: V });
}
