import { messageOf } from '../../runtime/log/message-of.js';
import type { Random } from '../../runtime/random.js';
import type { Clock } from '../../runtime/time/clock.js';
import type { Timer, Timers } from '../../runtime/time/timers.js';
import type { IdentityParts, IdentityPaths } from '../identity.js';
import { CertificateDirectory } from './certificate-directory.js';
import { type IssuedLeaf, LEAF_LIFETIME_MS, type LocalCa } from './local-ca.js';

export interface LeafRenewalOptions {
  readonly ca: Pick<LocalCa, 'issueLeaf'>;
  /** Gets one subdirectory for each instance, mode 0700. */
  readonly directory: string;
  readonly clock: Pick<Clock, 'wallNow'>;
  readonly timers: Timers;
  readonly random: Random;
  /** Default 1 h. */
  readonly leafLifetimeMs?: number;
  /** Called with one line for each certificate that could not be renewed or written. */
  readonly onProblem?: (problem: string) => void;
}

/**
 * Renewal at 50 % to 70 % of the validity, at random, so that the leaves of a mesh are not renewed
 * at once.
 */
const RENEW_FROM = 0.5;
const RENEW_SPREAD = 0.2;
const RETRY_BASE_MS = 1_000;
const RETRY_MAX_MS = 60_000;
/** No wait takes more than this share of the validity that is left. */
const RETRY_SHARE = 0.1;
/** Timers count no time in which the machine is suspended, and the wall clock may jump: it is read again at least this often. */
const CHECK_MS = 10_000;

/** One leaf that is kept current. */
interface RenewedLeaf {
  readonly service: string;
  readonly instance: string;
  readonly store: CertificateDirectory;
  leaf: IssuedLeaf;
  /** When `leaf` is due for renewal, epoch ms. */
  renewAtMs: number;
  failures: number;
  timer: Timer | undefined;
  /** Failed attempts to write `leaf`. */
  unwritten: number;
  writing: Timer | undefined;
  /** Renewals and writes of one leaf follow each other. */
  work: Promise<void>;
  /** Its sidecar is gone. */
  isRemoved: boolean;
}

/**
 * Issues leaves of a `LocalCa` to sidecars through files, and renews them in time. A renewal that
 * fails is tried again with backoff, and every second once the old leaf is over. Each new set goes to the
 * `onSet` listener before it is written, so that sidecars get it also when the disk is full; the
 * files follow when there is room.
 */
export class LeafRenewal {
  private readonly names = new Set<string>();
  private readonly holders = new Map<string, RenewedLeaf>();
  private closed = false;
  private listener: ((instance: string, parts: IdentityParts) => void) | undefined;

  constructor(private readonly options: LeafRenewalOptions) {}

  /**
   * Issues the leaf of one sidecar and keeps it current. Resolves with the paths of its files.
   *
   * @param instance names the directory: letters, digits, `.`, `_`, `-`.
   */
  async add(service: string, instance: string): Promise<IdentityPaths> {
    if (!/^[A-Za-z0-9_-][A-Za-z0-9._-]*$/.test(instance))
      throw new Error(`not a directory name: ${instance}`);
    if (this.names.has(instance)) throw new Error(`issued twice: ${instance}`);
    this.names.add(instance);
    try {
      return await this.addNew(service, instance);
    } catch (error) {
      // It may be asked for again, as once the disk has room.
      this.names.delete(instance);
      throw error;
    }
  }

  private async addNew(service: string, instance: string): Promise<IdentityPaths> {
    const store = await CertificateDirectory.create(this.options.directory, instance);
    const leaf = await this.issue(service);
    await store.write(leaf);
    const idle = { failures: 0, timer: undefined, unwritten: 0, writing: undefined, work: Promise.resolve() };
    const renewAtMs = this.renewAtMs(leaf);
    const holder: RenewedLeaf = { service, instance, store, leaf, renewAtMs, ...idle, isRemoved: false };
    this.holders.set(instance, holder);
    this.schedule(holder);
    return store.paths;
  }

  /** The newest set of an instance, which may not be written yet. */
  current(instance: string): IdentityParts | undefined {
    return this.holders.get(instance)?.leaf;
  }

  /** `listener` gets each new set before it is written, also when writing fails. */
  onSet(listener: (instance: string, parts: IdentityParts) => void): void {
    this.listener = listener;
  }

  /** Renews every leaf now. */
  async renewAll(): Promise<void> {
    await Promise.all([...this.holders.values()].map((holder) => this.renew(holder)));
  }

  /** Stops renewing. The files stay. */
  async close(): Promise<void> {
    this.closed = true;
    for (const holder of this.holders.values()) cancelTimers(holder);
    await Promise.all([...this.holders.values()].map((holder) => holder.work));
  }

