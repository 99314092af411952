/** A model process: takes a call, checks each byte of its request, works as long as the plan says, and answers. */
import type { Field } from '../../kit/http2/hpack-lite.js';
import type { Dice } from '../dice.js';
import { type CallPlan, ENCODING, PIECE_MS, type ReplicaPlan, type RolloutPlan } from '../plan/plan.js';
import {
  ContentCheck,
  cutOf,
  encoded,
  framedMessage,
  type Head,
  messageOf,
  prefixOf,
  REQUEST,
  RESPONSE,
  TOKEN_BYTES,
  tokensOf,
  withHead,
} from './content.js';
import {
  AskedCheck,
  chunkMessage,
  completeMessage,
  GET_LOADS,
  isGenerate,
  loadReport,
  loadsMessage,
  SERVER_INFO,
  serverInfo,
  type Tokens,
} from './engine.js';
import { GOLDEN_ANSWER, headsOf, idOf, MODEL_INFER } from './inference.js';
import { Reader } from './reader.js';
import type { CallRecord, Execution } from './records.js';
import { type SimNet, SimServer, type SimSocket } from './sim-net.js';
import { SimPeer, type SimStream, type StreamOwner } from './sim-peer.js';
import { SimProcess } from './sim-process.js';

export const CALL_KEY = 'sim-call';
const RESUME_AFTER = 'outrider-resume-after';
const RESUMED_FROM = 'outrider-resumed-from';
/** Trailers in which models report their load (gRFC A51, and Envoy's text). */
const BINARY_REPORT = 'endpoint-load-metrics-bin';
const TEXT_REPORT = 'endpoint-load-metrics';
const HEALTH = '/grpc.health.v1.Health/Check';
/** HealthCheckResponse with status SERVING (grpc.health.v1). */
const SERVING = Buffer.from([8, 1]);

/** A run that a fault makes slower takes so long at most, ms: a long call would otherwise outlast the simulation. */
const MOST_SLOWED_MS = 10_000;

/** The same of the time between two messages. */
const MOST_SLOWED_GAP_MS = 1_000;

/** A stream that has been silent for so long has given its place in the queue to others, ms (`inbound.queue.concurrency`: 1 s). */
const SILENT_MS = 1_500;

/** One version of a model of several. */
export interface ModelVersion {
  readonly version: string;
  /** What is wrong with it; undefined: nothing. */
  readonly candidate: RolloutPlan | undefined;
}

const ONLY: ModelVersion = { version: '', candidate: undefined };

export class SimModel {
  process: SimProcess;
  /** Fault: calls that it answers with a status of its own; undefined: none. */
  failure: { readonly status: number; readonly share: number; readonly pushback: string } | undefined;
  /** Which of its calls fail. */
  private readonly failing: Dice;
  /** Fault: its runs take so many times as long. */
  slowFactor = 1;
  readonly executions = new Set<ModelCall>();
  private running = 0;
  private waiting: ModelCall[] = [];
  private starts = 0;
  peers = new Set<SimPeer>();
  /** How often it was asked how many calls it runs, and what it has to do. */
  readonly asked = { slots: 0, loads: 0 };
  /** Called when its process has been killed. */
  onEnd: () => void = () => {};

  /** @param version absent: the only one, whose process is there from the begin. */
  constructor(
    readonly plan: ReplicaPlan,
    private readonly host: string,
    private readonly path: string,
    private readonly world: ConstructorParameters<typeof SimProcess>[2],
    private readonly dice: Dice,
    readonly recordOf: (id: number) => CallRecord | undefined,
    readonly own: ModelVersion = ONLY,
  ) {
    this.failing = dice.of('failing');
    if (own === ONLY) this.process = this.start();
    else {
      this.process = new SimProcess(`model of ${plan.name}`, host, world, dice);
      this.process.kill();
    }
  }

  /** How it fails the next call; undefined: not at all. */
  nextFailure(): SimModel['failure'] {
    const { candidate } = this.own;
    if (candidate?.candidate === 'erring' && this.failing.chance(candidate.share))
      return { status: candidate.status, share: candidate.share, pushback: '' };
    return this.failure !== undefined && this.failing.chance(this.failure.share) ? this.failure : undefined;
  }

  /** It has nothing to say to the next stream that it is to go on with. */
  isEmpty(share: number): boolean {
    return this.failing.chance(share);
  }

