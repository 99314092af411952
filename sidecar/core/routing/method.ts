/** The service of the Open Inference Protocol, as the beginning of the paths of its methods. */
export const INFERENCE_SERVICE = '/inference.GRPCInferenceService/';

/** `/package.Service/Method`, names of letters, digits and `_`, single dots between them. */
export const GRPC_PATH = /^\/\w+(?:\.\w+)*\/\w+$/;
const MAX_PATH = 1_024;

/**
 * Whether `path` has exactly the form `/package.Service/Method`: no empty or dotted segment, no escape, no query. Nothing is
 * normalised: a path that would need it is refused, so that two readers cannot disagree about what was authorized.
 */
export function isValidPath(path: string): boolean {
  return path.length <= MAX_PATH && GRPC_PATH.test(path);
}

/** Whether `pattern` is `*`, `/package.Service/*` or a valid path. */
export function isValidPattern(pattern: string): boolean {
  if (pattern === '*') return true;
  return isValidPath(pattern.endsWith('/*') ? `${pattern.slice(0, -1)}Any` : pattern);
}

/**
 * Unary methods without side effects, which are safe to repeat: of the Open Inference Protocol and its Triton extensions, and
 * Check of the health protocol (Watch is a stream).
 */
const QUERIES = [
  ...['ServerLive', 'ServerReady', 'ModelReady', 'ServerMetadata', 'ModelMetadata', 'ModelConfig'],
  ...['ModelStatistics', 'RepositoryIndex'],
].map((name) => `${INFERENCE_SERVICE}${name}`);
const READ_ONLY: ReadonlySet<string> = new Set([...QUERIES, '/grpc.health.v1.Health/Check']);

const INFER = `${INFERENCE_SERVICE}ModelInfer`;

/** Of TensorFlow Serving (tensorflow_serving/apis/prediction_service.proto), all of them unary. */
const TENSORFLOW = '/tensorflow.serving.PredictionService';
const TENSORFLOW_BY_SPEC = ['Classify', 'Regress', 'Predict', 'GetModelMetadata'].map(
  (name) => `${TENSORFLOW}/${name}`,
);
/** Its tasks name a model each, so that it may be for any. */
export const MULTI_INFERENCE = `${TENSORFLOW}/MultiInference`;
const TORCH_SERVE = '/org.pytorch.serve.grpc.inference.InferenceAPIsService';
/** Of TorchServe (frontend/server/src/main/resources/proto/inference.proto), the unary ones. */
const TORCH = ['Ping', 'Predictions'].map((name) => `${TORCH_SERVE}/${name}`);

/** Methods known to be unary without configuration, by their published definitions: those that only read, and inference. */
export const KNOWN_UNARY: ReadonlySet<string> = new Set([
  ...[...READ_ONLY, INFER],
  ...[...TENSORFLOW_BY_SPEC, MULTI_INFERENCE],
  ...TORCH,
]);

/** Methods known to be streams in the same way, whatever a service says of them. */
export const KNOWN_STREAMS: ReadonlySet<string> = new Set([
  `${INFERENCE_SERVICE}ModelStreamInfer`,
  '/grpc.health.v1.Health/Watch',
  '/grpc.reflection.v1.ServerReflection/ServerReflectionInfo',
  '/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo',
  `${TORCH_SERVE}/StreamPredictions`,
  `${TORCH_SERVE}/StreamPredictions2`,
]);

/**
 * Methods that load and unload models or change which of them a server has: of Triton's model repository, TensorFlow Serving
 * (apis/model_service.proto) and TorchServe (management.proto). Leave to call a service does not include them.
 */
export const MODEL_CONTROL_METHODS: ReadonlySet<string> = new Set([
  ...['RepositoryModelLoad', 'RepositoryModelUnload'].map((name) => `${INFERENCE_SERVICE}${name}`),
  '/tensorflow.serving.ModelService/HandleReloadConfigRequest',
  ...['RegisterModel', 'ScaleWorker', 'SetDefault', 'UnregisterModel'].map(
    (name) => `/org.pytorch.serve.grpc.management.ManagementAPIsService/${name}`,
  ),
]);

