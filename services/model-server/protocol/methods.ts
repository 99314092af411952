/** Every method that is served, with its handler: the one table that all transports read. */

import { protocols } from '../../../proto/load.js';
import { type ServedMethod, streaming, unary } from './call.js';
import { healthCheck, healthWatch } from './health-calls.js';
import { modelInfer } from './infer.js';
import { modelConfig, modelMetadata, modelReady } from './model-calls.js';
import { repositoryIndex, repositoryModelLoad, repositoryModelUnload } from './repository-calls.js';
import { serverLive, serverMetadata, serverReady } from './server-calls.js';
import type { Serving } from './serving.js';
import { logSettings, sharedMemory, sharedMemoryStatus, traceSetting } from './settings-calls.js';
import { modelStatistics } from './statistics-call.js';
import { modelStreamInfer } from './stream-infer.js';

/** @param stopping tells a Watch that the server stops; what it gives forgets the Watch. */
export function servedMethods(serving: Serving, stopping: (end: () => void) => () => void): ServedMethod[] {
  const { inference, health } = protocols();
  return [
    unary(inference.ServerLive, serverLive),
    unary(inference.ServerReady, serverReady(serving)),
    unary(inference.ModelReady, modelReady(serving)),
    unary(inference.ServerMetadata, serverMetadata(serving)),
    unary(inference.ModelMetadata, modelMetadata(serving)),
    unary(inference.ModelInfer, modelInfer(serving)),
    streaming(inference.ModelStreamInfer, modelStreamInfer(serving)),
    unary(inference.ModelConfig, modelConfig(serving)),
    unary(inference.ModelStatistics, modelStatistics(serving)),
    unary(inference.RepositoryIndex, repositoryIndex(serving)),
    unary(inference.RepositoryModelLoad, repositoryModelLoad(serving)),
    unary(inference.RepositoryModelUnload, repositoryModelUnload(serving)),
    unary(inference.TraceSetting, traceSetting),
    unary(inference.LogSettings, logSettings),
    unary(inference.SystemSharedMemoryStatus, sharedMemoryStatus('system')),
    unary(inference.SystemSharedMemoryRegister, sharedMemory('system', 'register')),
    unary(inference.SystemSharedMemoryUnregister, sharedMemory('system', 'unregister')),
    unary(inference.CudaSharedMemoryStatus, sharedMemoryStatus('CUDA')),
    unary(inference.CudaSharedMemoryRegister, sharedMemory('CUDA', 'register')),
    unary(inference.CudaSharedMemoryUnregister, sharedMemory('CUDA', 'unregister')),
    unary(health.Check, healthCheck(serving)),
    streaming(health.Watch, healthWatch(serving, stopping)),
  ];
}