  /** Starts the process, again after a kill. */
  start(): SimProcess {
    this.starts++;
    this.running = 0;
    this.waiting = [];
    this.peers = new Set();
    const process = new SimProcess(
      `model of ${this.plan.name}`,
      this.host,
      this.world,
      this.dice.of(this.starts),
    );
    this.process = process;
    const server = new SimServer(this.world.net as SimNet, process, (socket) => {
      const dice = this.dice.of(`peer ${this.starts} ${this.peers.size}`);
      const peer = new SimPeer(socket as unknown as SimSocket, 'server', this.plan.quirks, dice);
      this.peers.add(peer);
      peer.onClose = () => {
        if (peer.problem === '') this.peers.delete(peer);
      };
      peer.onStream = (stream, fields, ended) => this.onStream(stream, fields, ended);
    });
    server.listen({ path: this.path });
    return process;
  }

  kill(): void {
    if (this.process.isDead) return;
    this.process.kill();
    for (const call of this.executions) call.end('killed');
    this.executions.clear();
    this.onEnd();
  }

  /** A sidecar has started it. */
  get isOwned(): boolean {
    return this.own !== ONLY;
  }

  /** Its runs take so many times as long. */
  get slowness(): number {
    const { candidate } = this.own;
    return this.plan.slowness * this.slowFactor * (candidate?.candidate === 'slow' ? candidate.factor : 1);
  }

  /** A call has come: one that cannot stand it ends. True: it is gone. */
  diesOfCall(): boolean {
    const { candidate } = this.own;
    if (candidate?.candidate !== 'dying' || !this.failing.chance(candidate.share)) return false;
    this.process.defer(() => this.kill());
    return true;
  }

  private onStream(stream: SimStream, fields: readonly Field[], ended: boolean): void {
    const path = fields.find(([name]) => name === ':path')?.[1];
    if (path === HEALTH) {
      stream.headers(RESPONSE_HEADERS);
      stream.data(Buffer.concat([prefixOf(SERVING.length), SERVING]));
      stream.headers([['grpc-status', '0']], true);
      return;
    }
    if (path === SERVER_INFO || path === GET_LOADS) return this.tell(stream, path);
    const key = fields.find(([name]) => name === CALL_KEY)?.[1];
    if (key === undefined && path === MODEL_INFER) {
      stream.owner = new AsideCall(this, stream);
      return;
    }
    const id = Number(key ?? -1);
    const record = this.recordOf(id);
    if (record === undefined) return void stream.headers([...RESPONSE_HEADERS, ['grpc-status', '12']], true);
    const caller = fields.find(([name]) => name === 'outrider-caller')?.[1] ?? '';
    const call = new ModelCall(this, stream, record, caller, fields);
    this.executions.add(call);
    if (ended) call.requestDone();
  }

  /** An engine says how many calls it runs at once, or what it has to do. */
  private tell(stream: SimStream, path: string): void {
    const { slots = 'known', loads = 'known', parallel } = this.plan;
    const isSlots = path === SERVER_INFO;
    const telling = isSlots ? slots : loads;
    this.asked[isSlots ? 'slots' : 'loads']++;
    const status = { known: 0, garbage: 0, unknown: 12, refused: 14 }[telling];
    if (status !== 0) return stream.headers([...RESPONSE_HEADERS, ['grpc-status', `${status}`]], true);
    const known = isSlots ? serverInfo(parallel) : loadsMessage(this.running, this.waiting.length);
    const message = telling === 'known' ? known : GARBAGE;
    stream.headers(RESPONSE_HEADERS);
    stream.data(Buffer.concat([prefixOf(message.length), message]));
    stream.headers([['grpc-status', '0']], true);
  }

  /** What it says of its load in trailers. */
  get report(): readonly Field[] {
    switch (this.plan.report) {
      case 'binary':
        return [[BINARY_REPORT, loadReport(this.load).toString('base64')]];
      case 'text':
        return [[TEXT_REPORT, `TEXT application_utilization=${this.load}`]];
      case 'garbage':
        return [
          [BINARY_REPORT, 'no base64!'],
          [TEXT_REPORT, 'JSON {'],
        ];
      default:
        return [];
    }
  }

  // ---- runs ----

