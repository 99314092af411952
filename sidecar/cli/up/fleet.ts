/**
 * All sidecars of one mesh on this machine: started together, heard, and ended in the right order.
 *
 * It knows how each one is and says what changes, as news; how news look on a screen is not its business.
 */

import type { TakeoverAnswer } from '../../admin/view.js';
import type { IdentityParts } from '../../identity/sources/identity-source.js';
import type { ModelReport } from '../../telemetry/reports.js';
import { ownsModel } from '../sidecar/command-override.js';
import type { SidecarEvent } from '../sidecar/parent-channel.js';
import { readyLimitMs, takeoverObstacle } from '../sidecar/succession.js';
import { listenersOf } from './listen-sockets.js';
import type { SidecarSpec } from './plan.js';
import { SidecarProcess, type SidecarProcessDeps } from './sidecar-process.js';

/** How one sidecar is, and its model, as far as it has said. */
export interface SidecarState {
  spec: SidecarSpec;
  process: ModelReport;
  model: ModelReport | undefined;
  /** Each of its models; `model` is all of them together. */
  models: readonly ModelReport[];
  /** Reasons; undefined until it has spoken. */
  notReady: readonly string[] | undefined;
}

export type FleetEvent =
  | { readonly kind: 'sidecar'; readonly state: SidecarState }
  /** `changed`: of its models. */
  | { readonly kind: 'model'; readonly state: SidecarState; readonly changed: readonly ModelReport[] }
  | { readonly kind: 'readiness'; readonly state: SidecarState }
  | { readonly kind: 'configuration' | 'takeover'; readonly state: SidecarState; readonly text: string };

/** For a sidecar's word about its changed file, which it watches. */
const RELOAD_LIMIT_MS = 10_000;
const READY_LOOK_MS = 100;

interface Member {
  state: SidecarState;
  process: SidecarProcess;
  successor: Successor | undefined;
  /** Waits for what the sidecar says of its changed file. */
  reloaded: ((said: Extract<SidecarEvent, { event: 'reloaded' | 'reload-refused' }>) => void) | undefined;
}

/** A process that is to follow the one of its member. */
interface Successor {
  readonly state: SidecarState;
  readonly process: SidecarProcess;
  /** Undefined: it accepts. */
  settle(why: string | undefined): void;
}

export class Fleet {
  private readonly members = new Map<string, Member>();
  private readonly deps: SidecarProcessDeps;
  private isStopping = false;

  constructor(
    specs: readonly SidecarSpec[],
    deps: Omit<SidecarProcessDeps, 'onProcess' | 'onEvent'>,
    private readonly report: (news: FleetEvent) => void,
  ) {
    this.deps = {
      ...deps,
      onProcess: (process, report) => this.processChanged(process, report),
      onEvent: (process, event) => this.onEvent(process, event),
    };
    for (const spec of specs) {
      this.addMember(spec);
    }
  }

  private addMember(spec: SidecarSpec): Member {
    const process = new SidecarProcess(spec, this.deps);
    const member: Member = { process, state: newState(process), successor: undefined, reloaded: undefined };
    this.members.set(spec.name, member);
    return member;
  }

  get states(): readonly SidecarState[] {
    return [...this.members.values()].map((member) => member.state);
  }

  start(): void {
    for (const { process } of this.members.values()) process.start();
  }

  /** One more sidecar; it starts. */
  add(spec: SidecarSpec): void {
    this.addMember(spec).process.start();
  }

  /** One sidecar fewer: it drains and ends. */
  async remove(name: string): Promise<void> {
    const member = this.members.get(name);
    member?.successor?.settle('it is gone from the mesh file');
    await member?.process.stop();
    this.members.delete(name);
    this.deps.sockets?.release(name);
  }

  /**
   * A changed spec, whose file `write` writes: its sidecar reloads it, or is restarted where that takes over what has
   * changed. Resolves with what has been done, in words.
   */
  async update(spec: SidecarSpec, write: () => void): Promise<string> {
    const member = this.members.get(spec.name)!;
    if (!isSameListeners(member.state.spec, spec)) {
      member.process.send({ tell: 'ignore-file' });
      write();
      return this.restart(member, spec);
    }
    const answer = this.reloadedAnswer(member);
    write();
    member.state.spec = spec;
    member.process.spec = spec;
    const said = await answer;
    if (said?.event === 'reload-refused') return `refused: ${said.problem}`;
    if (said === undefined || said.changes.length === 0) return 'reloaded';
    return `${await this.restart(member, spec)}, for ${said.changes.join(', ')}`;
  }

