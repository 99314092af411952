import type { TakeoverAnswer } from '../../admin/view.js';
import type { IdentityParts } from '../../identity/identity.js';
import type { ModelReport } from '../../telemetry/reports.js';
import { oneLine } from '../failure.js';
import { SILENT_MS } from '../liveness.js';
import { ownsModel } from '../sidecar/command-override.js';
import type { SidecarEvent } from '../sidecar/parent-channel.js';
import { readyLimitMs, takeoverObstacle } from '../sidecar/takeover.js';
import {
  applyProcessReport,
  applySidecarEvent,
  type FleetEvent,
  isDown,
  isReady,
  newState,
  type SidecarState,
} from './fleet-state.js';
import { listenersOf } from './listen-sockets.js';
import type { SidecarSpec } from './plan.js';
import { SidecarProcess, type SidecarProcessDeps, START_TIMEOUT_MS } from './sidecar-process.js';

/** For the event with which a sidecar reports that it has reloaded its file. */
const RELOAD_LIMIT_MS = 10_000;
const READY_POLL_MS = 100;

type ReloadEvent = Extract<SidecarEvent, { event: 'reloaded' | 'reload-refused' }>;

interface Member {
  state: SidecarState;
  process: SidecarProcess;
  successor: Successor | undefined;
  /** Resolves a pending `reloadEvent`. */
  onReloaded: ((event: ReloadEvent | undefined) => void) | undefined;
}

/** A process that is to take over from the one of its member. */
interface Successor {
  readonly state: SidecarState;
  readonly process: SidecarProcess;
  /** @param why it has failed; undefined: it accepts. */
  settle(why: string | undefined): void;
}

/**
 * All sidecars of one mesh on this machine: starts them together, restarts and replaces single
 * ones, and ends them in order. Every change of state goes to `report`; how it is shown is decided
 * in `report.ts`.
 */
export class Fleet {
  private readonly members = new Map<string, Member>();
  private readonly deps: SidecarProcessDeps;
  private isStopping = false;

  constructor(
    specs: readonly SidecarSpec[],
    deps: Omit<SidecarProcessDeps, 'onProcess' | 'onEvent' | 'onSilence'>,
    private readonly report: (event: FleetEvent) => void,
  ) {
    this.deps = {
      ...deps,
      onProcess: (process, report) => this.onProcess(process, report),
      onEvent: (process, event) => this.onEvent(process, event),
      onSilence: (process, isSilent) => this.onSilence(process, isSilent),
    };
    for (const spec of specs) this.addMember(spec);
  }

  private addMember(spec: SidecarSpec): Member {
    const process = new SidecarProcess(spec, this.deps);
    const state = newState(spec, process.report());
    const member: Member = { process, state, successor: undefined, onReloaded: undefined };
    this.members.set(spec.name, member);
    return member;
  }

  get states(): readonly SidecarState[] {
    return [...this.members.values()].map((member) => member.state);
  }

  start(): void {
    for (const { process } of this.members.values()) process.start();
  }

  /** Adds one sidecar and starts it. */
  add(spec: SidecarSpec): void {
    this.addMember(spec).process.start();
  }

  /** Removes one sidecar. Resolves when it has drained and ended. */
  async remove(name: string): Promise<void> {
    const member = this.members.get(name);
    if (member !== undefined) await this.end(member, 'it is gone from the mesh file');
    this.members.delete(name);
    this.deps.sockets?.release(name);
  }

  /**
   * Applies a changed spec: the sidecar reloads its file, or is restarted when a listener or
   * another option changed that a reload does not take over.
   *
   * @param write writes the sidecar file.
   * @returns what was done, for people, such as `reloaded` or `refused: WHY`. Rejects with what `write` throws; nothing has changed then.
   */
  async update(spec: SidecarSpec, write: () => void): Promise<string> {
    const member = this.members.get(spec.name)!;
    if (!isSameListeners(member.state.spec, spec)) {
      member.process.send({ tell: 'ignore-file' });
      try {
        write();
      } catch (error) {
        // Its file is as it was, and the next change of it counts.
        member.process.send({ tell: 'stay', why: oneLine(error) });
        throw error;
      }
      return this.restart(member, spec);
    }
    const reloaded = this.reloadEvent(member);
    write();
    for (const { state, process } of [member, member.successor ?? member]) {
      state.spec = spec;
      process.spec = spec;
    }
    const event = await reloaded;
    if (event?.event === 'reload-refused') return `refused: ${event.problem}`;
    if (event === undefined || event.changes.length === 0) return 'reloaded';
    return `${await this.restart(member, spec)}, for ${event.changes.join(', ')}`;
  }

