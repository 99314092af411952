import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { ModelSession } from '../../../../services/model-server/network/session.js';
import { Graph } from '../../../../services/onnx/graph.js';
import { scratchForTest } from '../../../kit/mocha/scratch.js';

const row = { name: 'x', datatype: 'FP32', dims: ['rows', 3] } as const;

describe('a graph', () => {
  it('is a file that the runtime runs: weights, integers and attributes of each kind', async () => {
    const graph = new Graph('test');
    graph.input(row);
    const scaled = graph.node('Gemm', ['x', graph.weights('w', [3, 2], [1, 0, 0, 1, 0, 0])], 'scaled', {
      alpha: { float: 2 },
    });
    const sum = graph.node('ReduceSum', [scaled, graph.integers('axis', [1])], 'sum', { keepdims: 1 });
    const turned = graph.node('Transpose', [sum], 'turned', { perm: [1, 0] });
    graph.node('Add', [turned, graph.rawWeights('one', [1], new Uint8Array([0, 0, 128, 63]))], 'y');
    graph.output({ name: 'y', datatype: 'FP32', dims: [1, 'rows'] });
    const file = `${scratchForTest().path}/model.onnx`;
    writeFileSync(file, graph.encode());
    const session = await ModelSession.load(file);
    assert.deepEqual(session.inputs[0]!.shape, [-1, 3]);
    const data = new Float32Array([1, 2, 50, 3, 4, 50]);
    const [y] = await session.run([{ datatype: 'FP32', dims: [2, 3], data }], [0]);
    await session.release();
    assert.deepEqual(
      [y!.dims, [...(y!.data as Float32Array)]],
      [
        [1, 2],
        [7, 15],
      ],
    );
  });

  it('gives the same bytes each time', () => {
    const make = (): Buffer => {
      const graph = new Graph('test');
      graph.input(row);
      graph.node('Relu', ['x'], 'y');
      graph.output({ ...row, name: 'y' });
      return graph.encode();
    };
    assert.ok(make().equals(make()));
  });

  it('refuses weights that do not fill their shape', () => {
    const graph = new Graph('test');
    assert.throws(() => graph.weights('w', [2, 2], [1, 2, 3]), {
      message: 'w: found 12 bytes, expected 16 for [2,2]',
    });
  });
});
