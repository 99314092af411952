/** Name servers of the simulated world, as sidecars ask them through Node's resolver. */
import type { ManualClock } from '../../kit/time/manual-clock.js';
import type { Dice } from '../dice.js';

/** What is answered in place of addresses, by the code of Node. */
export type DnsFailure = 'ESERVFAIL' | 'EREFUSED' | 'ENOTFOUND' | 'ENODATA' | 'silent';

export class SimDns {
  /** A records by name. */
  readonly records = new Map<string, readonly string[]>();
  /** Addresses that are left out; a fault. */
  readonly lost = new Set<string>();
  failure: DnsFailure | undefined;

  constructor(
    private readonly clock: ManualClock,
    private readonly dice: Dice,
  ) {}

  /** The class that stands in the place of `dns.promises.Resolver`. */
  resolver(): object {
    const dns = this;
    return class {
      private readonly open = new Set<(error: Error) => void>();

      setServers(): void {}

      getServers(): string[] {
        return ['10.0.9.1'];
      }

      cancel(): void {
        for (const reject of this.open) reject(failureOf('ECANCELLED'));
        this.open.clear();
      }

      resolve4(name: string): Promise<string[]> {
        return new Promise((resolve, reject) => {
          this.open.add(reject);
          dns.answer(name, (result) => {
            if (!this.open.delete(reject)) return;
            if (typeof result === 'string') reject(failureOf(result));
            else resolve([...result]);
          });
        });
      }

      /** The mesh has IPv4 alone. */
      resolve6(): Promise<string[]> {
        return Promise.reject(failureOf('ENODATA'));
      }
    };
  }

  private answer(name: string, done: (result: readonly string[] | string) => void): void {
    const { failure } = this;
    if (failure === 'silent') return;
    this.clock.after(0.5 + this.dice.next() * 3, () => {
      if (failure !== undefined) return done(failure);
      const known = this.records.get(name.replace(/\.$/, ''));
      if (known === undefined) return done('ENOTFOUND');
      // Name servers turn the answer from query to query.
      const from = Math.floor(this.dice.next() * known.length);
      const turned = [...known.slice(from), ...known.slice(0, from)];
      done(turned.filter((address) => !this.lost.has(address)));
    });
  }
}

function failureOf(code: string): Error {
  return Object.assign(new Error(code), { code });
}