/** Of TorchServe, those whose requests are a `PredictionsRequest`. */
const TORCH_PREDICTIONS = ['Predictions', 'StreamPredictions', 'StreamPredictions2'].map(
  (name) => `${TORCH_SERVE}/${name}`,
);

/** Methods whose messages name a model in field 1 and its version in field 2, as texts. */
const MODEL_METHODS: ReadonlySet<string> = new Set([
  ...['ModelInfer', 'ModelStreamInfer', 'ModelReady', 'ModelMetadata', 'ModelConfig', 'ModelStatistics'].map(
    (name) => `${INFERENCE_SERVICE}${name}`,
  ),
  ...TORCH_PREDICTIONS,
]);

/**
 * Methods whose messages name a model in a message in field 1, `model_spec` (tensorflow_serving/apis/model.proto). MultiInference is none.
 */
export const MODEL_SPEC_METHODS: ReadonlySet<string> = new Set([
  ...TENSORFLOW_BY_SPEC,
  '/tensorflow.serving.ModelService/GetModelStatus',
]);

/** Longest name of a model, bytes: Linux has no longer names of directories (NAME_MAX). */
export const LONGEST_MODEL_NAME = 255;

/**
 * Where a message names its model: `fields` 1 and 2 are name and version, or field 1 is a `spec` of TensorFlow Serving, a message of its own with
 * the name in field 1 and the version as a number in one more message in field 2 (`version_label` is not read).
 */
export type ModelLayout = 'fields' | 'spec';

/** Of the messages of a method that names a model. */
export function modelLayoutOf(path: string): ModelLayout {
  return MODEL_SPEC_METHODS.has(path) ? 'spec' : 'fields';
}

/** All methods whose messages name a model that a sidecar can read. */
export const NAMING_METHODS: ReadonlySet<string> = new Set([...MODEL_METHODS, ...MODEL_SPEC_METHODS]);

/** Inferences of other protocols than the Open Inference Protocol that name their model. */
export const FOREIGN_INFERENCES: ReadonlySet<string> = new Set([
  ...TORCH_PREDICTIONS,
  ...[...MODEL_SPEC_METHODS].filter((method) => !/\/GetModel(Metadata|Status)$/.test(method)),
]);

/** Whether all of these patterns are paths of methods without side effects; false for an empty list. */
export function areReadOnly(patterns: readonly string[]): boolean {
  return patterns.length > 0 && patterns.every((pattern) => READ_ONLY.has(pattern));
}

/** Whether a valid pattern matches a valid path. */
export function matchesMethod(pattern: string, path: string): boolean {
  if (pattern === '*' || pattern === path) return true;
  return pattern.endsWith('/*') && path.startsWith(pattern.slice(0, -1));
}

/** Routes by method: the first route of the list with a pattern that matches, found in three look-ups. */
export class RouteTable<R extends { readonly methods: readonly string[] }> {
  private readonly byPath = new Map<string, number>();
  /** Keys end with the slash: `/package.Service/`. */
  private readonly byService = new Map<string, number>();
  private readonly any: number;

  /** @throws RangeError for a pattern that is none of the three forms. */
  constructor(private readonly routes: readonly R[]) {
    let any = Number.POSITIVE_INFINITY;
    routes.forEach((route, index) => {
      for (const pattern of route.methods) {
        if (!isValidPattern(pattern)) throw new RangeError(`not a method pattern: "${pattern}"`);
        if (pattern === '*') any = Math.min(any, index);
        else if (pattern.endsWith('/*')) keepFirst(this.byService, pattern.slice(0, -1), index);
        else keepFirst(this.byPath, pattern, index);
      }
    });
    this.any = any;
  }

  /** The route of a valid path; undefined when none matches. */
  match(path: string): R | undefined {
    let index = this.any;
    const exact = this.byPath.get(path);
    if (exact !== undefined && exact < index) index = exact;
    if (this.byService.size > 0) {
      const service = this.byService.get(path.slice(0, path.lastIndexOf('/') + 1));
      if (service !== undefined && service < index) index = service;
    }
    return this.routes[index];
  }

  /** Whether a route has this exact path: it is from the configuration and may be a metric label. */
  names(path: string): boolean {
    return this.byPath.has(path);
  }
}

function keepFirst(map: Map<string, number>, key: string, index: number): void {
  if (!map.has(key)) map.set(key, index);
}
