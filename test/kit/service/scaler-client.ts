/** Asks an external scaler as KEDA does: with a stock client, the metadata of a trigger in each question, and no deadline on streams. */

import type { ClientReadableStream } from '@grpc/grpc-js';
import { loadSync } from '@grpc/proto-loader';
import { type Method, protoFile } from '../../../proto/load.js';
import { TestClient } from './model-server.js';

interface ScaledObjectRef {
  readonly name: string;
  readonly namespace: string;
  readonly scalerMetadata: Readonly<Record<string, string>>;
}

interface MetricSpec {
  readonly metricName: string;
  readonly targetSize: string;
  readonly targetSizeFloat: number;
}

interface MetricValue {
  readonly metricName: string;
  readonly metricValue: string;
  readonly metricValueFloat: number;
}

interface ScalerService {
  readonly IsActive: Method<ScaledObjectRef, { readonly result: boolean }>;
  readonly StreamIsActive: Method<ScaledObjectRef, { readonly result: boolean }>;
  readonly GetMetricSpec: Method<ScaledObjectRef, { readonly metricSpecs: readonly MetricSpec[] }>;
  readonly GetMetrics: Method<
    { readonly scaledObjectRef: ScaledObjectRef; readonly metricName: string },
    { readonly metricValues: readonly MetricValue[] }
  >;
}

/** The methods in external-scaler.proto. */
export function scalerService(): ScalerService {
  return loadSync(protoFile('external-scaler.proto'), { keepCase: true, longs: String, defaults: true })[
    'externalscaler.ExternalScaler'
  ] as unknown as ScalerService;
}

/** One trigger of KEDA. */
export class KedaTrigger {
  private readonly client: TestClient;
  private readonly service = scalerService();
  private readonly ref: ScaledObjectRef;
  private readonly streams: ClientReadableStream<{ readonly result: boolean }>[] = [];

  /** @param metadata of the trigger, which KEDA passes on as it stands. */
  constructor(address: string, metadata: Readonly<Record<string, string>>) {
    this.client = new TestClient(address);
    this.ref = { name: 'chat', namespace: 'models', scalerMetadata: { scalerAddress: address, ...metadata } };
  }

  /** What KEDA writes into the HPA that it makes. */
  async spec(): Promise<{ readonly name: string; readonly target: number }> {
    const { metricSpecs } = await this.client.call(this.service.GetMetricSpec, this.ref);
    const [{ metricName: name, targetSize, targetSizeFloat }] = metricSpecs as [MetricSpec];
    return { name, target: targetSizeFloat > 0 ? targetSizeFloat : Number(targetSize) };
  }

  /** What it tells the HPA and decides by on each poll: the value of the metric, then whether the trigger is active. */
  async poll(): Promise<{ readonly value: number; readonly isActive: boolean }> {
    const { name: metricName } = await this.spec();
    const { GetMetrics, IsActive } = this.service;
    const { metricValues } = await this.client.call(GetMetrics, { scaledObjectRef: this.ref, metricName });
    const [{ metricValue, metricValueFloat }] = metricValues as [MetricValue];
    const { result: isActive } = await this.client.call(IsActive, this.ref);
    return { value: metricValueFloat > 0 ? metricValueFloat : Number(metricValue), isActive };
  }

  /** What a stream of `external-push` has told so far. */
  watch(): boolean[] {
    const told: boolean[] = [];
    const { path, requestSerialize, responseDeserialize } = this.service.StreamIsActive;
    const stream = this.client.client.makeServerStreamRequest(
      path,
      requestSerialize,
      responseDeserialize,
      this.ref,
    );
    stream.on('data', ({ result }: { readonly result: boolean }) => told.push(result));
    stream.on('error', () => {});
    this.streams.push(stream);
    return told;
  }

  close(): void {
    for (const stream of this.streams) stream.cancel();
    this.client.close();
  }
}
