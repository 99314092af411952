/**
 * The interoperability cases, first directly against the service (so that a failure there is not ours), then through
 * two sidecars with mutual TLS.
 */

import path from 'node:path';
import type { Address } from '../../sidecar/config/model.js';
import { CASES, type Case } from '../kit/interop/cases.js';
import { Caller } from '../kit/interop/client.js';
import { LARGE_CASES } from '../kit/interop/large-cases.js';
import { suitePair } from '../kit/interop/suites.js';
import { Scratch } from '../kit/process/outrider.js';
import { startTestService } from '../kit/service/test-service.js';

describe('interop, grpc-js client', () => {
  const suite = suitePair(() => startTestService());

  const passes = (cases: readonly Case[], addressOf: () => Address): void => {
    let caller: Caller;
    before(() => {
      caller = new Caller(addressOf());
    });
    after(() => caller?.close());
    for (const one of cases) it(one.name, () => one.run(caller));
  };

  describe('directly', () => passes([...CASES, ...LARGE_CASES], () => suite.service.address));

  describe('through two sidecars with mutual TLS', () =>
    passes([...CASES, ...LARGE_CASES], () => suite.pair.target));

  describe('through two sidecars, Unix sockets at both ends', () => {
    const scratch = new Scratch();
    const socket = (name: string) => ({ kind: 'unix', path: path.join(scratch.path, name) }) as const;
    after(() => scratch.remove());
    const local = () => startTestService(socket('service.sock'));
    const ends = suitePair(local, { listen: socket('caller.sock') });
    passes(CASES, () => ends.pair.target);
  });
});