  /**
   * Undefined when the sidecar does not run or does not answer: it reads the file when it starts. One that is starting may have read it
   * before the change: it is asked to read it again once it answers.
   */
  private reloadEvent(member: Member): Promise<ReloadEvent | undefined> {
    return new Promise((resolve) => {
      const settle = (event: ReloadEvent | undefined): void => {
        limit.cancel();
        member.onReloaded = undefined;
        resolve(event);
      };
      const { state } = member.process.report();
      const limitMs = RELOAD_LIMIT_MS + (state === 'starting' ? START_TIMEOUT_MS : 0);
      const limit = this.deps.timers.after(limitMs, () => settle(undefined));
      member.onReloaded = settle;
      if (state === 'starting') this.hangUpOnceReady(member);
      else if (state !== 'ready') settle(undefined);
    });
  }

  private hangUpOnceReady(member: Member): void {
    const poll = (): void => {
      const { state } = member.process.report();
      if (state === 'ready') member.process.hangUp();
      else if (state === 'starting' && !this.isStopping) this.deps.timers.after(READY_POLL_MS, poll);
      else member.onReloaded?.(undefined);
    };
    poll();
  }

  /**
   * Make before break; a sidecar that owns models ends first, because both would need the memory of
   * the models.
   */
  private async restart(member: Member, spec: SidecarSpec): Promise<string> {
    const why = 'the mesh file has changed meanwhile';
    if (!ownsModel(spec.config)) {
      // It was started for the mesh file of before.
      while (member.successor !== undefined) await this.endSuccessor(member, why);
      const answer = await this.replace(spec.name, spec);
      if (answer.ok) return 'followed by a new process';
      member.process.send({ tell: 'stay', why: answer.why });
      return `not restarted: ${answer.why}`;
    }
    await this.end(member, why);
    if (this.isStopping) return 'ended';
    this.addMember(spec).process.start();
    await this.untilReady(spec.name);
    return 'restarted';
  }

  /** Ends a sidecar for good. Its successor goes with it: nothing would know of that one once the member is gone. */
  private async end(member: Member, why: string): Promise<void> {
    // First: one that is told to end is given no other successor.
    const ended = member.process.stop();
    await Promise.all([ended, this.endSuccessor(member, why)]);
  }

  private async endSuccessor({ successor }: Member, why: string): Promise<void> {
    if (successor === undefined) return;
    successor.settle(why);
    successor.process.kill();
    await successor.process.stop();
  }

  /**
   * Resolves also when the sidecar is not ready within its limit, so that other sidecars are still
   * updated.
   */
  private untilReady(name: string): Promise<void> {
    return new Promise((resolve) => {
      const sinceMs = this.deps.clock.now();
      const limitMs = readyLimitMs(this.members.get(name)!.state.spec.config);
      const poll = (): void => {
        const member = this.members.get(name);
        const isOver = member === undefined || isReady(member.state) || this.isStopping;
        if (isOver || this.deps.clock.now() - sinceMs > limitMs) resolve();
        else this.deps.timers.after(READY_POLL_MS, poll);
      };
      poll();
    });
  }

  /** Sends a renewed identity to one sidecar, which works also when the disk is full. */
  sendIdentity(name: string, parts: IdentityParts): void {
    this.members.get(name)?.process.send({ tell: 'identity', parts });
  }

  /**
   * Ends the caller first, which finishes its calls, then the replicas, which have none left by
   * then.
   */
  async stop(): Promise<void> {
    this.isStopping = true;
    const successors = [...this.members.values()].map((member) => this.endSuccessor(member, 'up is ending'));
    for (const role of ['caller', 'replica'] as const) {
      const members = [...this.members.values()].filter(({ state }) => state.spec.role === role);
      await Promise.all(members.map(({ process }) => process.stop()));
    }
    await Promise.all(successors);
  }

  /** SIGKILL to every sidecar, frozen ones too; their models end with them. */
  kill(): void {
    for (const { process, successor } of this.members.values()) {
      process.kill();
      successor?.process.kill();
    }
  }

