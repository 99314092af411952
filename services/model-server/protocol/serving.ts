import type { Model } from '../models/model.js';
import type { ModelTable } from '../models/model-table.js';
import type { ServedVersions } from '../models/version-policy.js';
import { RpcError, status } from '../rpc.js';
import type { InferenceQueue } from '../runs/queue.js';
import type { HealthTable } from './health.js';
import { clip } from './status-details.js';

/** Loads and unloads models of the repository while others serve. */
export interface RepositoryControl {
  /** Rejects with an RpcError that says why the model is not ready; what was served before goes on. */
  load(name: string): Promise<void>;
  /** Resolves when calls in flight have finished. Rejects with NOT_FOUND. */
  unload(name: string): Promise<void>;
  /** Models of the directory that are not served, with the reason. */
  unserved(): readonly { readonly name: string; readonly version: string; readonly reason: string }[];
}

/** As Triton's `--model-control-mode`. `explicit`: RepositoryModelLoad and RepositoryModelUnload are served. */
export type ControlMode = 'none' | 'explicit';

/** What the handlers answer from. */
export interface Serving {
  readonly version: string;
  readonly models: ModelTable;
  readonly health: HealthTable;
  readonly queue: InferenceQueue;
  readonly repository: RepositoryControl;
  readonly control: ControlMode;
  readonly served: ServedVersions;
  /** Ms of a monotonic clock. */
  readonly runNow: () => number;
}

/** See `ModelTable.find`. */
export function findModel({ models }: Serving, name: string, version: string | undefined): Model {
  return models.find(name, version, clip);
}

/** The same, and it takes requests: UNAVAILABLE with the reason where it does not. */
export function findReadyModel(serving: Serving, name: string, version: string | undefined): Model {
  const model = findModel(serving, name, version);
  if (model.state === 'ready') return model;
  throw new RpcError(status.UNAVAILABLE, `model '${model.name}' is not ready: ${model.why}`);
}