  enter(call: ModelCall): void {
    this.waiting.push(call);
    this.next();
  }

  leave(call: ModelCall): void {
    this.executions.delete(call);
    if (call.isRunning) {
      call.isRunning = false;
      this.running--;
    } else this.waiting = this.waiting.filter((each) => each !== call);
    this.next();
  }

  private next(): void {
    while (this.running < this.plan.parallel && this.waiting.length > 0) {
      const call = this.waiting.shift()!;
      call.isRunning = true;
      this.running++;
      call.run();
    }
  }

  /** Calls that it runs, and that wait in it. */
  get load(): number {
    return this.running + this.waiting.length;
  }
}

/** No message of protobuf. */
const GARBAGE = Buffer.from([0x0b, 0xff, 0xff, 0xff]);

const RESPONSE_HEADERS: readonly Field[] = [
  [':status', '200'],
  ['content-type', 'application/grpc'],
];

/** The golden input, or a copy of a call for another version: it runs beside the calls, and is answered as its call would be. */
class AsideCall implements StreamOwner {
  private readonly parts: Buffer[] = [];

  constructor(
    private readonly model: SimModel,
    private readonly stream: SimStream,
  ) {}

  onHeaders(): void {}
  onReset(): void {}

  onData(bytes: Buffer, ended: boolean): void {
    this.parts.push(bytes);
    this.stream.credit(bytes.length);
    if (ended) this.requestDone();
  }

  private requestDone(): void {
    const { model } = this;
    const id = idOf(Buffer.concat(this.parts).subarray(5));
    const plan = id === '' ? undefined : model.recordOf(Number(id))?.plan;
    model.process.after((plan?.serviceMs ?? 1) * model.slowness, () => this.answer(plan));
  }

  private answer(plan: CallPlan | undefined): void {
    const { model, stream } = this;
    const kind = model.own.candidate?.candidate;
    stream.headers(RESPONSE_HEADERS);
    if (plan === undefined) {
      const answer = kind === 'unproven' ? wrongly(GOLDEN_ANSWER) : GOLDEN_ANSWER;
      stream.data(Buffer.concat([prefixOf(answer.length), answer]));
      return stream.headers([['grpc-status', '0']], true);
    }
    const failure = model.own.candidate?.sparesCopies === true ? undefined : model.nextFailure();
    const [size] = plan.response;
    if (failure !== undefined || size === undefined)
      return stream.headers([['grpc-status', `${failure?.status ?? plan.status}`]], true);
    const content = messageOf(plan.id, RESPONSE, 0, size);
    stream.data(framedMessage(kind === 'wrong' ? wrongly(content) : content, headsOf(plan)?.response));
    stream.headers([['grpc-status', '0']], true);
  }
}

/** The same with another last byte. */
function wrongly(bytes: Buffer): Buffer {
  const other = Buffer.from(bytes);
  if (other.length > 0) other[other.length - 1] = (other.at(-1)! + 100) % 256;
  return other;
}

class ModelCall implements StreamOwner {
  isRunning = false;
  readonly execution: Execution;
  private readonly check: ContentCheck | AskedCheck;
  /** Of an engine: the message that completes the answer has been sent. */
  private isComplete = false;
  /** Of an engine: where the tokens of the last message begin, and which of those of its request it is. */
  private lastFrom = 0;
  private readonly variant: number;
  private readonly reader: Reader;
  private isOver = false;
  private readonly plan: CallPlan;
  private sent = 0;
  /** When part of the request last came. */
  private heardMs: number;
  /** Messages that the caller has already. */
  private readonly resumeAfter: number;
  private readonly head: Head | undefined;

