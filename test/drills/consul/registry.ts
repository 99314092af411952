/** Rows: an operator empties the registry while everything runs. */

import { setTimeout as delay } from 'node:timers/promises';
import type { Row } from '../faults/row.js';
import { measure } from '../faults/times.js';
import { areCurrent } from './sidecar-node.js';
import { type ConsulWorld, SERVICE, sameAgain } from './world.js';

/** Sidecars look after their entries at least this often. */
const AGAIN_MS = 17_000;
const LIMIT_MS = 30_000;

export const agentEmptied: Row<ConsulWorld> = {
  name: 'agent-emptied',
  fault: 'an operator deregisters every service at the agent',
  async run(world, trial) {
    const again = await sameAgain(() => world.registered());
    await trial.unharmed(world.load, async () => {
      for (const id of await world.registered())
        await world.agent.api('PUT', `/agent/service/deregister/${id}`);
      trial.within('every service is registered again, once,', AGAIN_MS, await measure(again, LIMIT_MS));
      await world.mesh.untilCurrent();
    });
  },
};

export const catalogueEmptied: Row<ConsulWorld> = {
  name: 'catalogue-emptied',
  fault: "an operator removes the node from the servers' catalogue; its agent does not notice",
  async run(world, trial) {
    const { agent } = world;
    const back = await sameAgain(() => world.peers(SERVICE));
    await trial.unharmed(world.load, async () => {
      const { Config } = await agent.api<{ Config: { NodeName: string } }>('GET', '/agent/self');
      await agent.api('PUT', '/catalog/deregister', { Node: Config.NodeName });
      const left = await world.peers(SERVICE);
      trial.expect('the catalogue is empty', left.length === 0, `${left.length} instances`);
      await delay(trial.pick(1_000, 30_000));
      // An agent tells the servers all it knows when it starts.
      await agent.restart({ state: 'kept' });
      const backMs = await measure(back, LIMIT_MS);
      trial.within("after the agent's restart everything is in the catalogue", 5_000, backMs);
      await measure(() => areCurrent(world.nodes), LIMIT_MS);
    });
  },
};
