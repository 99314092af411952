/** MLServer (Seldon) with a runtime of ours around onnxruntime: how it is started. */

import { writeFileSync } from 'node:fs';
import path from 'node:path';
import { freePort } from '../process/free-port.js';
import { testFile } from '../process/tools.js';

/** One ONNX file under a name, served from `directory`, which is its own. */
export interface MlserverModel {
  readonly name: string;
  readonly network: string;
  readonly directory: string;
}

/**
 * Writes its settings. In one process and without a log of every call, which both suit it best on one core.
 * @param python that of the tool `mlserver`.
 */
export async function prepareMlserver(python: string, { name, network, directory }: MlserverModel) {
  const put = (file: string, settings: object): void =>
    writeFileSync(path.join(directory, file), JSON.stringify(settings));
  const port = await freePort();
  const others = { http_port: await freePort(), metrics_port: await freePort() };
  put('settings.json', {
    ...{ host: '127.0.0.1', grpc_port: port, ...others },
    ...{ parallel_workers: 0, debug: false },
  });
  const implementation = 'mlserver_runtime.OnnxRuntime';
  put('model-settings.json', { name, implementation, parameters: { uri: network } });
  return {
    /** Of gRPC. */
    port,
    command: [mlserverCommand(python), 'start', directory] as [string, ...string[]],
    env: { PYTHONPATH: testFile('interop', 'mlserver') },
  };
}

/** The command `mlserver`, which stands beside the Python of its environment. */
export function mlserverCommand(python: string): string {
  return path.join(path.dirname(python), 'mlserver');
}
