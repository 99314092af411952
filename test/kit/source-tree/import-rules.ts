/**
 * Which folder may import which: the one place where it is written down.
 *
 * A call passes through the folders from the top of the layers to their bottom, and imports point the same way: a file may
 * import from layers below its own and from the foundations that its row allows. What is not allowed here
 * fails in `test/rules/architecture.test.ts`.
 */
import type { LayerRules, RootEdge } from './rules.js';

/** Inside `sidecar/`. */
export const LAYER_RULES: LayerRules = {
  /**
   * The folders in the order of imports, from the top. The lives of a call, outbound and inbound, are files of their own: `inbound.ts` belongs to the
   * layer of `inbound/`, `outbound.ts` to that of `outbound/`.
   */
  layers: [
    ['main.ts'],
    ['cli'],
    ['app'],
    ['inbound', 'supervise'],
    ['outbound', 'health'],
    ['cluster'],
    ['relay', 'discovery'],
    ['transport'],
    ['telemetry'],
    ['http2'],
  ],
  /**
   * The folders beside the layers, with what each may import. Layers may import all of them, except `admin`, which only
   * `cli` and `app` do: it serves what the app shows it, and never reaches into the data plane itself.
   */
  foundations: {
    admin: ['telemetry', 'config', 'runtime', 'core'],
    config: ['core'],
    identity: ['codec', 'core', 'runtime'],
    codec: [],
    core: [],
    runtime: [],
  },
  adminImporters: ['cli', 'app'],
  /** The layers that import nothing beyond the named foundations. `http2` is a protocol engine of its own. */
  narrowLayers: { http2: [], telemetry: ['core', 'runtime'] },
};

/** The other roots, with the roots that each may import. `ROOT_EDGES` says more of two of them. */
export const ROOT_IMPORTS: Readonly<Record<string, readonly string[]>> = {
  proto: [],
  services: ['proto', 'sidecar'],
  sidecar: ['proto'],
  tools: ['proto', 'services', 'sidecar'],
};

/** Which files of a root may import from another, and what of it. */
export const ROOT_EDGES: Readonly<Record<string, RootEdge>> = {
  /**
   * A sidecar and a model server share their contract, the codes of gRPC and, in one folder, the HTTP/2 engine with its sockets
   * (sidecar/decisions/0061).
   */
  'services sidecar': {
    importers: ['services/model-server/rpc.ts', 'services/model-server/transport/engine/'],
    imported: [
      'sidecar/core/deadline/',
      'sidecar/core/outcome/status.ts',
      'sidecar/http2/',
      'sidecar/runtime/random.ts',
      'sidecar/runtime/time/',
      'sidecar/telemetry/call-stats.ts',
      'sidecar/transport/',
    ],
  },
  /** What reads or writes messages of the inference protocol or the values of their tensors, and what a model process is told. */
  'sidecar proto': {
    importers: [
      'sidecar/cli/chaos/',
      'sidecar/cli/infer/',
      'sidecar/cli/own-model/',
      'sidecar/cluster/output-check/',
      'sidecar/codec/',
      'sidecar/config/codecs/version-policy.ts',
      'sidecar/config/file/golden-card.ts',
      'sidecar/health/model/',
      'sidecar/outbound/mirror/',
    ],
  },
};
