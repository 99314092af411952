/** A DNS server on loopback, over UDP, for names that no other server has. */
import { createSocket, type Socket } from 'node:dgram';
import { once } from 'node:events';

const A = 1;
const AAAA = 28;
/** What it says of a name: addresses, or that it fails (2), that there is no such name (3), or nothing at all. */
export type Says = readonly string[] | 'SERVFAIL' | 'NXDOMAIN' | 'silence';
const CODES = { SERVFAIL: 2, NXDOMAIN: 3 } as const;

export class DnsServer {
  /** What is asked for from now on gets this. */
  says: Says = [];
  /** Questions so far, as `NAME TYPE`. */
  readonly asked: string[] = [];

  private constructor(private readonly socket: Socket) {}

  /** Listens on a free port of 127.0.0.1. */
  static async start(): Promise<DnsServer> {
    const socket = createSocket('udp4');
    const server = new DnsServer(socket);
    socket.on('message', (question, { port, address }) => {
      const answer = server.answer(question);
      if (answer !== undefined) socket.send(answer, port, address);
    });
    socket.bind(0, '127.0.0.1');
    await once(socket, 'listening');
    return server;
  }

  /** `127.0.0.1:PORT`. */
  get address(): string {
    return `127.0.0.1:${this.socket.address().port}`;
  }

  close(): void {
    this.socket.close();
  }

  private answer(question: Buffer): Buffer | undefined {
    const labels: string[] = [];
    let at = 12;
    for (let length = question[at]!; length > 0; length = question[at]!) {
      labels.push(question.toString('latin1', at + 1, at + 1 + length));
      at += 1 + length;
    }
    const type = question.readUInt16BE(at + 1);
    const end = at + 5;
    this.asked.push(`${labels.join('.')} ${type === A ? 'A' : type === AAAA ? 'AAAA' : type}`);
    const { says } = this;
    if (says === 'silence') return undefined;
    const addresses =
      typeof says === 'string' ? [] : says.filter((each) => each.includes(':') === (type === AAAA));
    const header = Buffer.alloc(12);
    question.copy(header, 0, 0, 2);
    // A response with recursion, as asked for.
    header.writeUInt16BE(0x8180 | (typeof says === 'string' ? CODES[says] : 0), 2);
    header.writeUInt16BE(1, 4);
    header.writeUInt16BE(addresses.length, 6);
    return Buffer.concat([
      header,
      question.subarray(12, end),
      ...addresses.map((each) => record(each, type)),
    ]);
  }
}

/** A resource record of the name of the question, with a TTL of 5 s. */
function record(address: string, type: number): Buffer {
  const data = Buffer.from(type === A ? address.split('.').map(Number) : sixteen(address));
  const head = Buffer.alloc(12);
  head.writeUInt16BE(0xc00c, 0);
  head.writeUInt16BE(type, 2);
  head.writeUInt16BE(1, 4);
  head.writeUInt32BE(5, 6);
  head.writeUInt16BE(data.length, 10);
  return Buffer.concat([head, data]);
}

/** The octets of an IPv6 address. */
function sixteen(address: string): number[] {
  const [before = '', after] = address.split('::');
  const groups = (text: string): number[] =>
    text === '' ? [] : text.split(':').map((each) => Number.parseInt(each, 16));
  const [first, last] = [groups(before), groups(after ?? '')];
  const middle = after === undefined ? [] : new Array<number>(8 - first.length - last.length).fill(0);
  return [...first, ...middle, ...last].flatMap((group) => [group >> 8, group & 0xff]);
}