  /** Undefined: it does not run, or does not answer; when it starts it reads the file. */
  private reloadedAnswer(
    member: Member,
  ): Promise<Parameters<NonNullable<Member['reloaded']>>[0] | undefined> {
    return new Promise((resolve) => {
      const limit = this.deps.timers.after(RELOAD_LIMIT_MS, () => settle(undefined));
      const settle = (said: Parameters<NonNullable<Member['reloaded']>>[0] | undefined): void => {
        limit.cancel();
        member.reloaded = undefined;
        resolve(said);
      };
      member.reloaded = settle;
      if (member.process.report().state !== 'ready') settle(undefined);
    });
  }

  /** Restarts a sidecar: make before break, unless that took the memory of its models twice. */
  private async restart(member: Member, spec: SidecarSpec): Promise<string> {
    if (!ownsModel(spec.config)) {
      const answer = await this.replace(spec.name, spec);
      if (answer.ok) return 'followed by a new process';
      member.process.send({ tell: 'stay', why: answer.why });
      return `not restarted: ${answer.why}`;
    }
    await member.process.stop();
    if (this.isStopping) return 'ended';
    this.addMember(spec).process.start();
    await this.untilReady(spec.name);
    return 'restarted';
  }

  /** Or until that takes too long: whatever waits for it goes on. */
  private untilReady(name: string): Promise<void> {
    return new Promise((resolve) => {
      const since = this.deps.clock.now();
      const limitMs = readyLimitMs(this.members.get(name)!.state.spec.config);
      const look = (): void => {
        const member = this.members.get(name);
        const isOver = member === undefined || isReady(member.state) || this.isStopping;
        if (isOver || this.deps.clock.now() - since > limitMs) resolve();
        else this.deps.timers.after(READY_LOOK_MS, look);
      };
      look();
    });
  }

  /** A new identity for one sidecar, which its files may not hold yet. */
  sendIdentity(name: string, parts: IdentityParts): void {
    this.members.get(name)?.process.send({ tell: 'identity', parts });
  }

  /** The caller stops accepting first and finishes its calls; then the replicas, which by then have none. */
  async stop(): Promise<void> {
    this.isStopping = true;
    for (const { successor } of this.members.values()) successor?.settle('up is ending');
    await this.stopRole('caller');
    await this.stopRole('replica');
  }

  /** Ends everything at once, frozen processes too; the models die with their sidecars. */
  kill(): void {
    for (const { process, successor } of this.members.values()) {
      process.kill();
      successor?.process.kill();
    }
  }

  private async stopRole(role: SidecarSpec['role']): Promise<void> {
    const members = [...this.members.values()].filter((member) => member.state.spec.role === role);
    await Promise.all(members.map((member) => member.process.stop()));
  }

  /**
   * Starts a successor of a sidecar; once that accepts, the sidecar drains and ends. It stays when the successor does not
   * get ready, and where two cannot be at once.
   */
  async replace(name: string, spec?: SidecarSpec): Promise<TakeoverAnswer> {
    const member = this.members.get(name)!;
    const why = this.whyNotReplaced(member);
    if (why !== undefined) return { ok: false, why };
    const { generation } = member.process;
    const process = new SidecarProcess(spec ?? member.state.spec, this.deps, generation + 1);
    const problem = await this.accepting(member, process);
    if (problem !== undefined) {
      process.kill();
      await process.stop();
      return { ok: false, why: problem };
    }
    const { pid = 0 } = process.report();
    member.process.send({ tell: 'hand-over', pid });
    const gone = member.process.awaitExit();
    member.process = process;
    member.state = member.successor!.state;
    member.successor = undefined;
    this.report({ kind: 'takeover', state: member.state, text: `process ${pid} has taken over` });
    await gone;
    return { ok: true, pid };
  }

  private whyNotReplaced({ state: { spec }, successor }: Member): string | undefined {
    if (this.isStopping) return 'up is ending';
    if (successor !== undefined) return 'a successor is on its way already';
    if (this.deps.sockets === undefined) return 'this Node cannot hand sockets over';
    return takeoverObstacle(spec.config);
  }

