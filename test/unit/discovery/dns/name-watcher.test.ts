/** Addresses of a name on a manual clock: the test answers each round of queries. */
import assert from 'node:assert/strict';
import { writeAddress } from '../../../../sidecar/config/codecs/address.js';
import type { DnsConfig } from '../../../../sidecar/config/model.js';
import type { RecordAnswer } from '../../../../sidecar/core/discovery/dns-answer.js';
import type { SearchResult } from '../../../../sidecar/core/discovery/name-search.js';
import { ROUND_LIMIT_MS } from '../../../../sidecar/core/discovery/round-time.js';
import { GRACE_MS, MAX_ADDRESSES, NameWatcher } from '../../../../sidecar/discovery/dns/name-watcher.js';
import type { DnsQuery } from '../../../../sidecar/discovery/dns/query.js';
import type { Logger } from '../../../../sidecar/runtime/log/logger.js';
import { afterTest } from '../../../kit/mocha/after-test.js';
import { ManualClock } from '../../../kit/time/manual-clock.js';
import { constant, seeded } from '../../../kit/time/seeded-random.js';

type Answers = { readonly a: RecordAnswer; readonly aaaa: RecordAnswer };

const NONE = { kind: 'none', why: 'there is no such name (NXDOMAIN)', isName: false } as const;
const FAILED = { kind: 'failed', why: 'SERVFAIL' } as const;
const NAME: DnsConfig = { name: 'digits.test', port: 8443, refreshMs: 5_000, family: 'all', servers: [] };

/** One round, which the test answers. */
class Round implements DnsQuery {
  isCancelled = false;
  private resolve!: (result: SearchResult) => void;
  readonly result = new Promise<SearchResult>((resolve) => {
    this.resolve = resolve;
  });
  /** The name that has the addresses. */
  found: string | undefined;

  constructor(
    readonly config: DnsConfig,
    readonly before: string | undefined,
  ) {}

  private settle(answers: Answers): void {
    const { found } = this;
    this.resolve({ answers, ...(found !== undefined && { found }) });
  }

  answer(...addresses: string[]): void {
    this.settle({ a: { kind: 'addresses', addresses }, aaaa: NONE });
  }

  tell(answers: Answers): void {
    this.settle(answers);
  }

  say(answer: RecordAnswer): void {
    this.settle({ a: answer, aaaa: answer });
  }

  /** What has come of each type, for a round that is ended before the other one has. */
  have: Partial<Answers> = {};

  cancel(): void {
    this.isCancelled = true;
    this.settle({ a: FAILED, aaaa: FAILED, ...this.have });
  }
}

class Bench {
  readonly clock = new ManualClock();
  readonly rounds: Round[] = [];
  readonly seen: string[][] = [];
  readonly log: string[] = [];
  /** Addresses that have no connection. */
  readonly silent = new Set<string>();
  readonly watcher: NameWatcher;

  constructor(config: DnsConfig = NAME, random = constant(0.5)) {
    const note = (_: object, text: string): void => void this.log.push(text);
    this.watcher = new NameWatcher(
      'digits',
      config,
      {
        clock: this.clock,
        timers: this.clock,
        random,
        logger: { info: note, warn: note } as unknown as Logger,
        isAnswering: (address) => !this.silent.has(writeAddress(address)),
        query: (asked, before) => {
          const round = new Round(asked, before);
          this.rounds.push(round);
          return round;
        },
      },
      (endpoints) => void this.seen.push(endpoints.map(({ id }) => id)),
    );
    afterTest(() => this.watcher.close());
  }

  /** Answers the round that runs. */
  async answer(...addresses: string[]): Promise<void> {
    this.rounds.at(-1)!.answer(...addresses);
    await this.clock.settle();
  }

  async say(answer: RecordAnswer): Promise<void> {
    this.rounds.at(-1)!.say(answer);
    await this.clock.settle();
  }

  /** Lets a period pass, which starts the next round. */
  async next(): Promise<void> {
    const before = this.rounds.length;
    await this.clock.settle(NAME.refreshMs);
    assert.ok(this.rounds.length > before, 'no round has begun');
  }

  get state(): string {
    return this.watcher.report().state;
  }

  get last(): string[] | undefined {
    return this.seen.at(-1);
  }
}

