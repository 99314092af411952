/** An application: makes the calls of its plan over plaintext HTTP/2 to its sidecar, and checks each byte it gets. */

import type { Address } from '../../../sidecar/config/model.js';
import type { Field } from '../../kit/http2/hpack-lite.js';
import type { Dice } from '../dice.js';
import { type CallerPlan, PIECE_MS } from '../plan/plan.js';
import {
  ContentCheck,
  cutOf,
  framedMessage,
  type Head,
  messageOf,
  REQUEST,
  RESPONSE,
  TOKEN_BYTES,
} from './content.js';
import { AnswerCheck, generateRequest, isGenerate } from './engine.js';
import { headsOf } from './inference.js';
import { Reader } from './reader.js';
import type { CallRecord } from './records.js';
import { CALL_KEY } from './sim-model.js';
import type { SimNet } from './sim-net.js';
import { SimPeer, type SimStream, type StreamOwner } from './sim-peer.js';
import { SimProcess } from './sim-process.js';

/** A gRPC client waits so long before it connects again. */
const RECONNECT_MS = 20;

export class SimCaller {
  readonly process: SimProcess;
  private readonly peers = new Map<string, SimPeer>();
  private readonly broken: SimPeer[] = [];
  private readonly queued: CallerCall[] = [];
  private connections = 0;

  constructor(
    readonly plan: CallerPlan,
    host: string,
    private readonly world: ConstructorParameters<typeof SimProcess>[2],
    private readonly dice: Dice,
    private readonly addressOf: (upstream: string) => Address,
  ) {
    this.process = new SimProcess(`app ${plan.name}`, host, world, dice);
  }

  /** Makes a call now. */
  call(record: CallRecord): void {
    record.startMs = this.process.now();
    record.movedMs = record.startMs;
    const call = new CallerCall(this, record);
    this.begin(call);
  }

  begin(call: CallerCall): void {
    if (call.isOver) return;
    const { upstream, id } = call.record.plan;
    const key = `${upstream} ${id % this.plan.connections}`;
    const peer = this.peers.get(key) ?? this.connect(key, upstream);
    if (!call.start(peer)) this.queued.push(call);
  }

  private connect(key: string, upstream: string): SimPeer {
    const number = ++this.connections;
    const net = this.world.net as SimNet;
    const socket = net.dial(this.addressOf(upstream), this.process, null, Number.POSITIVE_INFINITY);
    const peer = new SimPeer(socket, 'client', this.plan.quirks, this.dice.of(`peer ${number}`));
    this.peers.set(key, peer);
    peer.onClose = () => {
      if (peer.problem !== '') this.broken.push(peer);
      if (this.peers.get(key) === peer) this.peers.delete(key);
      this.process.after(RECONNECT_MS, () => this.drainQueue());
    };
    return peer;
  }

  /** Calls that found no room try again. */
  drainQueue(): void {
    for (const call of this.queued.splice(0)) this.begin(call);
  }

  get hasQueued(): boolean {
    return this.queued.length > 0;
  }

  ended(): void {
    if (this.queued.length > 0) this.process.after(0, () => this.drainQueue());
  }

  /** Connections of now, and those that broke a rule. */
  get judged(): readonly SimPeer[] {
    return [...this.peers.values(), ...this.broken];
  }

  close(): void {
    for (const peer of this.peers.values()) peer.socket.destroy();
  }
}

class CallerCall implements StreamOwner {
  isOver = false;
  private stream: SimStream | undefined;
  private readonly check: ContentCheck | AnswerCheck;
  private readonly reader: Reader;
  private sent = 0;
  private isWaitingForRoom = false;
  private wasRefused = false;
  private readonly head: Head | undefined;

  constructor(
    private readonly caller: SimCaller,
    readonly record: CallRecord,
  ) {
    const { plan } = record;
    const { id, response, tokens, tokenBytes = TOKEN_BYTES } = plan;
    const heads = headsOf(plan);
    this.head = heads?.request;
    this.check = isGenerate(plan)
      ? new AnswerCheck(plan)
      : new ContentCheck({
          call: id,
          direction: RESPONSE,
          sizes: response,
          head: heads?.response,
          ...(tokens === undefined ? {} : { tokens, tokenBytes }),
        });
    this.reader = new Reader(plan.reader, caller.process);
    if (plan.cancelAfterMs > 0) caller.process.after(plan.cancelAfterMs, () => this.cancel());
    if (plan.timeoutMs === 0) return;
    // As every gRPC client does. A call that the server has seen is ended a little later, so that the server's word counts.
    caller.process.after(plan.timeoutMs, () => {
      if (this.isWaitingForRoom) this.expire();
    });
    caller.process.after(plan.timeoutMs + CLIENT_GRACE_MS, () => this.expire());
  }

