/** A watcher of a Service on a manual clock: the test answers each request. */
import assert from 'node:assert/strict';
import { writeAddress } from '../../../sidecar/config/codecs/address.js';
import type { EndpointConfig, KubernetesConfig } from '../../../sidecar/config/model.js';
import type {
  ApiEvents,
  ApiRequest,
  KubernetesApi,
} from '../../../sidecar/discovery/kubernetes/api-client.js';
import { ServiceWatcher } from '../../../sidecar/discovery/kubernetes/service-watcher.js';
import type { Logger } from '../../../sidecar/runtime/log/logger.js';
import { afterTest } from '../mocha/after-test.js';
import { type ApiEndpoint, type ApiSlice, sliceJson } from '../process/kubernetes-api.js';
import { ManualClock } from '../time/manual-clock.js';
import { constant } from '../time/seeded-random.js';

export const SERVICE: KubernetesConfig = { service: 'digits.models', port: 'peers', family: 'any' };
export const A = { address: '10.0.0.1', pod: 'a', zone: 'z1' };
export const B = { address: '10.0.0.2', pod: 'b' };
export const C = { address: '10.0.0.3', pod: 'c' };

/** One request, which the test answers. */
class Asked implements ApiRequest {
  isCancelled = false;

  constructor(
    readonly path: string,
    private readonly events: ApiEvents,
  ) {}

  get kind(): string {
    return this.path.includes('watch=1')
      ? 'watch'
      : this.path.includes('endpointslices')
        ? 'list'
        : 'service';
  }

  get revision(): string | null {
    return new URLSearchParams(this.path.split('?')[1]).get('resourceVersion');
  }

  head(status: number, retryAfter?: string): void {
    this.events.head(status, retryAfter);
  }

  data(text: string | Buffer): void {
    this.events.data(Buffer.from(text));
  }

  end(problem?: string): void {
    this.events.end(problem);
  }

  reply(status: number, body: string): void {
    this.head(status);
    this.data(body);
    this.end();
  }

  cancel(): void {
    this.isCancelled = true;
  }
}

export class ServiceBench {
  readonly clock = new ManualClock();
  readonly asked: Asked[] = [];
  readonly seen: (readonly EndpointConfig[])[] = [];
  readonly log: string[] = [];
  readonly silent = new Set<string>();
  readonly watcher: ServiceWatcher;
  missing: string | undefined;
  private revision = 100;

  constructor(config = SERVICE) {
    const note = (_: object, text: string): void => void this.log.push(text);
    const api: KubernetesApi = {
      ownNamespace: () => {
        throw new Error('no namespace');
      },
      get: (_, path, events) => {
        if (this.missing !== undefined) throw new Error(this.missing);
        const request = new Asked(path, events);
        this.asked.push(request);
        return request;
      },
    };
    this.watcher = new ServiceWatcher(
      'digits',
      config,
      {
        ...{ clock: this.clock, timers: this.clock, random: constant(0.5), api },
        logger: { info: note, warn: note } as unknown as Logger,
        isAnswering: (address) => !this.silent.has(writeAddress(address)),
      },
      (endpoints) => void this.seen.push(endpoints),
    );
    afterTest(() => this.watcher.close());
  }

  get request(): Asked {
    return this.asked.at(-1)!;
  }

  /** Answers the list that is asked for, and opens the watch that follows. */
  list(slices: Readonly<Record<string, ApiSlice>>): void {
    assert.equal(this.request.kind, 'list');
    const items = Object.entries(slices).map(([name, slice]) => sliceJson(name, slice));
    this.request.reply(200, JSON.stringify({ metadata: { resourceVersion: `${this.revision}` }, items }));
  }

  /** A list of one slice, and its watch is open. */
  follow(...endpoints: ApiEndpoint[]): void {
    this.list({ s: { endpoints } });
    this.request.head(200);
  }

  line(type: string, object: object): string {
    this.revision += 1;
    return `${JSON.stringify({ type, object })}\n`;
  }

  /** Lets the wait pass, up to the next try. */
  async retry(): Promise<void> {
    const before = this.asked.length;
    await this.clock.settle(this.clock.nextDueMs() - this.clock.now());
    assert.equal(this.asked.length, before + 1);
  }

  /** The slice is another one now. */
  change(...endpoints: ApiEndpoint[]): void {
    this.request.data(this.line('MODIFIED', sliceJson('s', { endpoints }, this.revision + 1)));
  }

  get last(): string[] {
    return (this.seen.at(-1) ?? []).map(({ id, priority = 0 }) => (priority === 0 ? id : `${id}!`));
  }

  get state(): string {
    return this.watcher.report().state;
  }

  get problem(): string {
    return this.watcher.report().problem ?? '';
  }

  /** Why nobody knows how many pods there are. */
  get uncounted(): string {
    return this.watcher.uncounted().why ?? '';
  }
}
