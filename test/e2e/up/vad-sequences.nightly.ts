/** Recordings that come piece by piece to two replicas of a model with state, through sidecars. */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { status } from '@grpc/grpc-js';
import { encodeRaw } from '../../../proto/tensors.js';
import { RECORDING, SPEECH } from '../../../services/vad/speech.js';
import { decodeWav } from '../../../sidecar/cli/infer/wav.js';
import { Mesh, type SidecarFacts } from '../../kit/process/outrider.js';
import { until } from '../../kit/process/processes.js';
import { requireModels, requirePackage } from '../../kit/service/made-models.js';
import { failure, TestClient } from '../../kit/service/model-server.js';

/** Half a second. */
const PIECE = 8000;
const PIECES = 6;
const RECORDINGS = 16;

const meshOf = (models: string): string => `
services: {vad: {models: ${models}, replicas: 2}}
caller:
  name: app
  admin: 127.0.0.1:0
  upstreams:
    vad:
      listen: "127.0.0.1:0"
      balance: {kind: ring-hash, hash_on: {parameter: sequence_id}}
      # What a busy machine does to the times of one replica must not move a recording to the other.
      ejection: {detectors: {latency: {mode: observe}}}
`;

describe('recordings in pieces, at two replicas of vad', function () {
  this.timeout(180_000);
  let mesh: Mesh;
  let replicas: readonly SidecarFacts[];
  let client: TestClient;
  let sound: Float32Array;

  before(async function () {
    const files = await requirePackage(this, SPEECH);
    sound = decodeWav(readFileSync(files.get(RECORDING)!)).samples;
    mesh = Mesh.start(meshOf(requireModels(this, 'vad')));
    const { call, sidecars } = await mesh.ready();
    replicas = sidecars.filter(({ role }) => role === 'replica');
    client = new TestClient(call['vad']!);
  });
  after(async () => {
    client?.close();
    await mesh?.discard();
  });

  /** One piece of a recording of so many pieces, or a whole one without an id. */
  async function speechIn(
    samples: Float32Array,
    id?: string,
    number = 0,
    pieces = PIECES,
  ): Promise<number[]> {
    const { raw_output_contents: raw } = await client.infer(
      {
        model_name: 'vad',
        parameters:
          id === undefined
            ? {}
            : {
                sequence_id: { string_param: id },
                sequence_start: { bool_param: number === 0 },
                sequence_end: { bool_param: number === pieces - 1 },
              },
        inputs: [{ name: 'audio', datatype: 'FP32', shape: [samples.length] }],
        raw_input_contents: [encodeRaw({ datatype: 'FP32', dims: [samples.length], data: samples })],
      },
      { deadline: Date.now() + 20_000 },
    );
    return [...new Float32Array(Uint8Array.from(raw[0]!).buffer)];
  }

  const piece = (number: number) => sound.subarray(number * PIECE, (number + 1) * PIECE);

  it('are each heard by the replica that has heard its beginning', async () => {
    const whole = await speechIn(sound.subarray(0, PIECES * PIECE));
    const found = Array.from({ length: RECORDINGS }, () => [] as number[]);
    for (let number = 0; number < PIECES; number++)
      await Promise.all(
        found.map(async (own, i) => own.push(...(await speechIn(piece(number), `whole-${i}`, number)))),
      );
    for (const own of found) {
      assert.equal(own.length, whole.length);
      own.forEach((p, i) => {
        assert.ok(Math.abs(p - whole[i]!) < 1e-4, `window ${i}: ${p} and ${whole[i]}`);
      });
    }
  });

  it('are lost with the process that had heard them, which is said, and no others are', async () => {
    const ids = Array.from({ length: RECORDINGS }, (_, i) => `cut-${i}`);
    for (const id of ids) await speechIn(piece(0), id, 0);
    process.kill(replicas[0]!.modelPid!, 'SIGKILL');
    const reports = await Promise.all(ids.map((id) => speechIn(piece(1), id, 1).then(() => 'heard', lossOf)));
    const heard = reports.filter((report) => report === 'heard').length;
    assert.ok(heard > 0 && heard < RECORDINGS, reports.join('\n'));
    for (const report of reports) assert.match(report, /^heard$|^9 .*sequence 'cut-\d+' is not known|^14 /);
    // Each lost one can begin again.
    const lost = ids.filter((_, i) => reports[i] !== 'heard');
    for (const id of lost)
      await until(
        `${id} begins again`,
        () =>
          speechIn(piece(0), id, 0).then(
            () => true,
            () => false,
          ),
        30_000,
      );
  });
});

async function lossOf(error: unknown): Promise<string> {
  const { code, details } = await failure(Promise.reject(error));
  assert.ok(code === status.FAILED_PRECONDITION || code === status.UNAVAILABLE, `${code} ${details}`);
  return `${code} ${details}`;
}
