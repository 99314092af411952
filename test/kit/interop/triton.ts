/** NVIDIA Triton as a process, out of the package of PyTriton: one model in Python that answers with its input. */

import { execFileSync } from 'node:child_process';
import { cpSync, mkdirSync, readdirSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { freePort } from '../process/free-port.js';
import { accepts, Program } from './programs.js';

const CONFIG = `name: "echo"
backend: "python"
max_batch_size: 0
input [{ name: "input" data_type: TYPE_FP32 dims: [ -1 ] }]
output [{ name: "output" data_type: TYPE_FP32 dims: [ -1 ] }]
`;

const MODEL = `import time
import triton_python_backend_utils as pb

class TritonPythonModel:
    def execute(self, requests):
        answers = []
        for request in requests:
            given = pb.get_input_tensor_by_name(request, "input").as_numpy()
            time.sleep(0.02)
            answers.append(pb.InferenceResponse([pb.Tensor("output", given)]))
        return answers
`;

/** Where the package lies, and which Python it is for, in two lines. */
const ASK =
  'import sys, pytriton, os; print(os.path.dirname(os.path.dirname(pytriton.__file__))); print("%d.%d" % sys.version_info[:2])';

/** Starts one below `folder`, which is there and empty, and waits until it serves. `python`: of the environment that has PyTriton. */
export async function startTriton(python: string, folder: string) {
  const [packages = '', version = ''] = execFileSync(python, ['-c', ASK], { encoding: 'utf8' }).split('\n');
  const server = path.join(packages, 'pytriton', 'tritonserver');
  const backends = path.join(folder, 'backends');
  // The program that runs a model has to lie beside the backend.
  cpSync(path.join(server, 'backends'), backends, { recursive: true });
  const stubs = path.join(server, 'python_backend_stubs', version);
  for (const each of readdirSync(stubs))
    cpSync(path.join(stubs, each), path.join(backends, 'python', each), { recursive: true });
  const model = path.join(folder, 'models', 'echo');
  mkdirSync(path.join(model, '1'), { recursive: true });
  writeFileSync(path.join(model, 'config.pbtxt'), CONFIG);
  writeFileSync(path.join(model, '1', 'model.py'), MODEL);
  const [grpc, http] = [await freePort(), await freePort()];
  const program = new Program(
    'tritonserver',
    [
      path.join(server, 'bin', 'tritonserver'),
      ...['--model-repository', path.join(folder, 'models'), '--backend-directory', backends],
      ...[
        '--grpc-address=127.0.0.1',
        `--grpc-port=${grpc}`,
        '--http-address=127.0.0.1',
        `--http-port=${http}`,
      ],
      '--allow-metrics=false',
    ],
    {
      PATH: `${path.dirname(python)}:${process.env['PATH']}`,
      PYTHONPATH: packages,
      LD_LIBRARY_PATH: path.join(packages, 'nvidia_pytriton.libs'),
    },
  );
  await program.started('it serves', async () => /Started HTTPService/.test(program.output) && accepts(grpc));
  return { program, address: `127.0.0.1:${grpc}` };
}
