/** HTTP/1.1 as Consul's agent and a collector serve it: requests that follow each other on a connection, and answers of any length. */
import type { SimSocket } from '../sim-net.js';

export interface HttpRequest {
  readonly method: string;
  /** Without the query, percent-decoded. */
  readonly path: readonly string[];
  readonly query: ReadonlyMap<string, string>;
  readonly body: string;
  /** The body as it came. */
  readonly content: Buffer;
}

export interface HttpAnswer {
  readonly status: number;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: string;
  /** In the place of the text of the body. */
  readonly content?: Buffer;
}

/** Go's server writes shorter bodies whole, and longer ones in chunks. */
const CHUNKED_FROM = 2_048;
const REASONS: Readonly<Record<number, string>> = {
  200: 'OK',
  400: 'Bad Request',
  403: 'Forbidden',
  404: 'Not Found',
  409: 'Conflict',
  500: 'Internal Server Error',
};

export class HttpConnection {
  private read: Buffer = Buffer.alloc(0);
  /** A request is at work; what follows it waits. */
  private isBusy = false;

  constructor(
    readonly socket: SimSocket,
    /** Answers a request, now or later. */
    private readonly onRequest: (request: HttpRequest, connection: HttpConnection) => void,
    private readonly onClose: (connection: HttpConnection) => void,
  ) {
    socket.on('data', (bytes: Buffer) => {
      this.read = Buffer.concat([this.read, bytes]);
      this.next();
    });
    socket.on('error', () => {});
    socket.on('close', () => this.onClose(this));
  }

  answer({ status, headers, body, content }: HttpAnswer): void {
    if (this.socket.destroyed) return;
    const bytes = content ?? Buffer.from(body);
    const isChunked = bytes.length >= CHUNKED_FROM;
    const lines = [
      `HTTP/1.1 ${status} ${REASONS[status] ?? 'Status'}`,
      'Content-Type: application/json',
      'Vary: Accept-Encoding',
      ...Object.entries(headers).map(([name, value]) => `${name}: ${value}`),
      isChunked ? 'Transfer-Encoding: chunked' : `Content-Length: ${bytes.length}`,
    ];
    this.socket.write(Buffer.from(`${lines.join('\r\n')}\r\n\r\n`));
    if (isChunked) for (const part of chunksOf(bytes)) this.socket.write(part);
    else if (bytes.length > 0) this.socket.write(bytes);
    this.isBusy = false;
    this.next();
  }

  private next(): void {
    if (this.isBusy) return;
    const end = this.read.indexOf('\r\n\r\n');
    if (end < 0) return;
    const [first = '', ...lines] = this.read.toString('latin1', 0, end).split('\r\n');
    const length = lines.find((line) => line.toLowerCase().startsWith('content-length:'));
    const size = Number(length?.slice('content-length:'.length) ?? 0);
    if (this.read.length < end + 4 + size) return;
    const content = this.read.subarray(end + 4, end + 4 + size);
    this.read = this.read.subarray(end + 4 + size);
    this.isBusy = true;
    this.onRequest(requestOf(first, content), this);
  }
}

function requestOf(line: string, content: Buffer): HttpRequest {
  const [method = '', target = ''] = line.split(' ');
  const at = target.indexOf('?');
  const path = (at < 0 ? target : target.slice(0, at)).split('/').slice(1).map(decodeURIComponent);
  const query = new Map(new URLSearchParams(at < 0 ? '' : target.slice(at + 1)));
  return { method, path, query, body: content.toString('utf8'), content };
}

function chunksOf(bytes: Buffer): Buffer[] {
  const parts: Buffer[] = [];
  for (let at = 0; at < bytes.length; at += CHUNKED_FROM) {
    const part = bytes.subarray(at, at + CHUNKED_FROM);
    parts.push(Buffer.from(`${part.length.toString(16)}\r\n`), part, Buffer.from('\r\n'));
  }
  return [...parts, Buffer.from('0\r\n\r\n')];
}
