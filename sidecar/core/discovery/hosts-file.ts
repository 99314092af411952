import type { KnownAddresses } from './dns-answer.js';

/**
 * The names in a file as hosts(5) has it, in lower case, each with all its addresses: a line is an address, its name and aliases.
 * What is no address is passed over, and so is all after `#`.
 *
 * @param versionOf 4 or 6 of an address, 0 of anything else: `isIP` of `node:net`.
 */
export function readHosts(
  text: string,
  versionOf: (text: string) => number,
): ReadonlyMap<string, KnownAddresses> {
  const hosts = new Map<string, { a: string[]; aaaa: string[] }>();
  for (const line of text.split('\n')) {
    const [address = '', ...names] = line.replace(/#.*/, '').trim().split(/\s+/);
    const version = versionOf(address);
    if (version === 0) continue;
    const type = version === 4 ? 'a' : 'aaaa';
    for (const name of new Set(names.map((each) => each.toLowerCase()))) {
      const known = hosts.get(name) ?? { a: [], aaaa: [] };
      known[type].push(address);
      hosts.set(name, known);
    }
  }
  return hosts;
}
