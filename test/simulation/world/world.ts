/** Runs a plan: builds its processes, makes its calls and faults happen on one clock, and returns the history. */
import '../../kit/mocha/strict-phases.js';
import { ManualClock } from '../../kit/time/manual-clock.js';
import { Dice } from '../dice.js';
import {
  type FaultPlan,
  fewNameOf,
  isCollectorFault,
  isConsulFault,
  type Met,
  type Plan,
  type ReplicaPlan,
  type RolloutPlan,
  TWICE,
} from '../plan/plan.js';
import { SimCollector } from './collector/sim-collector.js';
import { SimConsul } from './consul/sim-consul.js';
import { SimDisk } from './disk.js';
import { MODEL_CARD } from './inference.js';
import { LastCalls } from './last-calls.js';
import { type CallRecord, recordOf, type Sent } from './records.js';
import { knows, PRESENT, type Release } from './release.js';
import { SimCaller } from './sim-caller.js';
import { type DnsFailure, SimDns } from './sim-dns.js';
import type { Issuer } from './sim-identity.js';
import { SimModel } from './sim-model.js';
import { SimNet } from './sim-net.js';
import type { SimProcess } from './sim-process.js';
import { type SidecarEvents, SimSidecar } from './sim-sidecar.js';
import { SimSupervisor } from './sim-supervisor.js';
import type { WorkCounts } from './work-counts.js';

/** Something that was wrong while the run went on. */
export interface Finding {
  readonly invariant: string;
  readonly what: string;
  readonly atMs: number;
  readonly calls: readonly number[];
}

type Writable<T> = { -readonly [K in keyof T]: T[K] };

/** Sees the world between two turns, each so many ms. */
export interface Watch {
  readonly everyMs: number;
  look(world: World): void;
}

/** Between the first sidecar that hears of other roots and the last, ms. */
export const ROOTS_SPREAD_MS = 800;

/** A fault waits so long for the answer that it is to meet, ms. */
const MOST_AWAITED_MS = 3_000;
/** Streams of fewer messages are met by nothing. */
const LEAST_MET = 3;
/** Of calls that two replicas have, those that a fault meets at the first of them. */
const FIRST_SHARE = 0.7;
/** A turn that never ends is a finding. */
const MOST_TURNS_AT_ONCE = 200_000;
/** After the last call and fault, so that everything comes to rest. */
const REST_MS = 60_000;
/** What a sidecar asks of a peer that had denied it, it asks again after a minute; and a rollout goes from replica to replica. */
const LONG_REST_MS = 150_000;
/** Before the first call; with Consul everybody has found each other by then. */
const BEGIN_MS = 500;
const BEGIN_WITH_CONSUL_MS = 4_000;

export class World {
  /** With the faults as they happened. */
  readonly plan: Plan;
  private readonly faults: Writable<FaultPlan>[];
  readonly clock = new ManualClock();
  readonly net: SimNet;
  readonly records: CallRecord[];
  private readonly lastCalls: LastCalls;
  readonly models: SimModel[] = [];
  readonly sidecars: SimSidecar[] = [];
  readonly callers: SimCaller[] = [];
  consul: SimConsul | undefined;
  collector: SimCollector | undefined;
  readonly disk: SimDisk;
  readonly dns: SimDns;
  readonly findings: Finding[] = [];
  readonly trace: string[] = [];
  /** Hash over all that the trace would say. */
  traceHash = 0;
  keepsTrace = false;
  turns = 0;
  dirty: SimProcess[] = [];
  /** Where the work of turns is counted. */
  counts: WorkCounts | undefined;
  /** Ejections of endpoints, with the sidecar that made them. */
  readonly ejectionsSeen: {
    readonly sidecar: string;
    readonly label: string;
    readonly atMs: number;
    /** As the sidecar says it. */
    readonly why: string;
  }[] = [];
  private readonly out = new Set<string>();
  /** By number: the calls that faults have met. */
  private readonly metCalls = new Map<number, CallRecord>();
  private readonly dice: Dice;
  /** By the clock: what the trace counts from. */
  readonly beginMs: number;

