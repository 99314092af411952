/**
 * The interoperability cases, first directly against the service (so that a failure there is not ours), then through
 * two sidecars with mutual TLS.
 */

import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { CASES } from '../kit/interop/cases.js';
import { Caller } from '../kit/interop/client.js';
import { LARGE_CASES } from '../kit/interop/large-cases.js';
import { type Pair, startPair } from '../kit/process/sidecars.js';
import { startTestService, type TestService } from '../kit/service/test-service.js';

describe('interop, grpc-js client', () => {
  let service: TestService;

  before(async () => {
    service = await startTestService();
  });
  after(() => service.close());

  describe('directly', () => {
    let caller: Caller;
    before(() => {
      caller = new Caller(service.address);
    });
    after(() => caller.close());
    for (const one of [...CASES, ...LARGE_CASES]) it(one.name, () => one.run(caller));
  });

  describe('through two sidecars with mutual TLS', () => {
    let pair: Pair;
    let caller: Caller;
    before(async () => {
      pair = await startPair({ local: service.address });
      caller = new Caller(pair.target);
    });
    after(async () => {
      caller?.close();
      await pair?.close();
    });
    for (const one of [...CASES, ...LARGE_CASES]) it(one.name, () => one.run(caller));
  });

  describe('through two sidecars, Unix sockets at both ends', () => {
    let directory: string;
    let local: TestService;
    let pair: Pair;
    let caller: Caller;
    before(async () => {
      directory = await mkdtemp(path.join(tmpdir(), 'outrider-interop-'));
      local = await startTestService({ kind: 'unix', path: path.join(directory, 'service.sock') });
      const listen = { kind: 'unix', path: path.join(directory, 'caller.sock') } as const;
      pair = await startPair({ local: local.address, listen });
      caller = new Caller(listen);
    });
    after(async () => {
      caller?.close();
      await pair?.close();
      local?.close();
      await rm(directory, { recursive: true, force: true });
    });
    for (const one of CASES) it(one.name, () => one.run(caller));
  });
});
