import { Resolver } from 'node:dns/promises';
import type { RecordAnswer } from '../../core/discovery/dns-answer.js';

/** What is asked for. */
export type RecordType = 'a' | 'aaaa';

/** A round of queries that takes longer is ended, ms. */
export const ROUND_LIMIT_MS = 5_000;

/** How long, and how often. */
export interface Patience {
  /** For one server in the first turn, ms; less where not all of them could be asked in half of a round. Twice as long in the next turn. */
  readonly tryMs: number;
  /** Turns through the servers. */
  readonly tries: number;
}

const NO_ADDRESS = { why: 'the name has no address', isName: true } as const;
/** What a server says with authority, and how it is called there. */
const NONE: Readonly<Record<string, { readonly why: string; readonly isName: boolean }>> = {
  ENOTFOUND: { why: 'there is no such name (NXDOMAIN)', isName: false },
  ENODATA: NO_ADDRESS,
};

/** What is no word about the name. Other codes are shown as they are. */
const FAILED: Readonly<Record<string, string>> = {
  ETIMEOUT: 'no DNS server answered in time',
  ECONNREFUSED: 'no DNS server listens there',
  ESERVFAIL: 'the DNS server could not find out (SERVFAIL)',
  EREFUSED: 'the DNS server refuses (REFUSED)',
  ENOTIMP: 'the DNS server does not do that (NOTIMP)',
  EFORMERR: 'the DNS server does not understand the query (FORMERR)',
  EBADRESP: 'the answer of the DNS server makes no sense',
  ECANCELLED: 'no DNS server answered in time',
};
const SILENCE: ReadonlySet<string> = new Set(['ETIMEOUT', 'ECONNREFUSED']);

/**
 * The DNS servers of one round, asked one at a time by c-ares, as Envoy and gRPC do: it takes no thread of libuv's pool, as `dns.lookup`
 * does, tells a name without addresses from a server without an answer, and can be ended. Long answers come by TCP, and an answer to another
 * question is not taken.
 *
 * Node has c-ares give out SERVFAIL and REFUSED as answers. As in the C library and in c-ares by itself the next server is asked
 * here: a failure says nothing of the name. NXDOMAIN is an answer. A server that was silent is the last to be asked for the rest of the round.
 */
export class DnsServers {
  private readonly servers: readonly (string | undefined)[];
  private readonly tryMs: number;
  private readonly silent = new Set<string | undefined>();
  private readonly resolvers = new Map<string, Resolver>();
  private isCancelled = false;

  /** @param servers as `setServers` has them; empty: those of resolv.conf, as c-ares reads it. */
  constructor(
    servers: readonly string[],
    private readonly patience: Patience,
  ) {
    this.servers = servers.length > 0 ? servers : serversOfMachine();
    this.tryMs = Math.min(patience.tryMs, ROUND_LIMIT_MS / 2 / this.servers.length);
  }

  /** Never rejects. */
  async ask(name: string, type: RecordType): Promise<RecordAnswer> {
    const whys = new Map<string | undefined, string>();
    let waiting = [...this.servers].sort((a, b) => Number(this.silent.has(a)) - Number(this.silent.has(b)));
    for (let turn = 0; turn < this.patience.tries && waiting.length > 0 && !this.isCancelled; turn++) {
      const asked = waiting;
      waiting = [];
      for (const server of asked) {
        const answer = await this.askOne(this.resolverOf(server, turn), name, type);
        if (!('code' in answer)) return answer;
        whys.set(server, FAILED[answer.code] ?? answer.code);
        if (this.isCancelled) return { kind: 'failed', why: this.whyOf(whys) };
        if (!SILENCE.has(answer.code)) continue;
        this.silent.add(server);
        waiting.push(server);
      }
    }
    return { kind: 'failed', why: this.whyOf(whys) };
  }

  /** Ends every query. */
  cancel(): void {
    this.isCancelled = true;
    for (const resolver of this.resolvers.values()) resolver.cancel();
  }

  private async askOne(
    resolver: Resolver,
    name: string,
    type: RecordType,
  ): Promise<RecordAnswer | { readonly code: string }> {
    try {
      const addresses = await (type === 'a' ? resolver.resolve4(name) : resolver.resolve6(name));
      // Aliases alone, as those that lead in a circle: c-ares has no error for that.
      return addresses.length > 0 ? { kind: 'addresses', addresses } : { kind: 'none', ...NO_ADDRESS };
    } catch (error) {
      const { code = '', message } = error as NodeJS.ErrnoException;
      const none = NONE[code];
      return none === undefined ? { code: code || message } : { kind: 'none', ...none };
    }
  }

  private resolverOf(server: string | undefined, turn: number): Resolver {
    const key = `${turn} ${server}`;
    const known = this.resolvers.get(key);
    if (known !== undefined) return known;
    const resolver = new Resolver({ timeout: Math.floor(this.tryMs * 2 ** turn), tries: 1 });
    if (server !== undefined) resolver.setServers([server]);
    this.resolvers.set(key, resolver);
    return resolver;
  }

  /** Of several servers each with its reason. */
  private whyOf(whys: ReadonlyMap<string | undefined, string>): string {
    const all = [...new Set(whys.values())];
    if (all.length < 2) return all[0] ?? FAILED['ECANCELLED']!;
    return [...whys].map(([server, why]) => `${why} [${server}]`).join('; ');
  }
}

/**
 * Undefined is c-ares with all of them: an address of one link has a zone in resolv.conf, which Node does not tell.
 */
function serversOfMachine(): readonly (string | undefined)[] {
  const servers = new Resolver().getServers();
  return servers.length < 2 || servers.some((each) => /^\[?fe80:/i.test(each)) ? [undefined] : servers;
}
