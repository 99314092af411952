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

/** One load or unload at a time: a load holds the thread for as long as the file is read. */
export class RepositoryControl {
  private last: Promise<unknown> = Promise.resolve();
  private readonly refused = new Map<string, Model>();

  constructor(private readonly deps: ControlDeps) {}

  /** Rejects with the reason when the model is not ready afterwards; what was served before goes on. */
  load(name: string): Promise<void> {
    return this.inTurn(() => this.loadNow(name));
  }

  /** Rejects with NOT_FOUND for a model that is not served. */
  unload(name: string): Promise<void> {
    return this.inTurn(async () => {
      const served = this.deps.models.all(name);
      if (served.length === 0)
        throw new RpcError(
          status.NOT_FOUND,
          `failed to unload '${name.slice(0, 1000)}', no such model is served`,
        );
      for (const model of served) await this.end(model, 'unloaded');
    });
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
    for (const old of before) await this.end(old, `version ${found.version} has taken its place`);
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

  private async end(model: Model, why: string): Promise<void> {
    const { deps } = this;
    model.retire(why);
    if (deps.models.has(model)) {
      deps.models.remove(model);
      deps.changed(model, deps.models.all(model.name).length > 0);
    } else if (deps.models.all(model.name).every(({ version }) => version !== model.version)) {
      deps.changed(model, false);
    }
    await deps.drained(model);
    await model.release(why);
    deps.log(`${model.name} version ${model.version}: ${why}`);
  }

  private inTurn(work: () => Promise<void>): Promise<void> {
    const turn = this.last.then(work, work);
    this.last = turn.catch(() => undefined);
    return turn;
  }
}
