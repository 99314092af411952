/** A stored value with what it takes to replace it. */
export interface Stored {
  readonly value: unknown;
  /** Another one after each write. */
  readonly index: string;
}

/**
 * What the replicas of a service share of a rollout: one record, replaced by check-and-set; one leader; and what each replica
 * says of itself, for as long as it lives. Every method rejects where the store cannot be reached.
 */
export interface RolloutStore {
  /** For people: where it is. */
  readonly where: string;
  /** Undefined: nothing is stored. */
  read(): Promise<Stored | undefined>;
  /**
   * Stores `value` if the record is still the one of `index` (undefined: there is none), and as a leader only while this
   * process leads. False: it is not.
   */
  write(value: unknown, index: string | undefined, as: 'leader' | 'command'): Promise<boolean>;
  /**
   * Makes sure that no sidecar of another machine has the instance name of this one: they would take each other's turns. Rejects
   * while one has.
   */
  claim(): Promise<void>;
  /** Leads from now on, or goes on doing so. False: another process does. */
  lead(): Promise<boolean>;
  /** Another process may lead. */
  resign(): Promise<void>;
  /** Takes a lock of this name, or has it. False: another process has it. */
  take(lock: string): Promise<boolean>;
  /** Gives it back; nothing happens where this process does not have it. */
  give(lock: string): Promise<void>;
  /** What this replica says of itself. */
  announce(facts: unknown): Promise<void>;
  /** What the replicas say that are alive. */
  received(): Promise<readonly unknown[]>;
  close(): Promise<void>;
}
