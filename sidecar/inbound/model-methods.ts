import { HEALTH_CHECK, HEALTH_WATCH } from '../codec/health.js';
import { LIST_METHODS } from '../codec/method-list.js';
import { STREAM_CORE_METRICS } from '../codec/orca.js';
import {
  INFERENCE_SERVICE,
  KNOWN_STREAMS,
  MODEL_SPEC_METHODS,
  type ModelLayout,
  NAMING_METHODS,
} from '../core/routing/method.js';

/** What kind of name it is, and whether later messages may bring another. */
export interface NamedMethod {
  readonly kind: 'named';
  readonly isHealth: boolean;
  readonly isStream: boolean;
  /** Where its messages have the name. */
  readonly layout: ModelLayout;
}

/** What a method of a sidecar in front of several models is for: a model that its messages name, all models, or none. */
export type MethodTarget =
  | NamedMethod
  /** Whether the server is there, and whether it is ready: the sidecar says it for all of them. */
  | { readonly kind: 'live' }
  | { readonly kind: 'ready' }
  /** Any of their processes says the same. */
  | { readonly kind: 'any' }
  /** It names no model that a sidecar can read. */
  | { readonly kind: 'none' };

const REFLECTION = ['/grpc.reflection.v1.ServerReflection/', '/grpc.reflection.v1alpha.ServerReflection/'];

const UNARY: MethodTarget = { kind: 'named', isHealth: false, isStream: false, layout: 'fields' };
const SPEC: MethodTarget = { ...UNARY, layout: 'spec' };
const STREAM: MethodTarget = { ...UNARY, isStream: true };
const HEALTH: MethodTarget = { ...UNARY, isHealth: true };
const LIVE: MethodTarget = { kind: 'live' };
const READY: MethodTarget = { kind: 'ready' };
const ANY: MethodTarget = { kind: 'any' };
const NONE: MethodTarget = { kind: 'none' };

/** Triton's extensions that are about the server: each process of it has the same settings, and no shared memory. */
const OF_SERVER = ['TraceSetting', 'LogSettings'].map((method) => INFERENCE_SERVICE + method);
const SHARED_MEMORY = /^(System|Cuda)SharedMemory(Status|Register|Unregister)$/;

/**
 * The protocol's methods about a model (`Model…`), as predictions of TorchServe, have its name in field 1, those of the server (`Server…`)
 * have none; TensorFlow Serving's have it in a message there.
 */
export function targetOf(path: string): MethodTarget {
  if (path === HEALTH_CHECK || path === HEALTH_WATCH) return HEALTH;
  if (path.startsWith(INFERENCE_SERVICE)) {
    if (path.startsWith('ModelStream', INFERENCE_SERVICE.length)) return STREAM;
    if (path.startsWith('Model', INFERENCE_SERVICE.length)) return UNARY;
    if (path.endsWith('/ServerLive')) return LIVE;
    if (path.endsWith('/ServerReady')) return READY;
    if (path.startsWith('Server', INFERENCE_SERVICE.length) || OF_SERVER.includes(path)) return ANY;
    return SHARED_MEMORY.test(path.slice(INFERENCE_SERVICE.length)) ? ANY : NONE;
  }
  for (const prefix of REFLECTION) if (path.startsWith(prefix)) return ANY;
  // Those of TorchServe and TensorFlow Serving.
  if (!NAMING_METHODS.has(path)) return NONE;
  if (MODEL_SPEC_METHODS.has(path)) return SPEC;
  return KNOWN_STREAMS.has(path) ? STREAM : UNARY;
}

/** Methods that are about the server, name no model and change nothing. */
const ABOUT_SERVER: ReadonlySet<string> = new Set([
  ...[HEALTH_CHECK, HEALTH_WATCH, LIST_METHODS, STREAM_CORE_METRICS],
  ...['ServerLive', 'ServerReady', 'ServerMetadata'].map((method) => INFERENCE_SERVICE + method),
  '/org.pytorch.serve.grpc.inference.InferenceAPIsService/Ping',
]);

/**
 * Whether a caller that may call some models only may call this method at all: one about the server, or one whose request
 * names a model, which is looked at then. Others could be about any model, and could change what the server has.
 */
export function isOpenToSomeModels(path: string): boolean {
  if (ABOUT_SERVER.has(path) || targetOf(path).kind === 'named') return true;
  return REFLECTION.some((prefix) => path.startsWith(prefix));
}
