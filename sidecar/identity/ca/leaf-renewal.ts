/**
 * Hands the local CA's certificates to sidecars through files, and renews them in time. Used by `outrider up`.
 *
 * A set is swapped by one rename of a symbolic link (as Kubernetes does), so that a reader finds the old set or
 * the new one. Renewal comes at 50–70 % of a leaf's life, by chance, so that a fleet does not renew at once; what
 * fails is tried again with backoff while the old leaf still serves.
 *
 * Each set is also told (`onSet`), before it is written: where the disk is full, sidecars get it by another way, and
 * the files follow when there is room.
 */

import type { Random } from '../../runtime/random.js';
import type { Clock } from '../../runtime/time/clock.js';
import type { Timer, Timers } from '../../runtime/time/timers.js';
import type { IdentityParts, IdentityPaths } from '../identity.js';
import { CertificateDirectory } from './certificate-directory.js';
import { type IssuedLeaf, LEAF_LIFETIME_MS, type LocalCa } from './local-ca.js';

export interface LeafRenewalOptions {
  readonly ca: LocalCa;
  /** Gets one directory per instance; made with mode 0700. */
  readonly directory: string;
  readonly clock: Pick<Clock, 'wallNow'>;
  readonly timers: Timers;
  readonly random: Random;
  /** Default 1 h. */
  readonly leafLifetimeMs?: number;
  /** Time that readers are given between the steps of a root rotation. Default 30 s: three polls. */
  readonly overlapMs?: number;
  readonly onProblem?: (problem: string) => void;
}

const OVERLAP_MS = 30_000;
const RENEW_FROM = 0.5;
const RENEW_SPREAD = 0.2;
const RETRY_BASE_MS = 1_000;
const RETRY_MAX_MS = 60_000;

interface Holder {
  readonly service: string;
  readonly instance: string;
  readonly store: CertificateDirectory;
  leaf: IssuedLeaf;
  failures: number;
  timer: Timer | undefined;
  /** Attempts in vain to write `leaf`. */
  unwritten: number;
  writing: Timer | undefined;
  /** Writes for one holder follow each other. */
  work: Promise<void>;
}

export class LeafRenewal {
  private readonly names = new Set<string>();
  private readonly holders: Holder[] = [];
  private readonly waits = new Map<Timer, () => void>();
  private closed = false;
  private listener: ((instance: string, parts: IdentityParts) => void) | undefined;

  constructor(private readonly options: LeafRenewalOptions) {}

  /** Issues for one sidecar and keeps that current. `instance` names the directory: letters, digits, `.`, `_`, `-`. */
  async add(service: string, instance: string): Promise<IdentityPaths> {
    if (!/^[A-Za-z0-9_-][A-Za-z0-9._-]*$/.test(instance))
      throw new Error(`not a directory name: ${instance}`);
    if (this.names.has(instance)) throw new Error(`issued twice: ${instance}`);
    this.names.add(instance);
    const store = await CertificateDirectory.create(this.options.directory, instance);
    const leaf = await this.issue(service);
    await store.write(leaf);
    const holder: Holder = {
      service,
      instance,
      store,
      leaf,
      failures: 0,
      timer: undefined,
      unwritten: 0,
      writing: undefined,
      work: Promise.resolve(),
    };
    this.holders.push(holder);
    this.schedule(holder);
    return store.paths;
  }

  /** The newest set of an instance, which its files may not hold yet. */
  current(instance: string): IdentityParts | undefined {
    return this.holders.find((holder) => holder.instance === instance)?.leaf;
  }

  /** From now on `listener` gets each set before it is written, and also when it cannot be. */
  onSet(listener: (instance: string, parts: IdentityParts) => void): void {
    this.listener = listener;
  }

  /** New leaves for everyone now. */
  async renewAll(): Promise<void> {
    await Promise.all(this.holders.map((holder) => this.renew(holder)));
  }

