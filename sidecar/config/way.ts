/**
 * The names on a shortest way through a graph, both ends included; undefined: there is none.
 *
 * @param next the names that one leads to.
 */
export function routeFrom(
  from: string,
  to: string,
  next: (name: string) => Iterable<string>,
): string[] | undefined {
  const cameFrom = new Map<string, string | undefined>([[from, undefined]]);
  for (const name of cameFrom.keys()) {
    if (name === to) {
      const way: string[] = [];
      for (let at: string | undefined = to; at !== undefined; at = cameFrom.get(at)) way.unshift(at);
      return way;
    }
    for (const other of next(name)) if (!cameFrom.has(other)) cameFrom.set(other, name);
  }
  return undefined;
}
