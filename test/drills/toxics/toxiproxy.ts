/** A real Toxiproxy, whose proxies and toxics are made over its HTTP API. */

import { Program } from '../../kit/interop/programs.js';
import { freePort } from '../../kit/process/free-port.js';

/** A fault of Toxiproxy, as its README describes it. */
export interface Toxic {
  readonly type: string;
  /** `upstream`: what the client sends. */
  readonly stream: 'upstream' | 'downstream';
  readonly attributes: Readonly<Record<string, number>>;
}

/** The program, and the proxies that were made in it. */
export class Toxiproxy {
  private made = 0;

  private constructor(
    private readonly program: Program,
    private readonly api: string,
  ) {}

  /** Resolves when its API answers. @param binary its path. */
  static async start(binary: string): Promise<Toxiproxy> {
    const port = await freePort();
    const program = new Program('toxiproxy', [binary, '-host', '127.0.0.1', '-port', String(port)], {
      LOG_LEVEL: 'error',
    });
    const proxy = new Toxiproxy(program, `http://127.0.0.1:${port}`);
    await program.started('its API answers', () => proxy.isUp());
    return proxy;
  }

  /** A proxy before a port of loopback, without toxics. */
  async before(port: number): Promise<ToxicProxy> {
    const name = `proxy-${this.made++}`;
    const { listen } = (await this.post('/proxies', {
      ...{ name, listen: '127.0.0.1:0', upstream: `127.0.0.1:${port}`, enabled: true },
    })) as { listen: string };
    return {
      port: Number(listen.slice(listen.lastIndexOf(':') + 1)),
      poison: async (toxic) => void (await this.post(`/proxies/${name}/toxics`, { ...toxic, toxicity: 1 })),
    };
  }

  stop(): Promise<void> {
    return this.program.stop();
  }

  private async isUp(): Promise<boolean> {
    const answer = await fetch(`${this.api}/version`).catch(() => undefined);
    return answer?.ok === true;
  }

  private async post(path: string, body: unknown): Promise<unknown> {
    const answer = await fetch(this.api + path, { method: 'POST', body: JSON.stringify(body) });
    const text = await answer.text();
    if (!answer.ok) throw new Error(`toxiproxy: ${path}: ${answer.status} ${text}`);
    return JSON.parse(text);
  }
}

/** One proxy. */
export interface ToxicProxy {
  /** Where it listens, on loopback. */
  readonly port: number;
  /** Adds a toxic to all connections, also those that are open. */
  poison(toxic: Toxic): Promise<void>;
}
