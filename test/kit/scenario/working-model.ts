/** Models whose runs take time, on the manual clock: one run at a time, or several beside each other. */
import { PREFIX_BYTES } from '../../../sidecar/codec/grpc-message.js';
import { grpcMessage } from '../http2/h2-frames.js';
import type { PeerStream } from '../http2/scripted-peer.js';
import type { Replica } from './mesh-in-memory.js';

/** A request whose run takes this long, ms. */
export const takes = (ms: number): Buffer => grpcMessage(Buffer.from(`${ms}`));

/** The model behind one replica. Requests that `takes` did not make run for `usualMs`. What does not run waits in the model. */
export class WorkingModel {
  running = 0;
  /** Its requests, with the time when each came, when its run began and how long that takes. */
  readonly runs: { readonly cameMs: number; beganMs: number; readonly ms: number }[] = [];
  private readonly line: (() => void)[] = [];
  /** How many times as long its runs take. */
  slowBy = 1;

  constructor(
    private readonly replica: Replica,
    private readonly clock: { now(): number; after(ms: number, fn: () => void): unknown },
    private readonly usualMs: number,
    /** Runs at once. */
    private readonly slots: number,
  ) {
    replica.model.answer = (stream) => this.take(stream);
  }

  private take(stream: PeerStream): void {
    const ms = (Number(stream.body.subarray(PREFIX_BYTES).toString()) || this.usualMs) * this.slowBy;
    const run = { cameMs: this.clock.now(), beganMs: -1, ms };
    this.runs.push(run);
    this.line.push(() => {
      run.beganMs = this.clock.now();
      this.running += 1;
      this.clock.after(ms, () => {
        this.running -= 1;
        if (stream.resetCode === undefined) stream.reply(Buffer.from(this.replica.name));
        this.begin();
      });
    });
    this.begin();
  }

  private begin(): void {
    while (this.running < this.slots && this.line.length > 0) this.line.shift()!();
  }
}
