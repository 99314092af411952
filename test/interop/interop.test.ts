/**
 * The interoperability cases, first directly against the service (so that a failure there is not ours), then through
 * two sidecars with mutual TLS.
 */

import { tmpdir } from 'node:os';
import path from 'node:path';
import { CASES } from '../kit/interop/cases.js';
import { LARGE_CASES } from '../kit/interop/large-cases.js';
import { suiteCaller, suitePair } from '../kit/interop/suites.js';
import { EFFORT } from '../kit/mocha/effort.js';
import { startTestService } from '../kit/service/test-service.js';

describe('interop, grpc-js client', () => {
  const suite = suitePair(() => startTestService());

  const all = [...CASES, ...LARGE_CASES];

  describe('directly', () => void suiteCaller(EFFORT > 1 ? all : CASES, () => suite.service.address));

  describe('through two sidecars with mutual TLS', () => void suiteCaller(all, () => suite.pair.target));

  describe('through two sidecars, Unix sockets at both ends', () => {
    const socket = (name: string) =>
      ({ kind: 'unix', path: path.join(tmpdir(), `outrider-${process.pid}-${name}.sock`) }) as const;
    const ends = suitePair(() => startTestService(socket('service')), { listen: socket('caller') });
    suiteCaller(CASES, () => ends.pair.target);
  });
});
