/**
 * One request to the Consul agent while it is under way: its body under a bound, its end when the connection breaks
 * within the answer, which the npm client waits for in vain, and its error in words.
 */

import { EventEmitter } from 'node:events';
import type { IncomingMessage } from 'node:http';
import { Writable } from 'node:stream';
import { BodyBuffer } from './body-buffer.js';
import { AgentError, type Answer } from './response.js';

/** What is kept of an answer that says what went wrong. */
const MAX_FAULT_BYTES = 4_096;

/** One request and what came back so far. The client ends it on the event `cancel`. */
export class Exchange extends EventEmitter {
  private readonly body: BodyBuffer;
  private response: IncomingMessage | undefined;
  private failure: AgentError | undefined;

  constructor(private readonly maxBytes: number) {
    super();
    this.body = new BodyBuffer(maxBytes);
  }

  /** Where the client pipes the answer to. */
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

  fail(error: AgentError): void {
    if (this.failure !== undefined) return;
    this.failure = error;
    this.emit('cancel');
  }

  answer(): Answer {
    if (this.failure !== undefined) throw this.failure;
    if (this.response === undefined) throw new AgentError('unreachable', 'the agent gave no answer');
    return this.answerOf(this.response);
  }

  errorFrom(error: unknown, where: string, token: string | undefined, timeoutMs: number): AgentError {
    if (this.failure !== undefined) return this.failure;
    if (error instanceof AgentError) return error;
    if ((error as { isResponse?: boolean }).isResponse === true && this.response !== undefined) {
      const answer = this.answerOf(this.response);
      const said = oneLine(answer.body.toString('utf8'), token);
      return new AgentError('status', `${answer.status} ${said}`.trim(), answer.status, answer);
    }
    if ((error as { isTimeout?: boolean }).isTimeout === true)
      return new AgentError('timeout', `${where} did not answer within ${Math.round(timeoutMs)} ms`);
    const { code, message } = error as NodeJS.ErrnoException;
    return new AgentError('unreachable', `${where}: ${oneLine(code ?? message ?? String(error), token)}`);
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
    // The client waits for an `end` that does not come when the connection breaks.
    response.once('close', () => {
      if (!response.complete)
        this.fail(new AgentError('unreachable', 'the connection broke within the answer'));
    });
    if (Number(response.headers['content-length']) > this.maxBytes) this.failTooLarge();
  }

  private receive(chunk: Buffer): void {
    if (this.failure !== undefined) return;
    const isFault = Math.floor((this.response?.statusCode ?? 0) / 100) !== 2;
    if (isFault && this.body.length + chunk.length > MAX_FAULT_BYTES) {
      this.body.add(chunk.subarray(0, Math.max(0, MAX_FAULT_BYTES - this.body.length)));
      return;
    }
    if (!this.body.add(chunk)) this.failTooLarge();
  }

  private failTooLarge(): void {
    this.fail(new AgentError('too-large', `the answer is larger than ${this.maxBytes} bytes`));
  }
}

function headerOf(response: IncomingMessage, name: string): string | undefined {
  const value = response.headers[name];
  return Array.isArray(value) ? value.join(', ') : value;
}

/** A text from outside on one line (Consul says what went wrong on its second), short, printable, and without the token should it be quoted there. */
function oneLine(text: string, token: string | undefined): string {
  const plain = token === undefined ? text : text.replaceAll(token, '[token]');
  return plain
    .trim()
    .replace(/\s+/g, ' ')
    .replace(/[^\x20-\x7e]/g, '?')
    .slice(0, 200);
}
