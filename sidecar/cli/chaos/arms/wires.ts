import { systemRandom } from '../../../runtime/random.js';
import { Wire } from '../faults/wire.js';

/** One wire to each of the addresses (`host:port` on loopback), in their order. */
export function openWires(addresses: readonly string[]): Promise<Wire[]> {
  return Promise.all(addresses.map((address) => Wire.open(Number(address.split(':').at(-1)), systemRandom)));
}

/** The near end of a wire, `host:port`. */
export function nearEnd({ port }: Wire): string {
  return `127.0.0.1:${port}`;
}