  constructor(
    plan: Plan,
    private readonly watches: readonly Watch[] = [],
    /** Versions that processes of sidecars are of. */
    private readonly releases: readonly Release[] = [PRESENT],
  ) {
    this.faults = plan.faults.map((fault) => ({ ...fault }));
    this.plan = { ...plan, faults: this.faults };
    this.dice = new Dice(plan.seed, 'world');
    this.beginMs = this.clock.now();
    this.net = new SimNet(this.clock, this.dice.of('net'), (from, to) =>
      from.host === to.host ? plan.links.local : plan.links.mesh,
    );
    this.net.onChanged = (process) =>
      this.findOnce('right-frames', `${process} changed a buffer that its socket had not taken yet`);
    this.records = plan.calls.map(recordOf);
    this.lastCalls = new LastCalls(plan, this.records, this.clock, (record) => this.beginCall(record));
    this.disk = new SimDisk(this.clock, this.dice.of('disk'));
    this.dns = new SimDns(this.clock, this.dice.of('dns'));
    for (const service of new Set(plan.replicas.map((each) => each.service))) {
      const hosts = plan.replicas.filter((each) => each.service === service).map(hostOf);
      this.dns.records.set(`${service}.sim`, hosts);
      this.dns.records.set(fewNameOf(service), hosts.slice(0, 1));
    }
  }

  /** Since the begin of the run, ms. */
  get nowMs(): number {
    return this.clock.now() - this.beginMs;
  }

  /** Of the times of the plan, by the clock. */
  get originMs(): number {
    return this.beginMs + this.warmUpMs;
  }

  ejected(sidecar: string, label: string, why: string): void {
    const key = `${sidecar} ${label}`;
    if (this.out.has(key)) return;
    this.out.add(key);
    this.ejectionsSeen.push({ sidecar, label, atMs: this.clock.now(), why });
  }

  admitted(sidecar: string, label: string): void {
    if (this.out.size > 0) this.out.delete(`${sidecar} ${label}`);
  }

  find(invariant: string, what: string, calls: readonly number[] = []): void {
    if (this.findings.length < 50)
      this.findings.push({ invariant, what, atMs: Math.round(this.nowMs * 100) / 100, calls });
  }

  /** A finding that the run makes again and again is kept once. */
  findOnce(invariant: string, what: string): void {
    if (!this.findings.some((each) => each.invariant === invariant && each.what === what))
      this.find(invariant, what);
  }

  onCrash(process: SimProcess, error: unknown): void {
    const text = error instanceof Error ? (error.stack ?? error.message) : String(error);
    this.find('no-exception', `${process.name}: ${text.split('\n').slice(0, 6).join(' | ')}`);
  }

  note(line: string): void {
    const text = `${this.nowMs.toFixed(2)} ${line}`;
    for (let i = 0; i < text.length; i++)
      this.traceHash = (Math.imul(this.traceHash, 31) + text.charCodeAt(i)) >>> 0;
    if (this.keepsTrace) this.trace.push(text);
  }

  private tell(line: string): void {
    this.trace.push(`${this.nowMs.toFixed(2)} ${line}`);
  }

  async run(): Promise<void> {
    await this.build();
    await this.until(this.warmUpMs);
    this.lastCalls.schedule();
    for (const fault of [...this.faults]) this.scheduleFault(fault);
    if (this.plan.rollout !== undefined) this.scheduleRollout(this.plan.rollout);
    for (const watch of this.watches) {
      const look = (): void => {
        watch.look(this);
        if (this.nowMs < this.endMs) this.clock.after(watch.everyMs, look);
      };
      this.clock.after(watch.everyMs, look);
    }
    for (let untilMs = 0; untilMs < this.endMs; ) {
      untilMs = this.endMs;
      await this.until(untilMs);
    }
  }

  /** Times of calls and faults count from here. */
  get warmUpMs(): number {
    return this.plan.consul === undefined ? BEGIN_MS : BEGIN_WITH_CONSUL_MS;
  }

  /** The run is over, and everything is at rest. */
  get endMs(): number {
    const isDenied = this.plan.faults.some(({ kind }) => kind === 'deny-intention');
    const isLong = isDenied || this.plan.rollout !== undefined;
    return this.warmUpMs + this.plan.forMs + (isLong ? LONG_REST_MS : REST_MS) + this.lastCalls.lateMs;
  }

