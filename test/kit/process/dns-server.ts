/** A DNS server on loopback, over UDP and TCP, for names that no other server has. */
import { createSocket, type Socket } from 'node:dgram';
import { once } from 'node:events';
import { createServer, type Server } from 'node:net';

const A = 1;
const CNAME = 5;
const AAAA = 28;
/** An answer without EDNS that is longer comes by TCP. */
const MAX_UDP = 512;
/** Ports that are tried at most. */
const MAX_ATTEMPTS = 10;
/**
 * What it says of a name: addresses, other names that it is an alias of (`=NAME`, which the addresses after it are of), that it
 * fails (2), that there is no such name (3), that it refuses (5), or nothing at all.
 */
export type Says = readonly string[] | 'SERVFAIL' | 'NXDOMAIN' | 'REFUSED' | 'silence';
const CODES = { SERVFAIL: 2, NXDOMAIN: 3, REFUSED: 5 } as const;

export class DnsServer {
  /** What is asked for from now on gets this. */
  says: Says = [];
  /** What it says of AAAA records, where that is something else. */
  ofAaaa: Says | undefined;
  /** What it says of single names; those that are not here get `says`. */
  readonly names = new Map<string, Says>();
  /** Called with each question that it is silent about. */
  onSilence = (): void => {};
  /** How long records may be kept, in seconds. */
  ttl = 5;
  /** Changes an answer before it is sent; none is sent where it gives undefined. */
  forge: (answer: Buffer) => Buffer | undefined = (answer) => answer;
  /** Questions so far, as `NAME TYPE`; those by TCP end in `TCP`. */
  readonly asked: string[] = [];

  private constructor(
    private readonly socket: Socket,
    private readonly server: Server,
  ) {}

  /** Listens on a free port of `host`, by both protocols. Another program may have one that is free by TCP: then the next one is tried. */
  static async start(host = '127.0.0.1'): Promise<DnsServer> {
    for (let attempt = 1; ; attempt++) {
      const dns = new DnsServer(createSocket('udp4'), createServer());
      try {
        await dns.listen(host);
        return dns;
      } catch (error) {
        dns.server.close();
        dns.socket.close();
        if ((error as NodeJS.ErrnoException).code !== 'EADDRINUSE' || attempt === MAX_ATTEMPTS) throw error;
      }
    }
  }

  private async listen(host: string): Promise<void> {
    const { socket, server } = this;
    socket.on('message', (question, { port, address }) => this.onDatagram(question, port, address));
    server.on('connection', (connection) => {
      connection.on('error', () => connection.destroy());
      connection.on('data', (framed) => {
        const answer = this.forged(framed.subarray(2), 'TCP');
        if (answer === undefined) return;
        const length = Buffer.alloc(2);
        length.writeUInt16BE(answer.length);
        connection.write(Buffer.concat([length, answer]));
      });
    });
    // TCP first: the port of a datagram socket is rarely taken, and that of a listener often.
    await once(server.listen(0, host), 'listening');
    const { port } = server.address() as { readonly port: number };
    socket.bind(port, host);
    await once(socket, 'listening');
  }

  /** `HOST:PORT`. */
  get address(): string {
    const { address, port } = this.socket.address();
    return `${address}:${port}`;
  }

  /** More than once does no harm. */
  close(): void {
    if (this.server.listening) this.socket.close();
    this.server.close();
  }

  private onDatagram(question: Buffer, port: number, address: string): void {
    const answer = this.forged(question, '');
    if (answer === undefined) return;
    this.socket.send(answer.length > MAX_UDP ? truncated(answer) : answer, port, address);
  }

  private forged(question: Buffer, by: string): Buffer | undefined {
    const answer = this.answer(question, by);
    return answer === undefined ? undefined : this.forge(answer);
  }

  private answer(question: Buffer, by: string): Buffer | undefined {
    const labels: string[] = [];
    let at = 12;
    for (let length = question[at]!; length > 0; length = question[at]!) {
      labels.push(question.toString('latin1', at + 1, at + 1 + length));
      at += 1 + length;
    }
    const name = labels.join('.');
    const type = question.readUInt16BE(at + 1);
    const end = at + 5;
    this.asked.push(`${name} ${type === A ? 'A' : type === AAAA ? 'AAAA' : type}${by && ` ${by}`}`);
    const ofType = type === AAAA ? this.ofAaaa : undefined;
    const says = ofType ?? this.names.get(name.toLowerCase()) ?? this.says;
    if (says === 'silence') {
      this.onSilence();
      return undefined;
    }
    const records = typeof says === 'string' ? [] : recordsOf(name, says, { type, ttl: this.ttl });
    const header = Buffer.alloc(12);
    question.copy(header, 0, 0, 2);
    // A response with recursion, as asked for.
    header.writeUInt16BE(0x8180 | (typeof says === 'string' ? CODES[says] : 0), 2);
    header.writeUInt16BE(1, 4);
    header.writeUInt16BE(records.length, 6);
    return Buffer.concat([header, question.subarray(12, end), ...records]);
  }
}

/** Header and question, with the bit that says that there is more. */
function truncated(answer: Buffer): Buffer {
  let end = 12;
  while (answer[end] !== 0) end += 1 + answer[end]!;
  const short = Buffer.from(answer.subarray(0, end + 5));
  short.writeUInt16BE(short.readUInt16BE(2) | 0x0200, 2);
  short.writeUInt16BE(0, 6);
  return short;
}

/** The resource records of one type, each below the last alias before it. */
function recordsOf(
  name: string,
  says: readonly string[],
  { type, ttl }: { readonly type: number; readonly ttl: number },
): Buffer[] {
  let owner = name;
  return says.flatMap((each) => {
    if (each.startsWith('=')) {
      const alias = record(owner, encoded(each.slice(1)), { type: CNAME, ttl });
      owner = each.slice(1);
      return [alias];
    }
    if (each.includes(':') !== (type === AAAA)) return [];
    const data = Buffer.from(type === A ? each.split('.').map(Number) : sixteen(each));
    // The name of the question is said by a pointer, so that long answers are as long as those of others.
    return [record(owner === name ? undefined : owner, data, { type, ttl })];
  });
}

/** @param owner undefined: the name of the question. */
function record(
  owner: string | undefined,
  data: Buffer,
  { type, ttl }: { readonly type: number; readonly ttl: number },
): Buffer {
  const head = Buffer.alloc(10);
  head.writeUInt16BE(type, 0);
  head.writeUInt16BE(1, 2);
  head.writeUInt32BE(ttl, 4);
  head.writeUInt16BE(data.length, 8);
  return Buffer.concat([owner === undefined ? Buffer.from([0xc0, 0x0c]) : encoded(owner), head, data]);
}

/** A name as DNS writes it. */
function encoded(name: string): Buffer {
  const labels = name.split('.').map((label) => Buffer.from(label, 'latin1'));
  return Buffer.concat([...labels.flatMap((each) => [Buffer.from([each.length]), each]), Buffer.from([0])]);
}

/** The bytes of an IPv6 address. */
function sixteen(address: string): number[] {
  const [before = '', after] = address.split('::');
  const groups = (text: string): number[] =>
    text === '' ? [] : text.split(':').map((each) => Number.parseInt(each, 16));
  const [first, last] = [groups(before), groups(after ?? '')];
  const middle = after === undefined ? [] : new Array<number>(8 - first.length - last.length).fill(0);
  return [...first, ...middle, ...last].flatMap((group) => [group >> 8, group & 0xff]);
}
