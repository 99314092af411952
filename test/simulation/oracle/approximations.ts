/** An answer that has tokens of several engines, each of which drew its own, says so; no other answer does. */
import type { World } from '../world/world.js';

export function judgeApproximations(world: World): void {
  const mayBe = world.plan.features.includes('approximate');
  for (const { plan, drawnBy, trailers, status } of world.records) {
    // Without trailers of the sidecar nothing can be said.
    if (status < 0 || trailers['grpc-status'] === undefined) continue;
    const isTold = trailers['outrider-resumed'] !== undefined;
    const isMixed = drawnBy.length > 1;
    const find = (what: string): void =>
      world.find('told-approximate', `call ${plan.id} ${plan.path}: ${what}`, [plan.id]);
    if (isMixed && !mayBe) find(`has tokens of ${drawnBy.length} engines, which its route does not allow`);
    else if (isMixed && !isTold) find(`has tokens of ${drawnBy.length} engines, and does not say so`);
    else if (isTold && !isMixed) find('says that another engine went on in other tokens, and none did');
  }
}