  private async build(): Promise<void> {
    const { plan, dice } = this;
    const byId = new Map(this.records.map((record) => [record.plan.id, record]));
    const find = (id: number): CallRecord | undefined => byId.get(id);
    const events: SidecarEvents = {
      world: this,
      own: (sidecar, host) => {
        const replica = plan.replicas.find(({ name }) => name === sidecar.name)!;
        const { address, version = '' } = host;
        const path = address.kind === 'unix' ? address.path : '';
        const candidate = version === '2' ? plan.rollout : undefined;
        const own = dice.of(`model ${replica.name} ${path}`);
        const model = new SimModel(replica, replica.name, path, this, own, find, { version, candidate });
        this.models.push(model);
        return new SimSupervisor(host, sidecar.process, model);
      },
      killed: ({ name }) => {
        this.disk.killed(name);
        if (plan.features.includes('power-loss')) this.disk.losePower(name);
      },
      log: (sidecar: string, level: string, fields: object, message: string) => {
        // For a reader: they are many, and no hash needs them.
        if (level === 'info') {
          if (this.keepsTrace) this.tell(`${sidecar}: ${message} ${JSON.stringify(fields)}`);
          return;
        }
        const error = (fields as { error?: unknown }).error;
        const why = error instanceof Error ? error.stack : JSON.stringify(fields);
        if (level === 'error' && message.startsWith('defect'))
          this.find('no-exception', `${sidecar}: ${message}: ${why}`);
        this.note(`${sidecar} ${level}: ${message} ${why}`);
      },
    };
    if (plan.features.includes('collector')) this.collector = new SimCollector(this, dice.of('collector'));
    if (plan.consul !== undefined) this.consul = new SimConsul(plan.consul, this, dice.of('consul'));
    for (const { name } of [...plan.replicas, ...plan.callers])
      this.disk.mkdirSync(`/sim/${name}`, { recursive: true });
    for (const replica of plan.replicas) {
      const path = `/sim/${replica.name}.sock`;
      if ('model' in replica.file) this.addVersion(replica.name, '1');
      else
        this.models.push(
          new SimModel(replica, replica.name, path, this, dice.of(`model ${replica.name}`), find),
        );
      this.sidecars.push(
        new SimSidecar(
          replica.name,
          replica.name,
          replica.file,
          events,
          dice.of(`sidecar ${replica.name}`),
          this.issuer(),
          this.releasesFor(replica.name, replica.file),
        ),
      );
    }
    for (const caller of plan.callers) {
      const sidecar = new SimSidecar(
        caller.name,
        caller.name,
        caller.file,
        events,
        dice.of(`sidecar ${caller.name}`),
        this.issuer(),
        this.releasesFor(caller.name, caller.file),
      );
      this.sidecars.push(sidecar);
      this.callers.push(
        new SimCaller(caller, caller.name, this, dice.of(`app ${caller.name}`), (upstream) => {
          const address = sidecar.addressOf(upstream);
          return address ?? { kind: 'tcp', host: 'away', port: 1 };
        }),
      );
    }
    const started = Promise.all(this.sidecars.map((sidecar) => sidecar.start()));
    let isStarted = false;
    const done = (): void => {
      isStarted = true;
    };
    started.then(done, done);
    for (let i = 0; i < 1_000 && !isStarted; i++) await this.turn();
    await started;
  }

  /** An operator copies a version of the model to a machine. */
  private addVersion(machine: string, version: string): void {
    this.disk.put(`/sim/${machine}/models/digits/${version}/model.yaml`, MODEL_CARD);
  }

  private scheduleRollout({ atMs, spreadMs }: RolloutPlan): void {
    const owners = this.plan.replicas.filter(({ file }) => 'model' in file);
    for (const [i, { name }] of owners.entries())
      this.clock.after(atMs + (spreadMs * i) / Math.max(1, owners.length - 1), () => {
        this.note(`version 2 comes to ${name}`);
        this.addVersion(name, '2');
      });
  }

  private issuer(): Issuer {
    const lifetimeMs = this.plan.certificateMs ?? Number.POSITIVE_INFINITY;
    return { lifetimeMs, isGiving: true, root: 1, roots: [1], onRoots: () => {} };
  }

  private beginCall(record: CallRecord): void {
    const caller = this.callers[record.plan.caller]!;
    this.note(`call ${record.plan.id} begins`);
    caller.process.run(() => caller.call(record));
  }

  // ---- faults ----

