import { writeAddress } from '../../config/codecs/address.js';
import type { DnsConfig } from '../../config/model.js';
import type { Answers, KnownAddresses, RecordAnswer } from '../../core/discovery/dns-answer.js';
import { candidatesOf, NameSearch, type SearchResult } from '../../core/discovery/name-search.js';
import type { TimeDeps } from '../../runtime/deps.js';
import type { ResolverFiles } from './resolver-files.js';
import { DnsServers, type RecordType } from './servers.js';

/** One round of queries for a name. */
export interface DnsQuery {
  /** Answers of the record types that were asked for, and the name that they are about. Never rejects. */
  readonly result: Promise<SearchResult>;
  /** Ends it; `result` then resolves with what has come, and with a failure for each type that is still open. */
  cancel(): void;
}

/** Starts a round of queries. @param before the name that was found last time, and whose addresses are in use. */
export type StartQuery = (config: DnsConfig, before?: string) => DnsQuery;

/** Stands for the name that was found. */
const HOSTS_FILE = '/etc/hosts';

/**
 * Rounds that look names up as the C library does: /etc/hosts first, for the name as it is written, then DNS with the search list of
 * resolv.conf, the A and AAAA records of one candidate at a time. Each round has resolvers of its own, so that a changed resolv.conf is seen
 * and nothing is cached.
 */
export function dnsQueries(files: ResolverFiles, deps: TimeDeps): StartQuery {
  return ({ name, family, servers }, before) => {
    const settings = files.settings();
    const types = typesOf(family, settings.isWithoutAaaa);
    const listed = answersOf(files.addressesOf(name.replace(/\.$/, '')), types);
    if (listed !== undefined)
      return { result: Promise.resolve({ answers: listed, found: HOSTS_FILE }), cancel: () => {} };
    const asked = new DnsServers(servers.map(writeAddress), settings, deps);
    const search = new NameSearch(candidatesOf(name, settings), before === HOSTS_FILE ? undefined : before);
    // A query for AAAA records that was not waited for must not outlive the round.
    const result = searchFor(search, types, asked).finally(() => asked.cancel());
    return { result, cancel: () => asked.cancel() };
  };
}

async function searchFor(
  search: NameSearch,
  types: readonly RecordType[],
  servers: DnsServers,
): Promise<SearchResult> {
  for (;;) {
    const name = search.next();
    if (name === undefined) return { answers: tooLong(types) };
    const ask = (type: RecordType): Promise<RecordAnswer> => servers.ask(name, type, search.left);
    const result = search.take(await askAll(types, ask));
    if (result !== undefined) return result;
  }
}

/** A name of which there is no A record because it does not exist has no other record: where AAAA is not answered, that takes no time. */
async function askAll(
  types: readonly RecordType[],
  ask: (type: RecordType) => Promise<RecordAnswer>,
): Promise<Answers> {
  const asked = types.map(async (type) => [type, await ask(type)] as const);
  const [type, first] = await asked[0]!;
  if (type === 'a' && first.kind === 'none' && !first.isName)
    return Object.fromEntries(types.map((each) => [each, first]));
  return Object.fromEntries(await Promise.all(asked));
}

function typesOf(family: DnsConfig['family'], isWithoutAaaa: boolean): readonly RecordType[] {
  if (family === 'ipv6') return ['aaaa'];
  return family === 'ipv4' || isWithoutAaaa ? ['a'] : ['a', 'aaaa'];
}

/** What the file has of these types; undefined: no address, so that DNS is asked. */
function answersOf(known: KnownAddresses | undefined, types: readonly RecordType[]): Answers | undefined {
  if (known === undefined || types.every((type) => known[type].length === 0)) return undefined;
  const answerOf = (addresses: readonly string[]): RecordAnswer =>
    addresses.length > 0
      ? { kind: 'addresses', addresses }
      : { kind: 'none', why: 'the name has no address', isName: true };
  return Object.fromEntries(types.map((type) => [type, answerOf(known[type])]));
}

/** Every candidate is longer than a name can be. */
function tooLong(types: readonly RecordType[]): Answers {
  const answer: RecordAnswer = { kind: 'failed', why: 'the name is longer than 253 bytes' };
  return Object.fromEntries(types.map((type) => [type, answer]));
}
