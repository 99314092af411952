/** What runs for the tests of one describe block: started before them, ended after them. */

import type { Address } from '../../../sidecar/config/model.js';
import { type Pair, type PairOptions, startPair } from '../process/sidecars.js';
import { type ToolName, toolOrSkip } from '../process/tools.js';
import { startTestService, type TestService } from '../service/test-service.js';
import type { Case } from './cases.js';
import { Caller } from './client.js';
import { ConnectMesh, type Mode, type Rule } from './mesh.js';

/** The large ones take seconds, and many times that beside other work. */
const CASE_LIMIT_MS = 60_000;

interface Service {
  readonly address: Address;
  close(): unknown;
}

/** Two sidecars with mutual TLS between them, in front of what `start` starts. */
export function suitePair<S extends Service>(
  start: (context: Mocha.Context) => Promise<S>,
  options: Omit<PairOptions, 'local'> = {},
): { readonly service: S; readonly pair: Pair } {
  const suite = {} as { service: S; pair: Pair };
  before(async function () {
    suite.service = await start(this);
    suite.pair = await startPair({ local: suite.service.address, ...options });
  });
  after(async () => {
    await suite.pair?.close();
    await suite.service?.close();
  });
  return suite;
}

/**
 * A Connect mesh, and the interoperability service to put into it. `services`: what `app` may call; `binary`: where the
 * `tool` is. Skips where there is no Consul, or no `tool`.
 */
export function suiteMesh(mode: Mode, services: readonly string[], tool?: ToolName) {
  const suite = {} as { service: TestService; mesh: ConnectMesh; binary: string };
  before(async function () {
    if (tool !== undefined) suite.binary = await toolOrSkip(this, tool);
    suite.service = await startTestService();
    const rules = services.map((to): Rule => ({ from: 'app', to, action: 'allow' }));
    suite.mesh = await ConnectMesh.open(this, mode, rules);
  });
  after(async () => {
    await suite.mesh?.close();
    suite.service?.close();
  });
  return suite;
}

/** A client of what `target` names, and the cases as tests of it. */
export function suiteCaller(
  cases: readonly Case[],
  target: () => Address | Promise<Address>,
): { readonly caller: Caller } {
  const suite = {} as { caller: Caller };
  before(async () => {
    suite.caller = new Caller(await target());
  });
  after(() => suite.caller?.close());
  for (const { name, run } of cases) it(name, () => run(suite.caller)).timeout(CASE_LIMIT_MS);
  return suite;
}