  /** False: the connection takes no more streams now. */
  start(peer: SimPeer): boolean {
    const { plan, startMs } = this.record;
    const fields: Field[] = [
      [':method', 'POST'],
      [':scheme', 'http'],
      [':path', plan.path],
      [':authority', 'sim.local'],
      ['content-type', 'application/grpc'],
      ['te', 'trailers'],
      [CALL_KEY, `${plan.id}`],
    ];
    if (plan.timeoutMs > 0) {
      const leftMs = Math.max(1, startMs + plan.timeoutMs - this.caller.process.now());
      fields.push(['grpc-timeout', `${Math.ceil(leftMs)}m`]);
    }
    for (const [name, value] of Object.entries(plan.metadata)) fields.push([name, value]);
    this.stream = peer.request(fields, this, plan.request.length === 0);
    if (this.stream === undefined) {
      this.isWaitingForRoom = true;
      return false;
    }
    this.isWaitingForRoom = false;
    this.send();
    return true;
  }

  private send(): void {
    const { plan } = this.record;
    const { stream } = this;
    if (stream === undefined || !stream.isOpen || this.isOver) return;
    while (this.sent < plan.request.length) {
      const size = plan.request[this.sent]!;
      const content = messageOf(plan.id, REQUEST, this.sent, size);
      this.sent++;
      this.record.sent = this.sent;
      const isLast = this.sent === plan.request.length;
      const bytes = isGenerate(plan) ? generateRequest(plan) : framedMessage(content, this.head);
      const cut = cutOf(plan, REQUEST, this.sent, bytes.length);
      const isWhole = cut === bytes.length;
      stream.data(bytes.subarray(0, cut), isLast && isWhole);
      if (!isWhole) return this.sendLater(stream, PIECE_MS, () => stream.data(bytes.subarray(cut), isLast));
      if (!isLast && plan.requestGapMs > 0) return this.sendLater(stream, plan.requestGapMs);
    }
  }

  /** Goes on with what this stream is still to get. */
  private sendLater(stream: SimStream, afterMs: number, first: () => void = () => {}): void {
    this.caller.process.after(afterMs, () => {
      // It may have been refused, and begun once more.
      if (this.stream !== stream || this.isOver) return;
      first();
      this.send();
    });
  }

  onHeaders(fields: readonly Field[], ended: boolean): void {
    const { record } = this;
    const get = (name: string): string | undefined => fields.find(([key]) => key === name)?.[1];
    if (get('outrider-degraded') !== undefined) record.isDegraded = true;
    record.answeredBy = get('sim-replica') ?? record.answeredBy;
    const about = get(CALL_KEY) ?? get('sim-trailer');
    if (about !== undefined && Number(about) !== record.plan.id && !record.isDegraded)
      record.problem ||= `metadata of call ${about}`;
    this.check.encoding = get('grpc-encoding') ?? this.check.encoding;
    const isOwn = record.answeredBy !== '' && !record.isDegraded && about !== undefined;
    if (isOwn && get('sim-replica') !== undefined)
      for (const [name, value] of Object.entries(record.plan.metadata))
        if (get(`${name}-again`) !== value)
          record.problem ||= `response: ${name}-again is not as it was sent`;
    if (!ended) return;
    record.messageBytes = get('grpc-message')?.length ?? 0;
    record.trailers = Object.fromEntries(fields);
    record.status = Number(get('grpc-status') ?? -1);
    record.message = (get('grpc-message') ?? '').slice(0, 200);
    record.reason = get('outrider-reason') ?? '';
    this.end();
  }

  onData(bytes: Buffer, ended: boolean): void {
    const { record, stream } = this;
    record.movedMs = this.caller.process.now();
    if (bytes.length > 0) record.lastDataMs = record.movedMs;
    this.check.take(bytes);
    if (this.check.problem !== '' && !record.isDegraded) record.problem ||= `response: ${this.check.problem}`;
    if (stream !== undefined) this.reader.onData(stream, bytes.length);
    if (ended) {
      record.problem ||= 'response ended by DATA, without trailers';
      this.end();
    }
  }

  onReset(code: number): void {
    if (this.isOver) return;
    // Not processed: every gRPC client sends it once more by itself (gRFC A6).
    if (code === REFUSED_STREAM && !this.wasRefused) {
      this.wasRefused = true;
      this.sent = 0;
      return this.caller.begin(this);
    }
    this.record.resetCode = code === -1 ? -2 : code;
    this.end();
  }

  private cancel(): void {
    if (this.isOver) return;
    this.record.isCancelled = true;
    this.stream?.reset(8);
    this.end();
  }

  private expire(): void {
    if (this.isOver) return;
    this.record.status = this.isWaitingForRoom || this.stream === undefined ? 4 : -4;
    this.stream?.reset(8);
    this.end();
  }

  private end(): void {
    const { record } = this;
    record.ends++;
    if (this.isOver) return;
    this.isOver = true;
    record.endMs = this.caller.process.now();
    record.received = this.check.received;
    record.isComplete = this.check.isComplete;
    if (this.check instanceof AnswerCheck) record.drawnBy = this.check.variants;
    this.caller.ended();
  }
}

/** A call that the sidecar has not ended this long after its deadline is ended by the client, and held against it. */
export const CLIENT_GRACE_MS = 3_000;

const REFUSED_STREAM = 7;
