import { EventEmitter } from 'node:events';
import { type IncomingMessage, type RequestOptions, request } from 'node:http';
import { Writable } from 'node:stream';
import { BodyBuffer } from './body-buffer.js';
import { AgentError, type Answer } from './response.js';

/** What is kept of an answer that says what went wrong. */
const MAX_FAULT_BYTES = 4_096;

/**
 * One request to the agent and what came back so far: the body under a bound, the end when the connection breaks within
 * the answer, and the error in words. It emits `cancel` when it has failed; what sends it ends the request then.
 */
export class Exchange extends EventEmitter {
  private readonly body: BodyBuffer;
  private response: IncomingMessage | undefined;
  private failure: AgentError | undefined;

  /** @param token not to be quoted in any error */
  constructor(
    private readonly where: string,
    private readonly token: string | undefined,
    private readonly maxBytes: number,
  ) {
    super();
    this.body = new BodyBuffer(maxBytes);
  }

  /** Sends a request over node:http; settles when the answer has ended, and rejects at `cancel`. */
  send(options: RequestOptions, content?: Buffer): Promise<void> {
    return new Promise((resolve, reject) => {
      const sent = request(options, (response) => {
        this.begin(response);
        response.on('data', (chunk: Buffer) => this.receive(chunk)).once('end', resolve);
      });
      sent.once('error', reject);
      this.once('cancel', () => {
        reject(this.failure!);
        sent.destroy();
      });
      sent.end(content);
    });
  }

  /** Where the npm client pipes the answer of one of its own functions to. */
  receiver(): Writable {
    const receiver = new Writable({
      // Nothing waits in it, so nothing is gained by pausing the socket.
      highWaterMark: 1024 * 1024,
      write: (chunk: Buffer, _encoding, done) => {
        this.receive(chunk);
        done();
      },
    });
    receiver.once('pipe', (response: IncomingMessage) => this.begin(response));
    return receiver;
  }

  /** Fails the request, if it has not failed yet, and emits `cancel`. */
  fail(error: AgentError): void {
    if (this.failure !== undefined) return;
    this.failure = error;
    this.emit('cancel');
  }

  /** The answer, once it has ended. @throws AgentError for every status but 2xx. */
  answer(): Answer {
    if (this.failure !== undefined) throw this.failure;
    if (this.response === undefined) throw new AgentError('unreachable', 'the agent gave no answer');
    const answer = this.answerOf(this.response);
    if (!isFault(answer.status)) return answer;
    const said = this.oneLine(answer.body.toString('utf8'));
    throw new AgentError('status', `${answer.status} ${said}`.trim(), answer.status, answer);
  }

  /** Why no answer came. */
  errorFrom(error: unknown): AgentError {
    if (this.failure !== undefined) return this.failure;
    const { code, message } = error as NodeJS.ErrnoException;
    return new AgentError('unreachable', `${this.where}: ${this.oneLine(code ?? message ?? String(error))}`);
  }

  private answerOf(response: IncomingMessage): Answer {
    const names = Object.keys(response.headers);
    const index = headerOf(response, 'x-consul-index');
    return {
      status: response.statusCode ?? 0,
      index: index !== undefined && /^\d{1,20}$/.test(index) ? Number(index) : undefined,
      body: this.body.take(),
      headers: Object.fromEntries(names.map((name) => [name, headerOf(response, name)])),
    };
  }

  private begin(response: IncomingMessage): void {
    this.response = response;
    // There is no `end` when the connection breaks.
    response.once('close', () => {
      if (!response.complete)
        this.fail(new AgentError('unreachable', 'the connection broke within the answer'));
    });
    if (Number(response.headers['content-length']) > this.maxBytes) this.failTooLarge();
  }

  private receive(chunk: Buffer): void {
    if (this.failure !== undefined) return;
    if (isFault(this.response?.statusCode) && this.body.length + chunk.length > MAX_FAULT_BYTES) {
      this.body.add(chunk.subarray(0, Math.max(0, MAX_FAULT_BYTES - this.body.length)));
      return;
    }
    if (!this.body.add(chunk)) this.failTooLarge();
  }

  private failTooLarge(): void {
    this.fail(new AgentError('too-large', `the answer is larger than ${this.maxBytes} bytes`));
  }

  /**
   * A text from outside on one line (Consul says what went wrong on its second), short, printable, and without the
   * token should it be quoted there.
   */
  private oneLine(text: string): string {
    const plain = this.token === undefined ? text : text.replaceAll(this.token, '[token]');
    return plain
      .trim()
      .replace(/\s+/g, ' ')
      .replace(/[^\x20-\x7e]/g, '?')
      .slice(0, 200);
  }
}

/** Whether a status is not 2xx: of such an answer 4 KiB are kept. */
function isFault(status = 0): boolean {
  return Math.floor(status / 100) !== 2;
}

/** A header as one text; several values are joined by commas. */
function headerOf(response: IncomingMessage, name: string): string | undefined {
  const value = response.headers[name];
  return Array.isArray(value) ? value.join(', ') : value;
}
