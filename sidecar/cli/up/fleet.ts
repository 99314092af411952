/**
 * All sidecars of one mesh on this machine: started together, heard, and ended in the right order.
 *
 * It knows how each one is and says what changes, as news; how news look on a screen is not its business.
 */

import type { ModelReport } from '../../admin/view.js';
import type { IdentityParts } from '../../identity/source.js';
import type { SidecarEvent } from '../parent-link.js';
import type { Seat } from './plan.js';
import { type SeatDeps, SeatProcess } from './seat-process.js';

/** How one sidecar is, and its model, as far as it has said. */
export interface SeatState {
  readonly seat: Seat;
  process: ModelReport;
  model: ModelReport | undefined;
  /** Each of its models; `model` is all of them together. */
  models: readonly ModelReport[];
  /** Reasons; undefined until it has spoken. */
  notReady: readonly string[] | undefined;
}

export type News =
  | { readonly kind: 'sidecar'; readonly state: SeatState }
  /** `changed`: of its models. */
  | { readonly kind: 'model'; readonly state: SeatState; readonly changed: readonly ModelReport[] }
  | { readonly kind: 'readiness'; readonly state: SeatState }
  | { readonly kind: 'configuration'; readonly state: SeatState; readonly text: string };

interface Member {
  readonly state: SeatState;
  readonly process: SeatProcess;
}

export class Fleet {
  private readonly members = new Map<string, Member>();

  constructor(
    seats: readonly Seat[],
    deps: Omit<SeatDeps, 'onProcess' | 'onEvent'>,
    private readonly onNews: (news: News) => void,
  ) {
    const heard: SeatDeps = {
      ...deps,
      onProcess: (seat, report) => this.processChanged(seat, report),
      onEvent: (seat, event) => this.heard(seat, event),
    };
    for (const seat of seats) {
      const process = new SeatProcess(seat, heard);
      const state: SeatState = {
        seat,
        process: process.report(),
        model: undefined,
        models: [],
        notReady: undefined,
      };
      this.members.set(seat.name, { process, state });
    }
  }

  get states(): readonly SeatState[] {
    return [...this.members.values()].map((member) => member.state);
  }

  start(): void {
    for (const { process } of this.members.values()) process.start();
  }

  /** A new identity for one sidecar, which its files may not hold yet. */
  bringIdentity(name: string, parts: IdentityParts): void {
    this.members.get(name)?.process.tell({ tell: 'identity', parts });
  }

  /** The caller stops accepting first and finishes its calls; then the replicas, which by then have none. */
  async stop(): Promise<void> {
    await this.stopRole('caller');
    await this.stopRole('replica');
  }

  /** Ends everything at once, frozen processes too; the models die with their sidecars. */
  kill(): void {
    for (const { process } of this.members.values()) process.kill();
  }

  private async stopRole(role: Seat['role']): Promise<void> {
    const members = [...this.members.values()].filter((member) => member.state.seat.role === role);
    await Promise.all(members.map((member) => member.process.stop()));
  }

  private processChanged(seat: Seat, report: ModelReport): void {
    const state = this.members.get(seat.name)!.state;
    state.process = report;
    if (report.state !== 'ready' && report.state !== 'starting') state.notReady = undefined;
    if (report.state === 'backoff' || report.state === 'stopped') {
      state.model = undefined;
      state.models = [];
    }
    this.onNews({ kind: 'sidecar', state });
  }

  private heard(seat: Seat, event: SidecarEvent): void {
    const state = this.members.get(seat.name)!.state;
    if (event.event === 'readiness') state.notReady = event.notReady;
    const before = state.models;
    if (event.event === 'model') {
      state.model = event.report;
      state.models = event.models;
    }
    const news = newsOf(state, event, before);
    if (news !== undefined) this.onNews(news);
  }
}

function newsOf(state: SeatState, event: SidecarEvent, before: readonly ModelReport[]): News | undefined {
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
      return undefined;
  }
}

function isSame(one: ModelReport): (other: ModelReport) => boolean {
  return ({ name, state, why, pid }) =>
    name === one.name && state === one.state && why === one.why && pid === one.pid;
}

/** Ready as a whole: the process answers and has no reason against it. */
export function isReady(state: SeatState): boolean {
  return state.process.state === 'ready' && state.notReady?.length === 0;
}
