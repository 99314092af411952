/** The digits model that comes with the package, run in the model process of a drill: answers are those of a real network. */

import { requireModelRuntime } from '../../model-runtime.js';
import { packageFile } from '../../package-info.js';

/** Pixels of a picture, 28 × 28. */
const PIXELS = 784;
const CLASSES = 10;

/** What is needed of the model server's session; it is a program of its own, which `sidecar/` may not import. */
interface Session {
  run(
    inputs: readonly object[],
    wanted: readonly number[],
  ): Promise<readonly { readonly data: Float32Array }[]>;
}

interface SessionModule {
  readonly ModelSession: { load(path: string): Promise<Session> };
}

const MODULE = new URL('../../../../services/model-server/network/session.js', import.meta.url);

/** Ten probabilities for a picture of 784 FP32 numbers. Throws for another length. */
export type Digits = (pixels: Uint8Array) => Promise<Float32Array>;

/** Loads the network. Throws CommandFailure where the inference runtime is not installed. */
export async function loadDigits(): Promise<Digits> {
  requireModelRuntime();
  process.env['ORT_DISABLE_TELEMETRY'] ??= '1';
  const { ModelSession } = (await import(MODULE.href)) as SessionModule;
  const session = await ModelSession.load(packageFile('services/digits/models/digits/1/model.onnx'));
  return async (pixels) => {
    if (pixels.length !== 4 * PIXELS) throw new Error(`found ${pixels.length} bytes, expected ${4 * PIXELS}`);
    // A copy: the bytes lie in the middle of a received message, at any offset.
    const data = new Float32Array(new Uint8Array(pixels).buffer);
    const [answer] = await session.run([{ datatype: 'FP32', dims: [1, PIXELS], data }], [0]);
    return Float32Array.from(answer!.data.subarray(0, CLASSES));
  };
}