  private scheduleFault(fault: Writable<FaultPlan>): void {
    const { met } = fault;
    this.clock.after(fault.atMs, () => {
      if (met === undefined) this.beginFault(fault, this.workerOf(fault.ofCall));
      else this.awaitAnswer(fault, met);
    });
  }

  private beginFault(fault: Writable<FaultPlan>, worker: string | undefined): void {
    const lastsMs = fault.untilMs - fault.atMs;
    if (fault.met !== undefined) fault.atMs = this.clock.now() - this.originMs;
    fault.untilMs = Math.min(Math.max(this.plan.forMs, fault.untilMs), fault.atMs + lastsMs);
    fault.target = worker ?? fault.target;
    this.note(`fault ${fault.kind} at ${fault.target}`);
    this.begin(fault);
    this.clock.after(fault.untilMs - fault.atMs, () => {
      this.note(`fault ${fault.kind} at ${fault.target} ends`);
      this.endFault(fault);
    });
  }

  /** The fault begins when so much of an answer has been sent, or when none comes. */
  private awaitAnswer(fault: Writable<FaultPlan>, met: Met): void {
    let isOver = false;
    const begin = (worker?: string): void => {
      if (isOver) return;
      isOver = true;
      for (const { onSent } of this.records) onSent.delete(tell);
      // No replica went on with the stream that was met before: nothing happens.
      if (worker === undefined && met.replicasBefore > 0) this.faults.splice(this.faults.indexOf(fault), 1);
      else this.beginFault(fault, worker);
    };
    const tell = (sent: Sent): void => {
      const replica = this.metAt(sent, met);
      if (replica === undefined) return;
      this.metCalls.set(met.stream, sent.record);
      for (const { onSent } of this.records) onSent.delete(tell);
      this.clock.after(met.afterMs, () => begin(replica));
    };
    for (const { onSent } of this.records) onSent.add(tell);
    const mostMs = met.replicasBefore > 0 ? 2 * MOST_AWAITED_MS : MOST_AWAITED_MS;
    this.clock.after(Math.min(mostMs, Math.max(0, 0.95 * this.plan.forMs - fault.atMs)), begin);
  }

  /** The replica that a fault strikes as it meets this; undefined: it does not. */
  private metAt(sent: Sent, met: Met): string | undefined {
    const { record, execution, isBegun } = sent;
    if (met.of !== TWICE) return !isBegun && this.isMet(sent, met) ? execution.replica : undefined;
    if (!isBegun || !this.isOf(record.plan.upstream, execution.replica)) return undefined;
    const first = record.executions.find(
      (each) => each !== execution && each.endMs < 0 && this.isOf(record.plan.upstream, each.replica),
    );
    return first === undefined || met.share < FIRST_SHARE ? first?.replica : execution.replica;
  }

  private isMet({ record, execution, share, isInMessage }: Sent, met: Met): boolean {
    const { tokens, response, reader, isInPieces, upstream } = record.plan;
    const known = this.metCalls.get(met.stream);
    if (known === undefined ? met.replicasBefore > 0 : known !== record) return false;
    if (known === undefined) {
      if ((tokens ?? response.length) < LEAST_MET || (met.of !== 'any' && tokens === undefined)) return false;
      if (met.of === 'slow' && reader.kind === 'eager') return false;
    }
    if (share < met.share || (isInPieces === true && !isInMessage && share < 1)) return false;
    const own = record.executions.filter(({ replica }) => this.isOf(upstream, replica));
    return own.indexOf(execution) >= met.replicasBefore;
  }

  private isOf(upstream: string, replica: string): boolean {
    return this.plan.replicas.some(({ name, service }) => name === replica && service === upstream);
  }

  /** The replica of the service that works for a call now. */
  private workerOf(call: number | undefined): string | undefined {
    const record = this.records.find(({ plan }) => plan.id === call);
    return record?.executions.findLast(
      ({ endMs, replica }) => endMs < 0 && this.isOf(record.plan.upstream, replica),
    )?.replica;
  }

