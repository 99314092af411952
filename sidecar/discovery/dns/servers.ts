import { Resolver } from 'node:dns/promises';
import type { RecordAnswer } from '../../core/discovery/dns-answer.js';
import { firstTryMs, ROUND_LIMIT_MS, timeForName } from '../../core/discovery/round-time.js';
import type { TimeDeps } from '../../runtime/deps.js';

/** What is asked for. */
export type RecordType = 'a' | 'aaaa';

/** How long, and how often. */
export interface Patience {
  /** For one server in the first turn, ms; less where the turns would not fit into the round. Twice as long in the next turn. */
  readonly tryMs: number;
  /** Turns through the servers. */
  readonly tries: number;
}

/** One server, or all those of the machine, which c-ares then asks in order. */
interface AskedServer {
  /** Undefined: those of resolv.conf. */
  readonly address: string | undefined;
  /** Servers that this stands for. */
  readonly count: number;
}

/** One query, and how long it may take. */
interface Question {
  readonly name: string;
  readonly type: RecordType;
  readonly limitMs: number;
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
 * here: a failure says nothing of the name. NXDOMAIN is an answer. A server that was silent is the last to be asked for the rest of the
 * round, and once for each further name: servers that are silent about some domains must not take the time of the other names.
 *
 * How long a query may take is measured here too: c-ares raises what is below 250 ms, and after three answers goes by their latency instead.
 */
export class DnsServers {
  private readonly servers: readonly AskedServer[];
  private readonly startedMs: number;
  private readonly silent = new Set<AskedServer>();
  /** One for each query that runs. */
  private readonly resolvers = new Set<Resolver>();
  private isCancelled = false;

  /** The round begins now. @param servers as `setServers` has them; empty: those of resolv.conf, as c-ares reads it. */
  constructor(
    servers: readonly string[],
    private readonly patience: Patience,
    private readonly deps: TimeDeps,
  ) {
    this.servers =
      servers.length > 0 ? servers.map((address) => ({ address, count: 1 })) : serversOfMachine();
    this.startedMs = deps.clock.now();
  }

  /**
   * Never rejects.
   *
   * @param namesAfter names that will be asked for in this round if this one is not found.
   */
  async ask(name: string, type: RecordType, namesAfter = 0): Promise<RecordAnswer> {
    const turnsOf = new Map(
      this.servers.map((each) => [each, this.silent.has(each) ? 1 : this.patience.tries]),
    );
    const firstMs = this.firstTryMs(turnsOf, namesAfter);
    const whys = new Map<AskedServer, string>();
    let waiting = [...this.servers].sort((a, b) => Number(this.silent.has(a)) - Number(this.silent.has(b)));
    for (let turn = 0; waiting.length > 0 && !this.isCancelled; turn++) {
      const asked = waiting;
      waiting = [];
      for (const server of asked) {
        const limitMs = firstMs * 2 ** turn * server.count;
        const answer = await this.askOne(server, { name, type, limitMs });
        if (!('code' in answer)) return answer;
        whys.set(server, FAILED[answer.code] ?? answer.code);
        if (this.isCancelled) return { kind: 'failed', why: whyOf(whys) };
        if (!SILENCE.has(answer.code)) continue;
        this.silent.add(server);
        if (turn + 1 < turnsOf.get(server)!) waiting.push(server);
      }
    }
    return { kind: 'failed', why: whyOf(whys) };
  }

  /** Ends every query. */
  cancel(): void {
    this.isCancelled = true;
    for (const resolver of this.resolvers) resolver.cancel();
  }

  private firstTryMs(turnsOf: ReadonlyMap<AskedServer, number>, namesAfter: number): number {
    const timeMs = timeForName(this.deps.clock.now() - this.startedMs, namesAfter);
    const turns = [...turnsOf].flatMap(([{ count }, each]) => new Array<number>(count).fill(each));
    return firstTryMs(timeMs, this.patience.tryMs, turns);
  }

  private async askOne(
    { address, count }: AskedServer,
    { name, type, limitMs }: Question,
  ): Promise<RecordAnswer | { readonly code: string }> {
    // Of several servers c-ares has to leave a silent one before the time of all of them is over.
    const timeout = count > 1 ? Math.max(1, Math.floor(limitMs / count)) : ROUND_LIMIT_MS;
    const resolver = new Resolver({ timeout, tries: 1 });
    if (address !== undefined) resolver.setServers([address]);
    this.resolvers.add(resolver);
    let isLate = false;
    const end = (): void => {
      isLate = true;
      resolver.cancel();
    };
    const limit = this.deps.timers.after(limitMs, end, { unref: true });
    try {
      const addresses = await (type === 'a' ? resolver.resolve4(name) : resolver.resolve6(name));
      // Aliases alone, as those that lead in a circle: c-ares has no error for that.
      return addresses.length > 0 ? { kind: 'addresses', addresses } : { kind: 'none', ...NO_ADDRESS };
    } catch (error) {
      const { code = '', message } = error as NodeJS.ErrnoException;
      if (isLate && code === 'ECANCELLED') return { code: 'ETIMEOUT' };
      const none = NONE[code];
      return none === undefined ? { code: code || message } : { kind: 'none', ...none };
    } finally {
      limit.cancel();
      this.resolvers.delete(resolver);
    }
  }
}

/** Of several servers each with its reason. */
function whyOf(whys: ReadonlyMap<AskedServer, string>): string {
  const all = [...new Set(whys.values())];
  if (all.length < 2) return all[0] ?? FAILED['ECANCELLED']!;
  return [...whys].map(([{ address }, why]) => `${why} [${address}]`).join('; ');
}

/**
 * An address of one link has a zone in resolv.conf, which Node does not tell: with such a one c-ares asks all of them.
 */
function serversOfMachine(): readonly AskedServer[] {
  const servers = new Resolver().getServers();
  if (servers.length < 2 || servers.some((each) => /^\[?fe80:/i.test(each)))
    return [{ address: undefined, count: Math.max(1, servers.length) }];
  return servers.map((address) => ({ address, count: 1 }));
}
