/** The block `metrics`: what it means, and what is said of a wrong one. */
import assert from 'node:assert/strict';
import {
  IDENTITY,
  meshConfig,
  refusing,
  sidecarConfig,
  sidecarProblems,
} from '../../../kit/config/problems-of.js';

const PLAIN = `${IDENTITY}\noutbound: {upstreams: {u: {listen: "127.0.0.1:1", endpoints: ["10.0.0.1:1"]}}}`;
const withMetrics = (block: string): string => `${PLAIN}\nmetrics: ${block}`;
const ENDPOINT = 'endpoint: "http://127.0.0.1:4318"';

describe('the block metrics', () => {
  it('is off unless it is there', () => assert.equal(sidecarConfig(PLAIN).metrics, undefined));

  it('needs an endpoint, and has defaults for the rest', () => {
    const config = {
      ...{ endpoint: 'http://127.0.0.1:4318', protocol: 'http/protobuf', headers: {} },
      ...{ intervalMs: 60_000, attributes: {} },
    };
    assert.deepEqual(sidecarConfig(withMetrics(`{${ENDPOINT}}`)).metrics, config);
    const mesh = meshConfig(`services: {digits: {models: models}}\nmetrics: {${ENDPOINT}}`);
    assert.deepEqual(mesh.metrics, config);
  });

  it('takes what traces take, and an interval', () => {
    const text = `{endpoint: "https://otel.internal:4317", protocol: grpc, headers: {authorization: Bearer x}, attributes: {a.b: c}, interval: 10s}`;
    assert.deepEqual(sidecarConfig(withMetrics(text)).metrics, {
      ...{ endpoint: 'https://otel.internal:4317', protocol: 'grpc', headers: { authorization: 'Bearer x' } },
      ...{ intervalMs: 10_000, attributes: { 'a.b': 'c' } },
    });
  });

  refusing((block) => sidecarProblems(withMetrics(block)))('no endpoint', '{}')
    .because(/metrics\.endpoint: missing; expected the address of a collector/)
    .also('a path with gRPC', '{endpoint: "http://otel:4317/v1/metrics", protocol: grpc}')
    .because(/metrics\.endpoint: found a path; expected "http:\/\/otel:4317", as gRPC has a path of its own/)
    .also('a header that is its own', `{${ENDPOINT}, headers: {content-type: text/plain}}`)
    .because(/content-type: found a header that the sidecar sets itself/)
    .also('the name of the service as an attribute', `{${ENDPOINT}, attributes: {service.name: x}}`)
    .because(/found an attribute that follows from service and instance/)
    .also('an interval of half a second', `{${ENDPOINT}, interval: 500ms}`)
    .because(/metrics\.interval: .*1s to 1h/)
    .also('a sample, which traces have', `{${ENDPOINT}, sample: 0.5}`)
    .because(/sample: unknown option/);
});
