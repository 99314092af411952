import { Resolver } from 'node:dns/promises';
import { writeAddress } from '../../config/codecs/address.js';
import type { DnsConfig } from '../../config/model.js';
import type { RecordAnswer } from '../../core/discovery/dns-answer.js';

/** One round of queries for a name. */
export interface DnsQuery {
  /** Answers of the record types that were asked for. Never rejects. */
  readonly answers: Promise<{ readonly a?: RecordAnswer; readonly aaaa?: RecordAnswer }>;
  /** Ends it; `answers` then resolves with what has come, and with a failure for each type that is still open. */
  cancel(): void;
}

/** Starts a round of queries. */
export type StartQuery = (config: DnsConfig) => DnsQuery;

/** A lost datagram is noticed after this long, ms; the next try waits about twice as long. */
const TRY_MS = 1_000;
const TRIES = 2;

/** What a server says with authority, and how it is called there. */
const NONE: Readonly<Record<string, string>> = {
  ENOTFOUND: 'there is no such name (NXDOMAIN)',
  ENODATA: 'the name has no address',
};

/** What is no word about the name. Other codes are shown as they are. */
const FAILED: Readonly<Record<string, string>> = {
  ETIMEOUT: 'no DNS server answered in time',
  ECONNREFUSED: 'no DNS server listens there',
  ESERVFAIL: 'the DNS server could not find out (SERVFAIL)',
  EREFUSED: 'the DNS server refuses (REFUSED)',
  EBADRESP: 'the answer of the DNS server makes no sense',
  ECANCELLED: 'no DNS server answered in time',
};

/**
 * Asks for the A and AAAA records of a name by c-ares, as Envoy and gRPC do: it takes no thread of libuv's pool, as `dns.lookup`
 * does, tells a name without addresses from a server without an answer, and can be ended. Long answers come by TCP. /etc/hosts and the
 * search list are not read. Each round has a resolver of its own, so that a changed resolv.conf is seen and nothing is cached.
 */
export const queryDns: StartQuery = ({ name, family, servers }) => {
  const resolver = new Resolver({ timeout: TRY_MS, tries: TRIES });
  if (servers.length > 0) resolver.setServers(servers.map(writeAddress));
  const ask = async () => ({
    ...(family === 'ipv6' ? {} : { a: outcomeOf(resolver.resolve4(name)) }),
    ...(family === 'ipv4' ? {} : { aaaa: outcomeOf(resolver.resolve6(name)) }),
  });
  return {
    answers: ask().then(async ({ a, aaaa }) => ({
      ...(a && { a: await a }),
      ...(aaaa && { aaaa: await aaaa }),
    })),
    cancel: () => resolver.cancel(),
  };
};

async function outcomeOf(records: Promise<string[]>): Promise<RecordAnswer> {
  try {
    return { kind: 'addresses', addresses: await records };
  } catch (error) {
    const { code = '', message } = error as NodeJS.ErrnoException;
    const none = NONE[code];
    return none === undefined
      ? { kind: 'failed', why: FAILED[code] ?? (code || message) }
      : { kind: 'none', why: none };
  }
}
