import { RpcError, status } from '../rpc.js';
import type { Model } from './model.js';

/** The models that are served, by name and version. */
export class ModelTable {
  private readonly versions = new Map<string, Map<string, Model>>();

  constructor(models: Iterable<Model> = []) {
    for (const model of models) this.add(model);
  }

  add(model: Model): void {
    const versions = this.versions.get(model.name) ?? new Map<string, Model>();
    this.versions.set(model.name, versions.set(model.version, model));
  }

  remove({ name, version }: Model): void {
    const versions = this.versions.get(name);
    versions?.delete(version);
    if (versions?.size === 0) this.versions.delete(name);
  }

  /** Whether the model is (still) the one that is served under its name and version. */
  has(model: Model): boolean {
    return this.versions.get(model.name)?.get(model.version) === model;
  }

  names(): string[] {
    return [...this.versions.keys()];
  }

  /** Every version of every model, or of the one of this name. */
  all(name?: string): Model[] {
    if (name !== undefined) return [...(this.versions.get(name)?.values() ?? [])];
    return [...this.versions.values()].flatMap((versions) => [...versions.values()]);
  }

  /**
   * The model of this name and version; without a version the highest that is ready, else the highest. NOT_FOUND, in
   * Triton's words, where there is none. @param shorten what is quoted out of a request.
   */
  find(name: string, version: string | undefined, shorten: (text: string) => string): Model {
    const versions = this.versions.get(name);
    if (versions === undefined)
      throw new RpcError(status.NOT_FOUND, `Request for unknown model: '${shorten(name)}' is not found`);
    const found = version ? versions.get(version) : newest(versions);
    if (found !== undefined) return found;
    const served = [...versions.keys()].filter((v) => v !== '');
    throw new RpcError(
      status.NOT_FOUND,
      `Request for unknown model: '${name}' version ${shorten(version ?? '')} is not found (version ${served.join(', ') || 'none'} is served)`,
    );
  }
}

function newest(versions: ReadonlyMap<string, Model>): Model | undefined {
  let best: Model | undefined;
  for (const model of versions.values()) if (best === undefined || isBetter(model, best)) best = model;
  return best;
}

function isBetter(model: Model, than: Model): boolean {
  const ready = model.state === 'ready';
  if (ready !== (than.state === 'ready')) return ready;
  return Number(model.version) > Number(than.version);
}