  private begin(fault: FaultPlan): void {
    if (isConsulFault(fault.kind)) return this.consul?.begin(fault);
    if (isCollectorFault(fault.kind)) return this.collector?.begin(fault);
    const models = this.models.filter(({ plan }) => plan.name === fault.target);
    const sidecar = this.sidecars.find(({ name }) => name === fault.target);
    switch (fault.kind) {
      case 'kill-model':
        for (const model of models) model.kill();
        return;
      case 'freeze-model':
        for (const model of models) model.process.freeze();
        return;
      case 'kill-sidecar':
        return sidecar?.kill();
      case 'freeze-sidecar':
      case 'freeze-caller':
        return sidecar?.process.freeze();
      case 'slow-model':
        for (const model of models) model.slowFactor = fault.amount;
        return;
      case 'failing-model':
        for (const model of models)
          model.failure = { status: fault.amount, share: fault.share ?? 1, pushback: fault.pushback ?? '' };
        return;
      case 'break-connection':
        for (const socket of this.meshSockets(fault.target)) socket.breaksAfterBytes = fault.amount;
        return;
      case 'stall-connection':
        for (const socket of this.meshSockets(fault.target))
          for (const side of [socket, socket.other])
            if (side !== null) side.stalledUntilMs = this.clock.now() + fault.untilMs - fault.atMs;
        return;
      case 'partition':
        for (const caller of this.callers) this.net.cuts.add(`${caller.plan.name} ${fault.target}`);
        return;
      case 'drain':
        void sidecar?.giveWay().catch((error: unknown) => this.find('drain', String(error)));
        return;
      case 'takeover':
        void sidecar?.takeOver().catch((error: unknown) => this.find('takeover', String(error)));
        return;
      case 'clock-jump':
        if (sidecar !== undefined) sidecar.process.clockOffsetMs += fault.amount;
        return;
      case 'identity-expires':
        if (sidecar !== undefined) sidecar.issuer.isGiving = false;
        return;
      case 'disk-full':
      case 'disk-slow':
      case 'disk-ragged':
        return this.disk.begin(fault);
      case 'dns-fails':
      case 'dns-empty':
        this.dns.failure = fault.failure as DnsFailure;
        return;
      case 'dns-loses':
        for (const replica of this.plan.replicas)
          if (replica.name === fault.target) this.dns.lost.add(hostOf(replica));
        return;
      case 'roots-change':
        return this.changeRoots();
      case 'reload':
        if (sidecar !== undefined && fault.file !== undefined) this.reload(sidecar, fault.file);
        return;
    }
  }

  private endFault(fault: FaultPlan): void {
    if (isConsulFault(fault.kind)) return this.consul?.end(fault);
    if (isCollectorFault(fault.kind)) return this.collector?.end(fault);
    const models = this.models.filter(({ plan }) => plan.name === fault.target);
    const sidecar = this.sidecars.find(({ name }) => name === fault.target);
    switch (fault.kind) {
      case 'kill-model':
        // What a sidecar has started, it starts again.
        for (const model of models) if (model.process.isDead && !model.isOwned) model.start();
        return;
      case 'freeze-model':
        for (const model of models) model.process.thaw();
        return;
      case 'kill-sidecar':
        if (sidecar?.process.isDead === true)
          void sidecar.start().catch((error: unknown) => this.find('restart', String(error)));
        return;
      case 'freeze-sidecar':
      case 'freeze-caller':
        return sidecar?.process.thaw();
      case 'slow-model':
        for (const model of models) model.slowFactor = 1;
        return;
      case 'failing-model':
        for (const model of models) model.failure = undefined;
        return;
      case 'break-connection':
        for (const socket of this.meshSockets(fault.target))
          socket.breaksAfterBytes = Number.POSITIVE_INFINITY;
        return;
      case 'clock-jump':
        if (sidecar !== undefined && sidecar.process.clockOffsetMs !== 0)
          sidecar.process.clockOffsetMs -= fault.amount;
        return;
      case 'identity-expires':
        if (sidecar === undefined) return;
        sidecar.issuer.isGiving = true;
        return sidecar.identity.rotate();
      case 'disk-full':
      case 'disk-slow':
      case 'disk-ragged':
        return this.disk.end(fault);
      case 'dns-fails':
      case 'dns-empty':
        this.dns.failure = undefined;
        return;
      case 'dns-loses':
        return this.dns.lost.clear();
      case 'partition':
        for (const caller of this.callers) this.net.cuts.delete(`${caller.plan.name} ${fault.target}`);
        return;
      default:
        return;
    }
  }

