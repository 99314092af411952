/** `{ key: value }`, or `{}` for undefined: `exactOptionalPropertyTypes` tells an absent option from an undefined one. */
export function present<K extends string, V>(key: K, value: V | undefined): { readonly [P in K]?: V } {
  return value === undefined ? {} : ({ [key]: value } as { readonly [P in K]: V });
}

/** The fields that are not undefined: `present` for several at once. */
export function defined<T extends object>(fields: T): { readonly [P in keyof T]?: Exclude<T[P], undefined> } {
  return Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== undefined)) as T;
}
