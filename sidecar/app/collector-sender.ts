/** What brings telemetry to the collector of a block of the configuration; loaded when there is one. */
import type { Socket } from 'node:net';
import { readAddress } from '../config/codecs/address.js';
import type { MetricsConfig, TracesConfig } from '../config/model.js';
import { present } from '../config/present.js';
import { OtlpGrpcSender } from '../telemetry/otlp/otlp-grpc.js';
import { OtlpHttpSender } from '../telemetry/otlp/otlp-http.js';
import type { OtlpSender, Signal } from '../telemetry/otlp/otlp-sender.js';
import type { Network } from '../transport/network.js';
import type { Deps } from './context.js';

export function openSender(
  config: MetricsConfig | TracesConfig,
  signal: Signal,
  { timers, network }: Pick<Deps, 'timers' | 'network'>,
): OtlpSender {
  const options = { signal, timers, ...present('dial', dialTo(config.endpoint, network)) };
  return config.protocol === 'grpc'
    ? new OtlpGrpcSender(config, options)
    : new OtlpHttpSender(config, options);
}

/** Connections without TLS, where they do not come from the operating system. */
function dialTo(endpoint: string, network: Network | undefined): (() => Socket) | undefined {
  const place = /^http:\/\/([^/]+)/.exec(endpoint)?.[1];
  if (network === undefined || place === undefined) return undefined;
  const address = readAddress(place);
  return address.ok ? () => network.dial(address.value) : undefined;
}
