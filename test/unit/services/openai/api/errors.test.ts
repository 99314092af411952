import assert from 'node:assert/strict';
import { fromRpc } from '../../../../../services/openai/api/errors.js';

const failure = (
  code: number,
  trailers: Readonly<Record<string, string>> = {},
  details = 'said by the mesh',
) => fromRpc({ code, details, trailer: (key) => trailers[key] });

describe('a gRPC failure in the form of OpenAI', () => {
  const STATUSES: readonly (readonly [name: string, code: number, status: number])[] = [
    ['INVALID_ARGUMENT', 3, 400],
    ['DEADLINE_EXCEEDED', 4, 504],
    ['NOT_FOUND', 5, 404],
    ['PERMISSION_DENIED', 7, 403],
    ['RESOURCE_EXHAUSTED', 8, 429],
    ['UNIMPLEMENTED', 12, 501],
    ['INTERNAL', 13, 500],
    ['UNAVAILABLE', 14, 503],
    ['UNAUTHENTICATED', 16, 401],
    ['a status that nobody knows', 99, 500],
  ];
  for (const [name, code, status] of STATUSES)
    it(`is ${status} for ${name}`, () => assert.equal(failure(code).status, status));

  it('has the message of the mesh and its reason as the code', () => {
    assert.deepEqual(failure(8, { 'outrider-reason': 'rate-limited' }).body, {
      error: { message: 'said by the mesh', type: 'rate_limit_error', param: null, code: 'rate-limited' },
    });
  });

  it('has a message even if the mesh said none', () => {
    assert.equal(failure(13, {}, '').message, 'The engine failed with status 13.');
  });

  it('says in whole seconds, and exactly, when a client may come back', () => {
    assert.deepEqual(failure(8, { 'grpc-retry-pushback-ms': '1200' }).headers, {
      'retry-after': '2',
      'retry-after-ms': '1200',
    });
  });

  it('forbids a retry where the mesh does', () => {
    assert.deepEqual(failure(14, { 'grpc-retry-pushback-ms': '-1' }).headers, { 'x-should-retry': 'false' });
    assert.deepEqual(failure(14, { 'grpc-retry-pushback-ms': 'soon' }).headers, {
      'x-should-retry': 'false',
    });
  });

  it('says nothing of retries where the mesh does not', () => assert.deepEqual(failure(14).headers, {}));
});