  /**
   * Replaces the root without a moment of distrust: the new root is published, then signs, then the old one goes,
   * with `overlapMs` between the steps. Resolves after the last step, or early when closed.
   */
  async rotateRoot(): Promise<void> {
    const { ca } = this.options;
    await ca.prepareRoot();
    await this.publishRoots();
    await this.overlap();
    if (this.closed) return;
    ca.activateRoot();
    await this.renewAll();
    await this.overlap();
    if (this.closed) return;
    ca.retireRoots();
    await this.publishRoots();
  }

  /** Stops renewing. The files stay; removing them is the business of whoever made the directory. */
  async close(): Promise<void> {
    this.closed = true;
    for (const holder of this.holders) {
      holder.timer?.cancel();
      holder.writing?.cancel();
    }
    for (const [timer, resolve] of this.waits) {
      timer.cancel();
      resolve();
    }
    this.waits.clear();
    await Promise.all(this.holders.map((holder) => holder.work));
  }

  private issue(service: string): Promise<IssuedLeaf> {
    return this.options.ca.issueLeaf(service, this.options.leafLifetimeMs ?? LEAF_LIFETIME_MS);
  }

  private async publishRoots(): Promise<void> {
    const { rootsPem } = this.options.ca;
    const publish = (holder: Holder) => this.replace(holder, async () => ({ ...holder.leaf, rootsPem }));
    await Promise.all(this.holders.map(publish));
  }

  private renew(holder: Holder): Promise<void> {
    return this.replace(holder, () => this.issue(holder.service));
  }

  /** Never rejects: a failure is reported and tried again. */
  private replace(holder: Holder, make: () => Promise<IssuedLeaf>): Promise<void> {
    holder.work = holder.work.then(async () => {
      if (this.closed) return;
      try {
        holder.leaf = await make();
        holder.failures = 0;
        this.listener?.(holder.instance, holder.leaf);
        await this.write(holder);
      } catch (error) {
        holder.failures++;
        this.options.onProblem?.(`certificate of ${holder.service} was not renewed: ${reason(error)}`);
      }
      this.schedule(holder);
    });
    return holder.work;
  }

  /** Never rejects: what cannot be written is kept in memory and tried again; that is said once. */
  private async write(holder: Holder): Promise<void> {
    holder.writing?.cancel();
    holder.writing = undefined;
    try {
      await holder.store.write(holder.leaf);
      holder.unwritten = 0;
    } catch (error) {
      holder.unwritten++;
      if (holder.unwritten === 1) {
        const why = `cannot be written and is kept in memory: ${reason(error)}`;
        this.options.onProblem?.(`the new certificate of ${holder.instance} ${why}`);
      }
      if (!this.closed) this.writeLater(holder);
    }
  }

  private writeLater(holder: Holder): void {
    holder.writing = this.options.timers.after(this.backoffMs(holder.unwritten), () => {
      holder.work = holder.work.then(() => (this.closed ? undefined : this.write(holder)));
    });
  }

  private schedule(holder: Holder): void {
    holder.timer?.cancel();
    if (this.closed) return;
    holder.timer = this.options.timers.after(this.renewalDelayMs(holder), () => void this.renew(holder));
  }

  private renewalDelayMs(holder: Holder): number {
    const { clock, random } = this.options;
    if (holder.failures > 0) return this.backoffMs(holder.failures);
    const lifeMs = this.options.leafLifetimeMs ?? LEAF_LIFETIME_MS;
    const renewAtMs = holder.leaf.notAfterMs - lifeMs * (1 - RENEW_FROM - RENEW_SPREAD * random());
    return Math.max(RETRY_BASE_MS, renewAtMs - clock.wallNow());
  }

  private backoffMs(failures: number): number {
    const backoffMs = Math.min(RETRY_MAX_MS, RETRY_BASE_MS * 2 ** (failures - 1));
    return backoffMs * (0.5 + 0.5 * this.options.random());
  }

  private overlap(): Promise<void> {
    if (this.closed) return Promise.resolve();
    return new Promise((resolve) => {
      const timer = this.options.timers.after(this.options.overlapMs ?? OVERLAP_MS, () => {
        this.waits.delete(timer);
        resolve();
      });
      this.waits.set(timer, resolve);
    });
  }
}

function reason(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
