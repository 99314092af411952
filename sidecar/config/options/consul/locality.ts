/** Where instances and this machine are by Consul: its own localities, else metadata. */
import { block, option } from '../option.js';
import { consulMetaKey } from './values.js';

/** `locality` of the block `consul`. */
export const placeKeys = option(
  block({
    region: option(consulMetaKey().prefault('region'), {
      meaning: 'The metadata key that names the region, of an instance, else of its node.',
      why: 'The name that Consul gives it.',
    }),
    zone: option(consulMetaKey().prefault('zone'), {
      meaning: 'The metadata key that names the zone.',
      why: 'The name that Consul gives it.',
    }),
  }).prefault({}),
  {
    meaning:
      'Where region and zone are found, for `locality` of upstreams. In this order: metadata key `locality` of the instance, its `Locality` (Consul 1.17 and later), its other metadata, `Locality` of its node, the metadata of the node, its datacenter. The place of this sidecar is found the same way, by the metadata of `registration` or the node of the agent.',
    why: 'Consul 1.8 knows no localities; metadata is what an operator can set there.',
  },
);
