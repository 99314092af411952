/** What an arm is: something between the clients and the models of a drill, started for a run of drills and ended after it. */

import type { ChannelOptions } from '@grpc/grpc-js';
import type { EndpointReport } from '../../../telemetry/reports.js';
import type { ControlServer } from '../control-server.js';
import type { DrillIssuer } from '../faults/drill-issuer.js';
import type { OwnConsul } from '../faults/own-consul.js';
import type { Equipment, Tools } from '../faults/tools.js';
import type { Wire } from '../faults/wire.js';
import type { ArmName } from '../history/record.js';

/** Model processes of every arm. */
export const REPLICAS = [1, 2, 3] as const;

/** The replica that most faults are about. It is the first choice of one client of three, also where clients stay with one replica. */
export const VICTIM = 1;

export interface ArmWorld {
  /** Private folder of this start: control socket and logs of the models. */
  readonly dir: string;
  readonly control: ControlServer;
  /** A wire to each replica is wanted: the way to it leads over a TCP proxy of ours. */
  readonly path: 'direct' | 'wired';
  readonly equipment: Equipment;
  readonly tools: Tools;
  /** argv that runs the program itself; a command is appended. */
  readonly self: readonly string[];
}

/** How one of the clients reaches the service. */
export interface ClientPlan {
  readonly target: string;
  readonly options: ChannelOptions;
}

/** An endpoint as the caller's side sees it. */
export interface EndpointView {
  /** As in records, such as `replica-1`. */
  readonly replica: string;
  /** False: it has been taken out. Calls on trial count as in. */
  readonly isIn: boolean;
  /** It takes its share of calls. */
  readonly isReady: boolean;
  readonly why: string;
}

/** What the sidecar of a caller says of a replica. One that drains or restarts is out as well: its connections are gone. */
export function viewOf(replica: string, { state, why }: Pick<EndpointReport, 'state' | 'why'>): EndpointView {
  const isIn = state === 'eligible' || state === 'standby' || state === 'probing';
  return { replica, isIn, isReady: state === 'eligible', why: why || state };
}

export interface Issuer {
  readonly authority: DrillIssuer;
  /** Issues a certificate to each sidecar now. */
  renewAll(): Promise<void>;
}

export interface Standing {
  /** @param client from 0. */
  client(client: number): ClientPlan;
  /** The wires to the replicas, in their order; empty where none were asked for. */
  readonly wires: readonly Wire[];
  /** Undefined: this arm has no view of endpoints that could be asked. Rejects while it cannot be asked. */
  readonly endpoints: (() => Promise<readonly EndpointView[]>) | undefined;
  /** Processes between clients and models, whose CPU time counts; undefined: the client itself is the arm. */
  readonly pids: (() => readonly number[]) | undefined;
  /** Processes of the arm that stand beside one replica alone, such as its sidecar; its model is none of them. */
  beside(replica: number): readonly number[];
  /** The Consul that its sidecars ask; undefined: they ask none. */
  readonly consul?: OwnConsul;
  /** What issues the certificates of its sidecars; undefined: nothing, or Consul. */
  readonly issuer?: Issuer;
  /** Attempts sent to models so far, where the arm counts them. */
  readonly attempts: (() => Promise<number>) | undefined;
  /** A planned restart of a replica, in the way that the arm has for it. Resolves when it was asked for. */
  restart(replica: number): Promise<void>;
  /**
   * A planned restart of the proxy beside the clients, or of that beside a replica, in the way that the arm has for it. Resolves
   * when the new process has the calls. Undefined: there are no proxies.
   */
  readonly restartProxy: ((of: 'clients' | number) => Promise<void>) | undefined;
  /** Whether the proxy beside a replica starts and ends the model of it. */
  readonly proxiesOwnModels: boolean;
  /** Resolves when everything it started has ended. */
  stop(): Promise<void>;
  kill(): void;
}

export interface Arm {
  readonly name: ArmName;
  readonly hasProxies: boolean;
  /** One sentence about how it is set. */
  readonly about: string;
  /** Versions of programs that only this arm runs. */
  versions?(): Readonly<Record<string, string>>;
  /** Why it cannot be run here; undefined: it can. */
  missing(): Promise<string | undefined>;
  /** Resolves when calls may be made. */
  start(world: ArmWorld): Promise<Standing>;
}