  /** Starts the process beside the one of its member; resolves with why it does not accept, or nothing when it does. */
  private accepting(member: Member, process: SidecarProcess): Promise<string | undefined> {
    return new Promise((resolve) => {
      const limitMs = readyLimitMs(process.spec.config);
      const tooLate = `the successor was not ready within ${limitMs / 1000} s`;
      const limit = this.deps.timers.after(limitMs, () => member.successor?.settle(tooLate));
      let isSettled = false;
      const settle = (why: string | undefined): void => {
        if (isSettled) return;
        isSettled = true;
        limit.cancel();
        if (why !== undefined) member.successor = undefined;
        resolve(why);
      };
      member.successor = { process, state: newState(process), settle };
      process.start();
    });
  }

  private processChanged(process: SidecarProcess, report: ModelReport): void {
    const found = this.find(process);
    if (found === undefined) return;
    const { state, successor } = found;
    state.process = report;
    if (report.state !== 'ready' && report.state !== 'starting') state.notReady = undefined;
    const isDown = report.state === 'backoff' || report.state === 'stopped';
    if (isDown) {
      state.model = undefined;
      state.models = [];
    }
    if (successor === undefined) this.report({ kind: 'sidecar', state });
    else if (isDown) successor.settle(`the successor ended: ${report.why.replace(/; next start in .*/, '')}`);
  }

  private onEvent(process: SidecarProcess, event: SidecarEvent): void {
    const found = this.find(process);
    if (found === undefined) return;
    const { state, successor } = found;
    if (event.event === 'readiness') state.notReady = event.notReady;
    const before = state.models;
    if (event.event === 'model') {
      state.model = event.report;
      state.models = event.models;
    }
    if (event.event === 'reloaded' || event.event === 'reload-refused')
      this.members.get(process.spec.name)?.reloaded?.(event);
    if (event.event === 'takeover' || event.event === 'ending') void this.answerTakeover(process);
    if (event.event === 'accepting') successor?.settle(undefined);
    const news = successor === undefined ? newsOf(state, event, before) : undefined;
    if (news !== undefined) this.report(news);
  }

  /** A sidecar asked for a successor. One that is to end gets none. */
  private async answerTakeover(process: SidecarProcess): Promise<void> {
    const isEnding = process.report().state === 'stopping';
    const answer: TakeoverAnswer = isEnding
      ? { ok: false, why: 'up has told it to end' }
      : await this.replace(process.spec.name);
    if (!answer.ok) process.send({ tell: 'stay', why: answer.why });
  }

  /** The state of a process, and itself where it is a successor; undefined for one that has handed over. */
  private find(
    process: SidecarProcess,
  ): { state: SidecarState; successor: Successor | undefined } | undefined {
    const member = this.members.get(process.spec.name);
    if (member?.process === process) return { state: member.state, successor: undefined };
    const successor = member?.successor;
    return successor?.process === process ? { state: successor.state, successor } : undefined;
  }
}

function newState(process: SidecarProcess): SidecarState {
  return { spec: process.spec, process: process.report(), model: undefined, models: [], notReady: undefined };
}

function newsOf(
  state: SidecarState,
  event: SidecarEvent,
  before: readonly ModelReport[],
): FleetEvent | undefined {
  switch (event.event) {
    case 'readiness':
      return { kind: 'readiness', state };
    case 'model':
      return { kind: 'model', state, changed: event.models.filter((each) => !before.some(isSame(each))) };
    case 'reloaded':
      return { kind: 'configuration', state, text: 'took the new configuration' };
    case 'reload-refused':
      return { kind: 'configuration', state, text: `refused the new configuration: ${event.problem}` };
    case 'listening':
    case 'draining':
    case 'takeover':
    case 'ending':
    case 'accepting':
      return undefined;
  }
}

function isSame(one: ModelReport): (other: ModelReport) => boolean {
  return ({ name, state, why, pid }) =>
    name === one.name && state === one.state && why === one.why && pid === one.pid;
}

function isSameListeners(one: SidecarSpec, other: SidecarSpec): boolean {
  return JSON.stringify(listenersOf(one.config)) === JSON.stringify(listenersOf(other.config));
}

/** Ready as a whole: the process answers and has no reason against it. */
export function isReady(state: SidecarState): boolean {
  return state.process.state === 'ready' && state.notReady?.length === 0;
}
