import type { SidecarView, TakeoverAnswer } from '../admin/view.js';
import type { Address, SidecarConfig } from '../config/model.js';
import type { Unreached } from '../runtime/process/inherited-sockets.js';
import type { ModelHost } from './model-host.js';
import type { SuspectModel } from './models/recycler.js';

/** Where a sidecar listens, with the ports that the system assigned for port 0. */
export interface Addresses {
  readonly inbound?: Address;
  /** Listener of each upstream that has one, by the upstream's name. */
  readonly upstreams: Readonly<Record<string, Address>>;
  readonly shared?: Address;
  readonly admin?: Address;
  readonly observe?: Address;
  readonly scaler?: Address;
}

export interface ReloadResult {
  /** Changed options that take effect at the next start, as paths in the file. */
  readonly needsRestart: readonly string[];
}

/** A model server, as the supervisor of its process uses it. */
export type OwnedModel = Pick<
  ModelHost,
  | 'model'
  | 'version'
  | 'instance'
  | 'wasGivenUp'
  | 'address'
  | 'activity'
  | 'processChanged'
  | 'processEnded'
  | 'superviseBy'
  | 'report'
>;

/** A started sidecar, as the command line and tests use it. */
export interface RunningSidecar {
  /** What the admin server shows of it. */
  readonly view: SidecarView;
  readonly addresses: Addresses;
  /**
   * Takes a changed configuration over. Rejects, and changes nothing, when a new listener cannot be
   * opened. The one before has to be over.
   */
  reload(config: SidecarConfig): Promise<ReloadResult>;
  /** Counts a changed configuration that was invalid. */
  reloadRejected(problem: string): void;
  /** Opens log files again, after a rotation that renamed them. */
  reopenLogs(): void;
  /** The model servers; empty in a sidecar beside a caller only. */
  readonly hosts: readonly OwnedModel[];
  /** `start` is called for each model server, now and when one is added, to start its process. */
  ownModels(start: (host: OwnedModel) => void): void;
  /** A detector suspects a process of a version; empty `cause`: it does not any more. With `recycle` fresh ones take over. */
  suspect(suspect: SuspectModel, cause: string): void;
  /**
   * `listener` is called when an internal error could not be contained, or there were too many: the process is to drain and exit.
   * It is called again for each that cannot be contained after that.
   */
  onUnsafe(listener: (why: string) => void): void;
  /** An exception that nothing has caught: it has no owner. */
  uncaught(error: unknown): void;
  /** `listener` is called after every change of a model's state. */
  onModel(listener: () => void): void;
  /** Upstreams that a successor need not reach. */
  readonly unreached: Unreached;
  /** In a successor: accepts on the inherited sockets, and registers. */
  accept(): void;
  /**
   * In a predecessor: the drain from now on leaves the registration and the paths of sockets to the
   * successor.
   */
  handOver(): void;
  /** It drains, or a successor has its listeners. */
  readonly isLeaving: boolean;
  /** As `view.drain`. */
  drain(): Promise<void>;
  /** Sets what `view.takeOver` does. */
  setTakeover(takeOver: () => Promise<TakeoverAnswer>): void;
  /**
   * Closes everything at once; `drain` comes first in an orderly end. Calling it again does
   * nothing.
   */
  stop(): Promise<void>;
}