  /**
   * Starts a successor of a sidecar; once it accepts, the sidecar drains and ends. The sidecar
   * stays when the successor does not become ready in time, and where both cannot run at once
   * (`takeoverObstacle`).
   */
  async replace(name: string, spec?: SidecarSpec): Promise<TakeoverAnswer> {
    const member = this.members.get(name)!;
    const obstacle = this.replaceObstacle(member);
    if (obstacle !== undefined) return { ok: false, why: obstacle };
    const { state } = member;
    const place = { generation: member.process.generation + 1, unreached: state.unreached };
    const process = new SidecarProcess(spec ?? state.spec, this.deps, place);
    const problem = await this.accepting(member, process);
    if (problem !== undefined) {
      process.kill();
      await process.stop();
      return { ok: false, why: problem };
    }
    const { pid = 0 } = process.report();
    member.process.send({ tell: 'hand-over', pid });
    const ended = member.process.awaitExit();
    member.process = process;
    member.state = member.successor!.state;
    member.successor = undefined;
    this.report({ kind: 'takeover', state: member.state, text: `process ${pid} has taken over` });
    await ended;
    return { ok: true, pid };
  }

  private replaceObstacle({ state: { spec }, process, successor }: Member): string | undefined {
    if (this.isStopping) return 'up is ending';
    if (process.report().state === 'stopping') return 'it is ending';
    if (successor !== undefined) return 'a successor is on its way already';
    if (this.deps.sockets === undefined) return 'this Node cannot hand sockets over';
    return takeoverObstacle(spec.config);
  }

  /** Starts a successor; resolves with undefined when it accepts, else with why it does not. */
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
      member.successor = { process, state: newState(process.spec, process.report()), settle };
      process.start();
    });
  }

  private onProcess(process: SidecarProcess, report: ModelReport): void {
    const found = this.find(process);
    if (found === undefined) return;
    const { state, successor } = found;
    applyProcessReport(state, report);
    if (successor === undefined) this.report({ kind: 'sidecar', state });
    else if (isDown(report))
      successor.settle(`the successor ended: ${report.why.replace(/; next start in .*/, '')}`);
  }

  private onEvent(process: SidecarProcess, event: SidecarEvent): void {
    const found = this.find(process);
    if (found === undefined) return;
    const { state, successor } = found;
    const change = applySidecarEvent(state, event);
    if (event.event === 'reloaded' || event.event === 'reload-refused')
      this.members.get(process.spec.name)?.onReloaded?.(event);
    if (event.event === 'takeover' || event.event === 'ending') void this.answerTakeover(process);
    if (event.event === 'accepting') successor?.settle(undefined);
    if (successor === undefined && change !== undefined) this.report(change);
  }

  private onSilence(process: SidecarProcess, isSilent: boolean): void {
    const found = this.find(process);
    if (found === undefined || found.successor !== undefined) return;
    const { pid } = process.report();
    const text = isSilent
      ? `sidecar (process ${pid}) has not answered for ${SILENT_MS / 1_000} s`
      : `sidecar (process ${pid}) answers again`;
    this.report({ kind: 'silence', state: found.state, text });
  }

  /** Answers a sidecar that asked for a successor. A sidecar that is being stopped gets none. */
  private async answerTakeover(process: SidecarProcess): Promise<void> {
    const isEnding = process.report().state === 'stopping';
    const answer: TakeoverAnswer = isEnding
      ? { ok: false, why: 'up has told it to end' }
      : await this.replace(process.spec.name);
    if (!answer.ok) process.send({ tell: 'stay', why: answer.why });
  }

  /**
   * The state of a process, with `successor` where it is one; undefined for a process that has
   * handed over.
   */
  private find(
    process: SidecarProcess,
  ): { state: SidecarState; successor: Successor | undefined } | undefined {
    const member = this.members.get(process.spec.name);
    if (member?.process === process) return { state: member.state, successor: undefined };
    const successor = member?.successor;
    return successor?.process === process ? { state: successor.state, successor } : undefined;
  }
}

function isSameListeners(one: SidecarSpec, other: SidecarSpec): boolean {
  return JSON.stringify(listenersOf(one.config)) === JSON.stringify(listenersOf(other.config));
}