  constructor(
    private readonly model: SimModel,
    private readonly stream: SimStream,
    private readonly record: CallRecord,
    caller: string,
    fields: readonly Field[],
  ) {
    const { plan } = record;
    this.plan = plan;
    this.heardMs = model.process.now();
    this.variant = plan.isDrawn === true ? record.executions.length : 0;
    stream.owner = this;
    this.resumeAfter = Number(fields.find(([name]) => name === RESUME_AFTER)?.[1] ?? 0);
    const heads = headsOf(plan);
    this.head = heads?.response;
    const head = heads?.request;
    this.check = isGenerate(plan)
      ? new AskedCheck(plan)
      : new ContentCheck({ call: plan.id, direction: REQUEST, sizes: plan.request, head });
    this.reader = new Reader(plan.modelReader, model.process);
    this.execution = {
      replica: model.plan.name,
      version: model.own.version,
      startMs: model.process.now(),
      isRequestWhole: false,
      hasRun: false,
      runMs: 0,
      runStartMs: -1,
      endMs: -1,
      ended: '',
      status: -1,
      pushback: '',
      problem: '',
      isEmpty: false,
      given: 0,
      received: 0,
      caller,
      wokenMs: [],
    };
    for (const [name, value] of Object.entries(plan.metadata))
      if (fields.find(([key]) => key === name)?.[1] !== value)
        this.execution.problem ||= `request: ${name} is not as it was sent`;
    const { execution } = this;
    record.executions.push(execution);
    for (const tell of record.onSent)
      tell({ record, execution, share: 0, isInMessage: false, isBegun: true });
  }

  onHeaders(_fields: readonly Field[], _ended: boolean): void {
    this.execution.problem ||= 'a second header block';
  }

  onData(bytes: Buffer, ended: boolean): void {
    const nowMs = this.model.process.now();
    // What waited for credit of the model was not silent at its caller.
    const silentMs = nowMs - Math.max(this.heardMs, this.stream.hasRoomSinceMs);
    if (silentMs >= SILENT_MS) this.execution.wokenMs.push(nowMs);
    this.heardMs = nowMs;
    this.record.movedMs = nowMs;
    this.check.take(bytes);
    this.execution.received = this.check.received;
    if (this.check.problem !== '') this.execution.problem ||= `request: ${this.check.problem}`;
    this.reader.onData(this.stream, bytes.length);
    if (ended) this.requestDone();
  }

  requestDone(): void {
    if (!this.check.isComplete)
      this.execution.problem ||= `request ended after ${this.check.received} of ${this.plan.request.length} messages`;
    this.execution.isRequestWhole = true;
    this.model.enter(this);
  }

  onReset(code: number): void {
    this.end(code === -1 ? 'lost' : 'reset');
    this.model.leave(this);
  }

  /** Its turn has come. */
  run(): void {
    const { process, slowness } = this.model;
    this.execution.hasRun = true;
    if (this.model.diesOfCall()) return;
    this.execution.runStartMs = process.now();
    this.record.movedMs = process.now();
    const { serviceMs } = this.plan;
    const runMs = Math.min(serviceMs * slowness, Math.max(serviceMs, MOST_SLOWED_MS));
    this.execution.runMs = runMs;
    process.after(runMs, () => this.answer());
  }

  private answer(): void {
    if (this.isOver) return;
    const { plan, model, stream } = this;
    const failure = model.nextFailure();
    const headers: Field[] = [
      ...RESPONSE_HEADERS,
      ['sim-replica', model.plan.name],
      [CALL_KEY, `${plan.id}`],
      ...Object.entries(plan.metadata).map(([name, value]) => [`${name}-again`, value] as const),
    ];
    if (failure !== undefined || (plan.response.length === 0 && plan.tokens === undefined)) {
      const pushback = failure?.pushback ?? '';
      this.execution.pushback = pushback;
      const more: Field[] = pushback === '' ? [] : [['grpc-retry-pushback-ms', pushback]];
      const status = failure?.status ?? plan.status;
      stream.headers([...headers, ...trailersOf(plan, status), ...more], true);
      return this.done(status);
    }
    const isEncoded = model.plan.encoding === ENCODING;
    if (isEncoded) headers.push(['grpc-encoding', ENCODING], ['grpc-accept-encoding', ENCODING]);
    const emptyShare = this.resumeAfter > 0 ? (model.plan.emptyShare ?? 0) : 0;
    if (emptyShare > 0 && model.isEmpty(emptyShare)) {
      this.execution.isEmpty = true;
      stream.headers([...headers, ...trailersOf(plan, plan.status)], true);
      return this.done(plan.status);
    }
    if (model.plan.resumes === true && plan.tokens !== undefined && this.resumeAfter > 0) {
      headers.push([RESUMED_FROM, `${this.resumeAfter}`]);
      for (let i = 0; i < this.resumeAfter && this.sent < plan.tokens; i++) this.sent += this.tokensNow();
      if (this.sent === plan.tokens) {
        stream.headers([...headers, ...trailersOf(plan, plan.status)], true);
        return this.done(plan.status);
      }
    }
    if (this.check instanceof AskedCheck) {
      this.sent = this.check.given;
      this.execution.given = this.check.given;
    }
    stream.headers(headers);
    this.next();
  }