  /**
   * Each step reaches the sidecars one after the other, and the next one begins when all have got there: nobody meets a certificate of a
   * root that it does not believe. The last step comes when the certificates of the old root are over.
   */
  private changeRoots(): void {
    const { sidecars, clock, dice } = this;
    const lifetimeMs = this.plan.certificateMs ?? 0;
    const step = (afterMs: number, make: (issuer: Issuer) => void): void => {
      for (const { issuer, name } of sidecars)
        clock.after(afterMs + dice.of(`roots ${name}`).next() * ROOTS_SPREAD_MS, () => make(issuer));
    };
    const believe = (issuer: Issuer, roots: readonly number[]): void => {
      issuer.roots = roots;
      issuer.onRoots();
    };
    this.note('a new root is believed');
    step(0, (issuer) => believe(issuer, [1, 2]));
    step(ROOTS_SPREAD_MS, (issuer) => {
      issuer.root = 2;
    });
    step(2 * ROOTS_SPREAD_MS + lifetimeMs, (issuer) => believe(issuer, [2]));
  }

  /** Sockets of the sidecar of this name towards others in the mesh. */
  private meshSockets(name: string) {
    const sidecar = this.sidecars.find((each) => each.name === name);
    return [...(sidecar?.process.sockets ?? [])].filter(
      (socket) => socket.other !== null && socket.other.process.host !== socket.process.host,
    );
  }

  /** Those that know all that the files of a sidecar say: its first one, and those of its reloads. */
  private releasesFor(name: string, first: object): readonly Release[] {
    if (this.releases[0] === PRESENT && this.releases.length === 1) return this.releases;
    const next = this.faults.flatMap(({ target, file }) =>
      target === name && file !== undefined ? [file] : [],
    );
    const able = this.releases.filter((release) => knows(release, [first, ...next]));
    return able.length > 0 ? able : [PRESENT];
  }

  private reload(sidecar: SimSidecar, file: object): void {
    void sidecar.reload(file).catch((error: unknown) => this.find('reload', String(error)));
  }

  // ---- time ----

  /** One turn of all processes. False: nothing happened, and no promise was left that could change it. */
  private async turn(): Promise<boolean> {
    this.turns++;
    if (this.counts?.isDue() === true) return this.countedTurn(this.counts);
    if (this.net.turn() || this.dirty.length > 0) {
      this.endTurn();
      return true;
    }
    await new Promise(setImmediate);
    return this.endTurn();
  }

  private async countedTurn(counts: WorkCounts): Promise<boolean> {
    let moved = false;
    const excess = await counts.around(() => {
      const before = this.net.bytesRead;
      moved = this.net.turn() || this.dirty.length > 0;
      this.endTurn();
      const entities = this.records.length + this.sidecars.length * this.sidecars.length;
      return { bytes: this.net.bytesRead - before, entities };
    });
    if (excess !== undefined) this.find('linear-work', excess);
    return moved || this.net.isTouched;
  }

  private endTurn(): boolean {
    const { dirty } = this;
    if (dirty.length === 0) return this.net.isTouched;
    this.dirty = [];
    for (const process of dirty) process.endTurn();
    return true;
  }

  async until(ms: number): Promise<void> {
    const untilMs = this.beginMs + ms;
    for (;;) {
      let turns = 0;
      while (await this.turn())
        if (++turns > MOST_TURNS_AT_ONCE) {
          this.find('no-endless-turn', `${turns} turns without time passing`);
          return;
        }
      if (!this.clock.step(untilMs)) break;
      // Timers of the same moment belong together.
      while (this.clock.nextDueMs() <= this.clock.now() && this.clock.step(untilMs));
    }
    this.clock.advance(Math.max(0, untilMs - this.clock.now()));
  }

  /** Everything ends: applications first, then sidecars and models. */
  async close(): Promise<void> {
    for (const caller of this.callers) caller.close();
    await this.until(this.nowMs + 1_000);
  }

  async stop(): Promise<void> {
    const stopped = Promise.all(this.sidecars.map((sidecar) => sidecar.running?.stop()));
    let isStopped = false;
    const done = (): void => {
      isStopped = true;
    };
    stopped.then(done, done);
    for (let i = 0; i < 1_000 && !isStopped; i++) await this.turn();
    await this.until(this.nowMs + 1_000);
  }
}

/** The address of a replica, without its port. */
function hostOf({ file }: ReplicaPlan): string {
  return (file as { inbound: { listen: string } }).inbound.listen.split(':')[0]!;
}
