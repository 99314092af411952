/** Loading and unloading while others serve, in a process that serves without a sidecar in front of it. */

import { messageOf, RpcError, status } from '../rpc.js';
import type { Model } from './model.js';
import type { ModelTable } from './model-table.js';
import { type Found, findModels } from './repository.js';

/** What the control works on. */
export interface ControlDeps {
  readonly modelsDirectory: string;
  readonly models: ModelTable;
  readonly newModel: (found: Found) => Model;
  /** A model has become ready, or is served no more. */
  readonly changed: (model: Model, isServed: boolean) => void;
  /** Resolves when nothing of the model waits or runs. */
  readonly drained: (model: Model) => Promise<void>;
  readonly log: (line: string) => void;
}

/**
 * One load or unload at a time: a load holds the thread for as long as the file is read. What was served before is let go
 * beside it: a stream of one model that goes on for hours keeps no other from being loaded.
 */
export class RepositoryControl {
  private last: Promise<unknown> = Promise.resolve();
  private readonly refused = new Map<string, Model>();
  private readonly leaving = new Set<Promise<void>>();

  constructor(private readonly deps: ControlDeps) {}

  /** Loads a model that is in the table from the start, unless it has been unloaded or replaced before its turn. */
  loadFirst(model: Model): Promise<void> {
    const { models, changed } = this.deps;
    return this.inTurn(async () => {
      if (!models.has(model)) return;
      await model.load();
      if (model.state === 'ready') changed(model, true);
    });
  }

  /**
   * Resolves when the model is served; its version before answers what it has, and is let go. Rejects with the reason when the
   * model is not ready afterwards; what was served before goes on.
   */
  load(name: string): Promise<void> {
    return this.inTurn(() => this.loadNow(name));
  }

  /** Resolves when calls in flight have finished. Rejects with NOT_FOUND for a model that is not served. */
  async unload(name: string): Promise<void> {
    const ends = await this.inTurn(async () => {
      const served = this.deps.models.all(name);
      if (served.length === 0)
        throw new RpcError(
          status.NOT_FOUND,
          `failed to unload '${name.slice(0, 1000)}', no such model is served`,
        );
      return served.map((model) => this.end(model, 'unloaded'));
    });
    await Promise.all(ends);
  }

  /** Resolves when every model that is not served any more has given its memory back. */
  async allReleased(): Promise<void> {
    await Promise.all(this.leaving);
  }

  /** Models of the directory that are not served, with the reason. */
  unserved(): { name: string; version: string; reason: string }[] {
    let found: Found[];
    try {
      found = findModels(this.deps.modelsDirectory);
    } catch {
      return [];
    }
    return found
      .filter((f) => !this.deps.models.all(f.name).some(({ version }) => version === f.version))
      .map(({ name, version }) => {
        const refused = this.refused.get(name);
        const reason = refused?.version === version ? refused.why : 'it is not loaded';
        return { name, version, reason };
      });
  }

  private async loadNow(name: string): Promise<void> {
    const { deps } = this;
    const found = this.find(name);
    const model = deps.newModel(found);
    await model.load();
    if (model.state !== 'ready') {
      this.refused.set(name, model);
      deps.log(`${name} version ${found.version}: NOT LOADED: ${model.why}`);
      throw new RpcError(
        status.FAILED_PRECONDITION,
        `failed to load '${name}' version ${found.version}: ${model.why}`,
      );
    }
    this.refused.delete(name);
    const before = deps.models.all(name);
    // A model of the same version takes its place in the table: no request meets a gap.
    deps.models.add(model);
    deps.changed(model, true);
    deps.log(`${name} version ${found.version}: loaded, golden input matched`);
    for (const old of before) void this.end(old, `version ${found.version} has taken its place`);
  }

  private find(name: string): Found {
    let found: Found | undefined;
    try {
      found = findModels(this.deps.modelsDirectory).find((f) => f.name === name);
    } catch (error) {
      throw new RpcError(status.UNAVAILABLE, messageOf(error));
    }
    if (found !== undefined) return found;
    throw new RpcError(
      status.NOT_FOUND,
      `failed to load '${name.slice(0, 1000)}', no such model in the repository`,
    );
  }

  /** It takes no request from now on. Resolves when what it has is answered, and its memory is back; never rejects. */
  private end(model: Model, why: string): Promise<void> {
    const { deps, leaving } = this;
    model.retire(why);
    if (deps.models.has(model)) {
      deps.models.remove(model);
      deps.changed(model, deps.models.all(model.name).length > 0);
    } else if (deps.models.all(model.name).every(({ version }) => version !== model.version)) {
      deps.changed(model, false);
    }
    const released = this.release(model, why).finally(() => leaving.delete(released));
    leaving.add(released);
    return released;
  }

  private async release(model: Model, why: string): Promise<void> {
    await this.deps.drained(model);
    await model.release(why);
    this.deps.log(`${model.name} version ${model.version}: ${why}`);
  }

  private inTurn<T>(work: () => Promise<T>): Promise<T> {
    const turn = this.last.then(work, work);
    this.last = turn.catch(() => undefined);
    return turn;
  }
}
