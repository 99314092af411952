/** A simulated socket as Node's own HTTP client takes one: a stream. */
import { Duplex } from 'node:stream';
import { type SimSocket, unchanged } from '../sim-net.js';

export class SocketStream extends Duplex {
  constructor(private readonly socket: SimSocket) {
    super({ allowHalfOpen: false });
    socket.on('connect', () => this.emit('connect'));
    socket.on('data', (bytes: Buffer) => {
      if (!this.push(bytes)) socket.pause();
    });
    socket.on('end', () => this.push(null));
    socket.on('error', (error: Error) => this.destroy(error));
    socket.on('close', () => this.destroy());
  }

  override _read(): void {
    if (!this.socket.isReading) this.socket.resume();
  }

  override _write(chunk: Buffer, _encoding: string, done: () => void): void {
    if (this.socket.write(chunk)) done();
    else this.socket.once('drain', done);
  }

  override _final(done: () => void): void {
    this.socket.end();
    done();
  }

  override _destroy(error: Error | null, done: (error: Error | null) => void): void {
    this.socket.destroy();
    done(error);
  }

  readonly setNoDelay = unchanged;
  readonly setKeepAlive = unchanged;
  readonly setTimeout = unchanged;
  readonly ref = unchanged;
  readonly unref = unchanged;
}