describe('The addresses of a name', () => {
  const at = (...hosts: number[]): string[] => hosts.map((host) => `10.0.0.${host}:8443`);

  it('are endpoints, and their changes are followed', async () => {
    const bench = new Bench();
    assert.equal(bench.state, 'waiting');
    await bench.answer('10.0.0.2', '10.0.0.1', '10.0.0.2');
    await bench.next();
    await bench.answer('10.0.0.1', '10.0.0.2');
    await bench.next();
    await bench.answer('10.0.0.2', '10.0.0.3');
    assert.deepEqual(bench.seen, [at(1, 2), at(2, 3)]);
    assert.equal(bench.state, 'current');
  });

  it('are asked for one round after the other, a period ± 10 % apart', async () => {
    for (const [random, delayMs] of [
      [0, 4_500],
      [0.5, 5_000],
      [0.999_999, 5_500],
    ] as const) {
      const bench = new Bench(NAME, constant(random));
      await bench.clock.settle(400);
      assert.equal(bench.rounds.length, 1);
      await bench.answer('10.0.0.1');
      await bench.clock.settle(delayMs - 10);
      assert.equal(bench.rounds.length, 1);
      await bench.clock.settle(20);
      assert.equal(bench.rounds.length, 2);
      bench.watcher.close();
    }
  });

  it('stay when a query fails, which is said once', async () => {
    const bench = new Bench();
    await bench.answer('10.0.0.1', '10.0.0.2');
    for (let i = 0; i < 3; i++) {
      await bench.next();
      await bench.say(FAILED);
    }
    assert.deepEqual(bench.seen, [at(1, 2)]);
    const { state, problem, failures, rounds, addresses, ageMs } = bench.watcher.report();
    assert.deepEqual([state, problem, failures, rounds, addresses], ['failing', 'SERVFAIL', 3, 4, 2]);
    assert.equal(ageMs, 15_000);
    const said = (): number => bench.log.filter((text) => /DNS fails/.test(text)).length;
    assert.equal(said(), 1);
    await bench.next();
    await bench.answer('10.0.0.1', '10.0.0.2');
    assert.equal(bench.state, 'current');
    assert.equal(bench.log.filter((text) => /answers again/.test(text)).length, 1);
    await bench.next();
    await bench.say(FAILED);
    assert.equal(said(), 2);
  });

  it('are not known while no query has succeeded, and are asked for every second', async () => {
    const bench = new Bench();
    await bench.say(FAILED);
    await bench.clock.settle(1_000);
    assert.equal(bench.rounds.length, 2);
    assert.deepEqual(bench.seen, []);
    assert.equal(bench.state, 'failing');
    await bench.answer('10.0.0.1');
    assert.deepEqual(bench.seen, [at(1)]);
  });

  it('are none when the name does not exist at the start, until it does', async () => {
    const bench = new Bench();
    await bench.say(NONE);
    assert.deepEqual(bench.seen, [[]]);
    assert.equal(bench.state, 'empty');
    await bench.clock.settle(1_000);
    await bench.answer('10.0.0.1');
    assert.deepEqual(bench.seen, [[], at(1)]);
  });

  it('that answer calls outlive an empty answer for the grace time', async () => {
    const bench = new Bench();
    await bench.answer('10.0.0.1', '10.0.0.2');
    bench.silent.add('10.0.0.2:8443');
    const ticks = async (ms: number): Promise<void> => {
      for (let passed = 0; passed < ms; passed += 500) {
        await bench.clock.settle(500);
        bench.rounds.at(-1)!.say(NONE);
      }
    };
    await bench.next();
    await bench.say(NONE);
    assert.deepEqual(bench.last, at(1));
    assert.equal(bench.watcher.report().kept, 1);
    assert.equal(bench.state, 'held');
    await ticks(GRACE_MS - 2_000);
    assert.deepEqual(bench.last, at(1));
    await ticks(4_000);
    assert.deepEqual(bench.last, []);
    assert.equal(bench.state, 'empty');
  });

  it('that all stopped answering are gone when the grace time is over, though no query ends meanwhile', async () => {
    const bench = new Bench();
    await bench.answer('10.0.0.1');
    await bench.next();
    await bench.say(NONE);
    bench.silent.add('10.0.0.1:8443');
    await bench.clock.settle(GRACE_MS - 1_000);
    assert.deepEqual(bench.last, at(1));
    await bench.clock.settle(2_000);
    assert.deepEqual(bench.last, []);
  });

  it('stay for good while a lost majority comes back within the grace time', async () => {
    const bench = new Bench();
    await bench.answer('10.0.0.1', '10.0.0.2', '10.0.0.3');
    await bench.next();
    await bench.answer('10.0.0.3');
    assert.deepEqual([...bench.last!].sort(), at(1, 2, 3));
    await bench.next();
    await bench.answer('10.0.0.1', '10.0.0.2', '10.0.0.3');
    await bench.clock.settle(2 * GRACE_MS);
    assert.deepEqual([...bench.last!].sort(), at(1, 2, 3));
    assert.equal(bench.watcher.report().kept, 0);
  });

  it('that leave one by one leave at once, though they still answer', async () => {
    const bench = new Bench();
    await bench.answer('10.0.0.1', '10.0.0.2', '10.0.0.3');
    await bench.next();
    await bench.answer('10.0.0.1', '10.0.0.3');
    assert.deepEqual(bench.last, at(1, 3));
    assert.equal(bench.watcher.report().kept, 0);
  });

  it('are at most a thousand, of which each sidecar keeps others', async () => {
    const many = Array.from({ length: 3_000 }, (_, i) => `10.1.${i >> 8}.${i & 255}`);
    const [one, other] = [new Bench(NAME, seeded(1)), new Bench(NAME, seeded(2))];
    for (const bench of [one, other]) await bench.answer(...many);
    assert.equal(one.last!.length, MAX_ADDRESSES);
    assert.equal(one.watcher.report().addresses, 3_000);
    assert.deepEqual(one.watcher.uncounted(), { why: undefined, replicas: 3_000 - MAX_ADDRESSES });
    assert.notDeepEqual(one.last, other.last);
    await one.next();
    await one.answer(...many.slice(1));
    assert.ok(one.last!.filter((id) => !one.seen[0]!.includes(id)).length <= 1);
  });

  it('come from no answer that is late', async () => {
    const bench = new Bench();
    await bench.answer('10.0.0.1');
    await bench.next();
    const slow = bench.rounds.at(-1)!;
    await bench.clock.settle(ROUND_LIMIT_MS);
    assert.ok(slow.isCancelled);
    assert.equal(bench.state, 'failing');
    await bench.next();
    await bench.answer('10.0.0.2');
    slow.answer('10.0.0.9');
    await bench.clock.settle();
    assert.deepEqual(bench.seen, [at(1), at(2)]);
  });

  it('come from the type that has answered, where the other has not within the limit', async () => {
    const bench = new Bench();
    bench.rounds[0]!.have = { a: { kind: 'addresses', addresses: ['10.0.0.1'] } };
    await bench.clock.settle(ROUND_LIMIT_MS);
    assert.deepEqual(bench.last, at(1));
    assert.equal(bench.state, 'failing');
  });

  it('of one type are followed while the other fails, which has words of its own', async () => {
    const bench = new Bench();
    await bench.answer('10.0.0.1');
    await bench.next();
    bench.rounds.at(-1)!.tell({ a: { kind: 'addresses', addresses: ['10.0.0.2'] }, aaaa: FAILED });
    await bench.clock.settle();
    assert.deepEqual(bench.last, at(2));
    await bench.next();
    await bench.say(FAILED);
    assert.deepEqual(
      bench.log.filter((text) => /fails/.test(text)),
      ['DNS fails for one record type; the other is followed', 'DNS fails; what is known stays in use'],
    );
  });

  it('of a record type that fails are not those of the name found before', async () => {
    const bench = new Bench();
    bench.rounds[0]!.found = 'digits.one.test';
    const six = { kind: 'addresses', addresses: ['fd00::1'] } as const;
    bench.rounds[0]!.tell({ a: { kind: 'addresses', addresses: ['10.0.0.1'] }, aaaa: six });
    await bench.clock.settle();
    assert.equal(bench.last!.length, 2);
    // Nothing serves there any more.
    for (const id of bench.last!) bench.silent.add(id);
    await bench.next();
    const other = bench.rounds.at(-1)!;
    other.found = 'digits.two.test';
    other.tell({ a: { kind: 'addresses', addresses: ['10.0.0.2'] }, aaaa: FAILED });
    await bench.clock.settle();
    assert.equal(bench.watcher.report().addresses, 1);
    await bench.clock.settle(GRACE_MS + 1_000);
    assert.deepEqual(bench.last, at(2));
    assert.equal(bench.watcher.report().found, 'digits.two.test');
  });

  it('of a name that a dot ends are shown without another name', async () => {
    const bench = new Bench({ ...NAME, name: 'digits.test.' });
    bench.rounds[0]!.found = 'digits.test';
    await bench.answer('10.0.0.1');
    assert.equal(bench.watcher.report().found, undefined);
    assert.equal(bench.watcher.report().name, 'digits.test.:8443');
  });

  it('say which name they are of, and the next round knows it as long as endpoints of it serve', async () => {
    const bench = new Bench();
    assert.equal(bench.rounds[0]!.before, undefined);
    bench.rounds[0]!.found = 'digits.test.local';
    await bench.answer('10.0.0.1');
    assert.equal(bench.watcher.report().found, 'digits.test.local');
    await bench.next();
    assert.equal(bench.rounds.at(-1)!.before, 'digits.test.local');
    bench.silent.add('10.0.0.1:8443');
    await bench.say(NONE);
    await bench.clock.settle(GRACE_MS + 1_000);
    assert.deepEqual(bench.last, []);
    await bench.say(NONE);
    await bench.clock.settle(1_100);
    assert.equal(bench.rounds.at(-1)!.before, undefined);
    bench.rounds.at(-1)!.found = NAME.name;
    await bench.answer('10.0.0.1');
    assert.equal(bench.watcher.report().found, undefined);
  });

  it('are not asked for, nor told, after the end', async () => {
    const bench = new Bench();
    await bench.answer('10.0.0.1');
    bench.watcher.close();
    await bench.clock.settle(60_000);
    bench.watcher.doubt();
    bench.watcher.update({ ...NAME, name: 'letters.test' });
    await bench.clock.settle(60_000);
    assert.equal(bench.rounds.length, 1);
    assert.deepEqual(bench.seen, [at(1)]);
  });

  it('are asked for again when connections contradict them, once a second and one round at a time', async () => {
    const bench = new Bench();
    bench.watcher.doubt();
    assert.equal(bench.rounds.length, 1);
    await bench.answer('10.0.0.1');
    bench.watcher.doubt();
    assert.equal(bench.rounds.length, 1);
    await bench.clock.settle(1_000);
    bench.watcher.doubt();
    assert.equal(bench.rounds.length, 2);
    await bench.answer('10.0.0.2');
    assert.deepEqual(bench.last, at(2));
    await bench.clock.settle(4_900);
    assert.equal(bench.rounds.length, 2);
  });

  it('are asked for sooner for a while when an endpoint has lost its connections', async () => {
    const bench = new Bench();
    await bench.answer('10.0.0.1');
    await bench.clock.settle(2_000);
    const begunMs = bench.clock.now();
    bench.watcher.hurry();
    const roundsMs: number[] = [];
    for (let rounds = bench.rounds.length - 1, ms = 0; ms <= 20_000; ms += 100) {
      if (bench.rounds.length > rounds) {
        rounds = bench.rounds.length;
        roundsMs.push(bench.clock.now() - begunMs);
        await bench.answer('10.0.0.1');
      }
      await bench.clock.settle(100);
    }
    const waits = roundsMs.slice(1).map((ms, i) => Math.round((ms - roundsMs[i]!) / 1_000));
    assert.equal(roundsMs[0], 0);
    assert.deepEqual(waits.slice(0, 5), [1, 2, 4, 5, 5]);
  });

  it('are asked for once a second at most, however often connections are lost', async () => {
    const bench = new Bench();
    await bench.answer('10.0.0.1');
    const before = bench.rounds.length;
    for (let ms = 0; ms < 5_000; ms += 50) {
      bench.watcher.hurry();
      await bench.clock.settle(50);
      if (bench.rounds.length > before) await bench.answer('10.0.0.1');
    }
    assert.ok(bench.rounds.length - before <= 5, `${bench.rounds.length - before}`);
    assert.ok(bench.rounds.length - before >= 4);
  });

  it('of another name take the place of those before once they are known', async () => {
    const bench = new Bench();
    await bench.answer('10.0.0.1', '10.0.0.2', '10.0.0.3');
    await bench.next();
    const old = bench.rounds.at(-1)!;
    bench.watcher.update({ ...NAME, name: 'letters.test' });
    assert.ok(old.isCancelled);
    assert.equal(bench.rounds.at(-1)!.config.name, 'letters.test');
    old.answer('10.0.0.9');
    await bench.clock.settle();
    assert.deepEqual(bench.seen, [at(1, 2, 3)]);
    assert.equal(bench.state, 'waiting');
    await bench.answer('10.0.0.4');
    assert.deepEqual(bench.last, at(4));
    const { length } = bench.rounds;
    bench.watcher.update({ ...NAME, name: 'letters.test' });
    assert.equal(bench.rounds.length, length);
  });

  it('are not followed after the end, which ends a round that runs', async () => {
    const bench = new Bench();
    await bench.answer('10.0.0.1');
    await bench.next();
    bench.watcher.close();
    assert.ok(bench.rounds.at(-1)!.isCancelled);
    assert.equal(bench.clock.pending(), 0);
    await bench.answer('10.0.0.2');
    await bench.clock.settle(60_000);
    assert.deepEqual(bench.seen, [at(1)]);
    assert.equal(bench.rounds.length, 2);
  });
});
