import assert from 'node:assert/strict';
import type { Socket } from 'node:net';
import { Duplex } from 'node:stream';
import { DEFAULT_LOCAL_SETTINGS } from '../../../sidecar/http2/settings.js';
import { FlushScheduler } from '../../../sidecar/transport/flush-scheduler.js';
import { Session, type SessionHandler } from '../../../sidecar/transport/session.js';
import { PREFACE, ping, settings, settingsAck } from '../../kit/http2/h2-frames.js';
import { Stack } from '../../kit/stack/stack.js';
import type { ManualClock } from '../../kit/time/manual-clock.js';

/** A socket whose peer reads as much as a test lets it. */
class Pipe extends Duplex {
  taken = 0;
  private waiting: (() => void) | null = null;

  constructor(public reads: boolean) {
    super({ allowHalfOpen: false });
  }
  override _read(): void {}
  override _write(chunk: Buffer, _encoding: string, done: () => void): void {
    this.taken += chunk.length;
    if (this.reads) done();
    else this.waiting = done;
  }
  resumeReading(): void {
    this.reads = true;
    this.waiting?.();
    this.waiting = null;
  }
}

function newLink(pipe: Pipe): { clock: ManualClock; link: Session; downs: string[] } {
  const downs: string[] = [];
  const host: SessionHandler = {
    onStream() {},
    onAlive() {},
    onReadiness() {},
    onGoaway() {},
    onRoom() {},
    onDown: (_session, reason) => downs.push(reason),
  };
  const { context, clock } = new Stack();
  const flushes = new FlushScheduler((fn) => void clock.after(0, fn), clock);
  const socket = pipe as unknown as Socket;
  const link = new Session(socket, 'server', DEFAULT_LOCAL_SETTINGS, host, { ...context, flushes });
  return { clock, link, downs };
}

describe('closing a session', () => {
  it('a session that ends for a broken rule sends GOAWAY and waits a second for the peer to close', async () => {
    const pipe = new Pipe(true);
    const { clock, downs } = newLink(pipe);
    pipe.push(Buffer.concat([PREFACE, ping()]));
    await clock.settle(900);
    assert.deepEqual(downs, []);
    assert.equal(pipe.writableEnded, true);
    await clock.settle(200);
    assert.deepEqual(downs, ['the first frame is not SETTINGS']);
  });

  it('a session that ends for a broken rule does not wait for a peer that reads nothing', async () => {
    const pipe = new Pipe(false);
    const { clock, downs } = newLink(pipe);
    await clock.settle(10);
    pipe.push(Buffer.concat([PREFACE, ping()]));
    await clock.settle(900);
    assert.deepEqual(downs, []);
    await clock.settle(200);
    assert.equal(downs.length, 1);
  });

  it('a session that is closed gives a slow peer ten seconds to read, then a second to close', async () => {
    const pipe = new Pipe(false);
    const { clock, link, downs } = newLink(pipe);
    pipe.push(Buffer.concat([PREFACE, settings()]));
    await clock.settle(10);
    link.close('drained');
    await clock.settle(5000);
    assert.deepEqual(downs, []);
    pipe.resumeReading();
    await clock.settle(900);
    assert.deepEqual(downs, []);
    await clock.settle(200);
    assert.deepEqual(downs, ['drained']);

    const other = newLink(new Pipe(false));
    await other.clock.settle(10);
    other.link.close('drained');
    await other.clock.settle(9900);
    assert.deepEqual(other.downs, []);
    await other.clock.settle(200);
    assert.deepEqual(other.downs, ['drained']);
  });

  it('a session whose peer ends its side and reads nothing is given up after ten seconds', async () => {
    const pipe = new Pipe(false);
    const { clock, downs } = newLink(pipe);
    pipe.push(Buffer.concat([PREFACE, settings()]));
    await clock.settle(10);
    pipe.push(null);
    await clock.settle(9900);
    assert.deepEqual(downs, []);
    await clock.settle(200);
    assert.deepEqual(downs, ['closed by the peer']);
  });

  it('a session whose peer ends its side first answers what it said before, and loses nothing of what is queued', async () => {
    const pipe = new Pipe(false);
    const errors: string[] = [];
    pipe.on('error', ({ message }) => errors.push(message));
    const { clock, downs } = newLink(pipe);
    await clock.settle(10);
    pipe.push(Buffer.concat([PREFACE, settings(), settingsAck(), ping()]));
    pipe.push(null);
    await clock.settle(10);
    const before = pipe.taken;
    pipe.resumeReading();
    await clock.settle(10);
    // Acknowledgements of SETTINGS and of PING.
    assert.deepEqual([pipe.taken - before, errors, downs], [9 + 17, [], ['closed by the peer']]);
  });

  it('a session whose peer ends its side and has read everything is closed at once', async () => {
    const pipe = new Pipe(true);
    const { clock, downs } = newLink(pipe);
    pipe.push(Buffer.concat([PREFACE, settings()]));
    await clock.settle(10);
    pipe.push(null);
    await clock.settle(10);
    assert.deepEqual(downs, ['closed by the peer']);
  });
});
