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
      'Where region and zone stand, for `locality` of upstreams. In this order: `Locality` of the instance (Consul 1.17 and later), its metadata, `Locality` of its node, the metadata of the node, else its datacenter. A metadata key `locality` of the instance wins over all. The own place is found in the same way: by the metadata of `registration`, else by the node of the agent.',
    why: 'Consul 1.8 knows no localities; metadata is what an operator can set there.',
  },
);
