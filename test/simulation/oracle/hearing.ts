/**
 * At the end of a run with Consul, when everything is at rest, something changes: a replica comes and goes, an intention comes and goes.
 * Whoever has stopped listening shows by it.
 */
import type { IntentionTable } from '../../../sidecar/core/authorization/intentions.js';
import type { Insides } from '../world/sim-sidecar.js';
import type { Watch, World } from '../world/world.js';

/** Before the end of the run. */
const COMES_MS = 20_000;
const GOES_MS = 13_000;
const ENDS_MS = 6_000;
const GHOST = '10.0.0.99:9443';

/** For one run. */
export function hearing(): Watch {
  let stage = 0;
  return {
    everyMs: 500,
    look(world) {
      const { consul, endMs, nowMs } = world;
      if (consul === undefined) return;
      if (stage === 0 && nowMs >= endMs - COMES_MS) {
        stage = 1;
        consul.setGhost(true);
      } else if (stage === 1 && nowMs >= endMs - GOES_MS) {
        stage = 2;
        judgeHeard(world, true);
        consul.setGhost(false);
      } else if (stage === 2 && nowMs >= endMs - ENDS_MS) {
        stage = 3;
        judgeHeard(world, false);
      }
    },
  };
}

function judgeHeard(world: World, isThere: boolean): void {
  const { destination } = world.plan.consul!;
  for (const { name, insides, process } of world.sidecars) {
    if (insides === undefined || process.isDead || process.isFrozen) continue;
    for (const { name: upstream, clusters } of insides.outbound.upstreams) {
      if (upstream !== destination) continue;
      const known = clusters.flatMap(({ endpoints }) => endpoints.map(({ label }) => label));
      if (known.includes(GHOST) !== isThere)
        world.find(
          'registry',
          `${name} has ${known}, and has not heard that ${GHOST} ${isThere ? 'came' : 'went'}`,
        );
    }
    const serves = world.plan.replicas.some((each) => each.name === name && each.service === destination);
    const decides = intentionsOf(insides)?.explain('ghost', destination);
    if (serves && (decides?.from === 'ghost') !== isThere)
      world.find('intentions', `${name} has not heard of the intention that ${isThere ? 'came' : 'went'}`);
  }
}

function intentionsOf({ inbound }: Insides): IntentionTable | undefined {
  return inbound?.inbound.state.authorization.intentions;
}
