/** A Map or WeakMap. */
interface Insertable<K, V> {
  get(key: K): V | undefined;
  set(key: K, value: V): unknown;
}

/** The value of `key`; where there is none, the one that `make` returns, which the map keeps from then on. */
export function getOrInsert<K, V>(map: Insertable<K, V>, key: K, make: () => V): V {
  const known = map.get(key);
  if (known !== undefined) return known;
  const made = make();
  map.set(key, made);
  return made;
}
