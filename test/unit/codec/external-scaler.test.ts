import assert from 'node:assert/strict';
import {
  readMetricsRequest,
  readScaledObject,
  ScalerMethod,
  writeIsActive,
  writeMetricSpec,
  writeMetricValue,
} from '../../../sidecar/codec/external-scaler.js';
import { scalerService } from '../../kit/service/scaler-client.js';

const METADATA = { service: 'chat', scalerAddress: 'app:9475', target: '4096' };
const REF = { name: 'chat', namespace: 'models', scalerMetadata: METADATA };

describe('the messages of KEDA’s external scalers', () => {
  const { IsActive, StreamIsActive, GetMetricSpec, GetMetrics } = scalerService();

  it('have the paths of its service', () => {
    assert.deepEqual(
      [IsActive.path, StreamIsActive.path, GetMetricSpec.path, GetMetrics.path],
      Object.values(ScalerMethod),
    );
  });

  it('are read as a stock encoder writes them', () => {
    assert.deepEqual(readScaledObject(IsActive.requestSerialize(REF)), new Map(Object.entries(METADATA)));
    const asked = GetMetrics.requestSerialize({ scaledObjectRef: REF, metricName: 's0-x' });
    assert.deepEqual(readMetricsRequest(asked), new Map(Object.entries(METADATA)));
    assert.deepEqual(readMetricsRequest(Buffer.alloc(0)), new Map());
  });

  it('that are none are refused', () => {
    for (const bytes of [Buffer.from([0x0b]), Buffer.from([0x1a, 5, 1]), Buffer.from([0x1a, 1, 0x0b])]) {
      assert.equal(readScaledObject(bytes), undefined);
      assert.equal(readMetricsRequest(Buffer.concat([Buffer.from([0x0a, bytes.length]), bytes])), undefined);
    }
  });

  it('keep no more of the metadata than a trigger has', () => {
    const many = Object.fromEntries(Array.from({ length: 500 }, (_, i) => [`k${i}`, 'v']));
    const read = readScaledObject(IsActive.requestSerialize({ ...REF, scalerMetadata: many }));
    assert.equal(read!.size, 64);
  });

  it('are written so that a stock decoder reads them, by the old and the new number', () => {
    assert.deepEqual(
      [true, false].map((isActive) => IsActive.responseDeserialize(writeIsActive(isActive)).result),
      [true, false],
    );
    const { metricSpecs } = GetMetricSpec.responseDeserialize(writeMetricSpec('m', 2.5));
    assert.deepEqual(metricSpecs, [{ metricName: 'm', targetSize: '3', targetSizeFloat: 2.5 }]);
    const { metricValues } = GetMetrics.responseDeserialize(writeMetricValue('m', 0));
    assert.deepEqual(metricValues, [{ metricName: 'm', metricValue: '0', metricValueFloat: 0 }]);
  });
});