  /**
   * Forgets a sidecar that has ended: its leaf is not renewed any more, and its files are removed. It may be added again once this resolves.
   * Never rejects; nothing happens where there is no such sidecar.
   */
  async remove(instance: string): Promise<void> {
    const holder = this.holders.get(instance);
    if (holder === undefined) return;
    this.holders.delete(instance);
    holder.isRemoved = true;
    cancelTimers(holder);
    await holder.work;
    try {
      await holder.store.remove();
    } catch (error) {
      this.options.onProblem?.(
        `the key of ${instance}, which is gone, stays on the disk: ${messageOf(error)}`,
      );
    }
    this.names.delete(instance);
  }

  private isOver({ isRemoved }: RenewedLeaf): boolean {
    return this.closed || isRemoved;
  }

  private issue(service: string): Promise<IssuedLeaf> {
    return this.options.ca.issueLeaf(service, this.validityMs);
  }

  /** Never rejects: a failure is reported and tried again later. */
  private renew(holder: RenewedLeaf): Promise<void> {
    holder.work = holder.work.then(async () => {
      if (this.isOver(holder)) return;
      try {
        holder.leaf = await this.issue(holder.service);
        holder.renewAtMs = this.renewAtMs(holder.leaf);
        holder.failures = 0;
        this.listener?.(holder.instance, holder.leaf);
        await this.write(holder);
      } catch (error) {
        holder.failures++;
        this.options.onProblem?.(`certificate of ${holder.service} was not renewed: ${messageOf(error)}`);
      }
      this.schedule(holder);
    });
    return holder.work;
  }

  /**
   * Never rejects: a set that cannot be written stays in memory and is tried again; the first
   * failure is reported.
   */
  private async write(holder: RenewedLeaf): Promise<void> {
    holder.writing?.cancel();
    holder.writing = undefined;
    try {
      await holder.store.write(holder.leaf);
      holder.unwritten = 0;
    } catch (error) {
      holder.unwritten++;
      if (holder.unwritten === 1) {
        const why = `cannot be written and is kept in memory: ${messageOf(error)}`;
        this.options.onProblem?.(`the new certificate of ${holder.instance} ${why}`);
      }
      if (!this.isOver(holder)) this.writeLater(holder);
    }
  }

  private writeLater(holder: RenewedLeaf): void {
    holder.writing = this.options.timers.after(this.backoffMs(holder.unwritten), () => {
      holder.work = holder.work.then(() => (this.isOver(holder) ? undefined : this.write(holder)));
    });
  }

  private schedule(holder: RenewedLeaf): void {
    holder.timer?.cancel();
    if (this.isOver(holder)) return;
    if (holder.failures > 0) return this.renewAfter(holder, this.retryDelayMs(holder));
    if (this.isFromTheFuture(holder.leaf)) return this.renewAfter(holder, RETRY_BASE_MS);
    const leftMs = holder.renewAtMs - this.options.clock.wallNow();
    if (leftMs <= CHECK_MS) return this.renewAfter(holder, Math.max(RETRY_BASE_MS, leftMs));
    holder.timer = this.options.timers.after(CHECK_MS, () => this.schedule(holder));
  }

  /** The clock has gone back since it was issued: peers may take it for one that is not valid yet. */
  private isFromTheFuture({ notAfterMs }: IssuedLeaf): boolean {
    // Certificates count in seconds.
    return notAfterMs - this.options.clock.wallNow() > this.validityMs + 2_000;
  }

  private get validityMs(): number {
    return this.options.leafLifetimeMs ?? LEAF_LIFETIME_MS;
  }

  private renewAfter(holder: RenewedLeaf, delayMs: number): void {
    holder.timer = this.options.timers.after(delayMs, () => void this.renew(holder));
  }

  /** The less is left, the sooner: without a valid leaf the sidecar can neither call nor be called. */
  private retryDelayMs({ failures, leaf }: RenewedLeaf): number {
    const leftMs = leaf.notAfterMs - this.options.clock.wallNow();
    return Math.min(this.backoffMs(failures), Math.max(RETRY_BASE_MS, leftMs * RETRY_SHARE));
  }

  private renewAtMs({ notAfterMs }: IssuedLeaf): number {
    return notAfterMs - this.validityMs * (1 - RENEW_FROM - RENEW_SPREAD * this.options.random());
  }

  private backoffMs(failures: number): number {
    const backoffMs = Math.min(RETRY_MAX_MS, RETRY_BASE_MS * 2 ** (failures - 1));
    return backoffMs * (0.5 + 0.5 * this.options.random());
  }
}

function cancelTimers({ timer, writing }: RenewedLeaf): void {
  timer?.cancel();
  writing?.cancel();
}
