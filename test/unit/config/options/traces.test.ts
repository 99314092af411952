/** The block `traces`: what it means, and what is said of a wrong one. */
import assert from 'node:assert/strict';
import {
  IDENTITY,
  meshConfig,
  refusing,
  sidecarConfig,
  sidecarProblems,
} from '../../../kit/config/problems-of.js';

const PLAIN = `${IDENTITY}\noutbound: {upstreams: {u: {listen: "127.0.0.1:1", endpoints: ["10.0.0.1:1"]}}}`;
const withTraces = (block: string): string => `${PLAIN}\ntraces: ${block}`;
const ENDPOINT = 'endpoint: "http://127.0.0.1:4318"';

describe('the block traces', () => {
  it('is off unless it is there', () => assert.equal(sidecarConfig(PLAIN).traces, undefined));

  it('needs an endpoint, and has defaults for the rest', () => {
    const config = {
      ...{ endpoint: 'http://127.0.0.1:4318', protocol: 'http/protobuf', headers: {}, sample: 0.01 },
      ...{ parent: 'follow', errorsPerSecond: 100, requestIds: 'traced', attributes: {} },
    };
    assert.deepEqual(sidecarConfig(withTraces(`{${ENDPOINT}}`)).traces, config);
    assert.deepEqual(
      meshConfig(`services: {digits: {models: models}}\ntraces: {${ENDPOINT}}`).traces,
      config,
    );
  });

  it('takes headers, attributes and no errors beyond the sample', () => {
    const text = `{endpoint: "https://otel.internal:4317", protocol: grpc, headers: {authorization: Bearer x}, attributes: {a.b: c}, errors_per_second: none}`;
    const { headers, attributes, errorsPerSecond } = sidecarConfig(withTraces(text)).traces!;
    assert.deepEqual(
      [headers, attributes, errorsPerSecond],
      [{ authorization: 'Bearer x' }, { 'a.b': 'c' }, 0],
    );
  });

  refusing((block) => sidecarProblems(withTraces(block)))('no endpoint', '{}')
    .because(/traces\.endpoint: missing; expected the address of a collector/)
    .also('an address without a scheme', '{endpoint: "127.0.0.1:4318"}')
    .because(/did you mean "http:\/\/127\.0\.0\.1:4318"/)
    .also('an address without a port', '{endpoint: "http://otel"}')
    .because(/the port is missing; did you mean "http:\/\/otel:4318"/)
    .also('a user in the address', '{endpoint: "http://me:secret@otel:4318"}')
    .because(/found a user in the address; expected the address alone; credentials belong into headers$/)
    .also('a path with gRPC', '{endpoint: "http://otel:4317/v1/traces", protocol: grpc}')
    .because(/traces\.endpoint: found a path; expected "http:\/\/otel:4317", as gRPC has a path of its own/)
    .also('a header that is its own', `{${ENDPOINT}, headers: {content-type: text/plain}}`)
    .because(/content-type: found a header that the sidecar sets itself/)
    .also('a header in upper case', `{${ENDPOINT}, headers: {Authorization: x}}`)
    .because(/the name of a header: lower-case letters/)
    .also('the name of the service as an attribute', `{${ENDPOINT}, attributes: {service.name: x}}`)
    .because(/found an attribute that follows from service and instance/)
    .also('a sample in percent', `{${ENDPOINT}, sample: 5}`)
    .because(/traces\.sample: found 5; expected a ratio from 0 to 1/);
});