  /** The next message; after the last one the trailers. */
  private next(): void {
    if (this.isOver) return;
    const { plan, stream, model } = this;
    const total = plan.tokens ?? plan.response.length;
    if (this.sent === total && this.check instanceof AskedCheck && !this.isComplete) {
      this.isComplete = true;
      const message = completeMessage(plan, this.tokensOfEngine(this.check.prompt));
      stream.data(this.framed(message));
    }
    if (this.sent < total) {
      const bytes = this.message();
      const cut = cutOf(plan, RESPONSE, this.sent, bytes.length);
      stream.data(bytes.subarray(0, cut));
      this.tellSent(cut < bytes.length);
      if (cut === bytes.length) return this.afterMessage();
      const rest = (): void => {
        if (this.isOver) return;
        stream.data(bytes.subarray(cut));
        this.afterMessage();
      };
      return void model.process.after(PIECE_MS, rest);
    }
    stream.headers([...trailersOf(plan, plan.status), ...model.report], true);
    this.done(plan.status);
  }

  private tellSent(isInMessage: boolean): void {
    const { plan, execution, record, sent } = this;
    if (record.onSent.size === 0) return;
    const share = sent / (plan.tokens ?? plan.response.length);
    for (const tell of record.onSent) tell({ record, execution, share, isInMessage, isBegun: false });
  }

  private afterMessage(): void {
    const { plan, stream, model } = this;
    const { responseGapMs } = plan;
    const wait = Math.min(responseGapMs * model.slowFactor, Math.max(responseGapMs, MOST_SLOWED_GAP_MS));
    // A model that waits for its reader holds one message at most.
    const again = (): void => {
      if (this.isOver) return;
      if (stream.waiting > 0) return void model.process.after(Math.max(1, wait), again);
      this.next();
    };
    const isLast = this.sent === (plan.tokens ?? plan.response.length);
    if (!isLast && (wait > 0 || stream.waiting > 0))
      return void model.process.after(Math.max(1, wait), again);
    this.next();
  }

  private message(): Buffer {
    return this.framed(this.content());
  }

  private framed(content: Buffer): Buffer {
    if (this.model.plan.encoding !== ENCODING) return Buffer.concat([prefixOf(content.length), content]);
    return Buffer.concat([prefixOf(content.length, 1), encoded(content)]);
  }

  private content(): Buffer {
    const { plan } = this;
    const from = this.sent;
    if (plan.tokens === undefined) {
      this.sent++;
      return withHead(messageOf(plan.id, RESPONSE, from, plan.response[from]!), this.head);
    }
    this.sent += this.tokensNow();
    this.lastFrom = from;
    if (this.check instanceof AskedCheck) return chunkMessage(plan, this.tokensOfEngine(this.check.prompt));
    return tokensOf(plan.id, from, this.sent, plan.tokenBytes ?? TOKEN_BYTES);
  }

  private tokensOfEngine(prompt: number): Tokens {
    return { from: this.lastFrom, to: this.sent, prompt, variant: this.variant };
  }

  /** Tokens of the next message. The same replica cuts the same stream in the same way; another one need not. */
  private tokensNow(): number {
    const { plan, model, sent } = this;
    const { tokensPerMessage, name } = model.plan;
    const most = Math.min(tokensPerMessage, plan.tokens! - sent);
    return 1 + ((plan.id * 7 + sent * 13 + name.length * 5 + tokensPerMessage) % most);
  }

  private done(status: number): void {
    this.execution.status = status;
    this.end('answered');
    this.model.leave(this);
  }

  end(how: Execution['ended']): void {
    if (this.isOver) return;
    this.isOver = true;
    this.execution.ended = how;
    this.execution.endMs = this.model.process.now();
  }
}

function trailersOf({ id, messageBytes }: CallPlan, status: number): Field[] {
  const message = messageBytes === 0 ? [] : [['grpc-message', 'e'.repeat(messageBytes)] as const];
  return [['grpc-status', `${status}`], ['sim-trailer', `${id}`], ...message];
}
