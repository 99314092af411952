/** A real Prometheus on loopback, with a configuration of the test, and promtool beside it. */

import { type ChildProcess, execFile, spawn } from 'node:child_process';
import { dirname, join } from 'node:path';
import { promisify } from 'node:util';
import { freePort } from '../process/free-port.js';
import { outputOf, Scratch } from '../process/outrider.js';
import { until } from '../process/processes.js';

const run = promisify(execFile);

/** One target as `/api/v1/targets` has it. */
export interface Target {
  readonly labels: Readonly<Record<string, string>>;
  readonly scrapeUrl: string;
  readonly health: 'up' | 'down' | 'unknown';
  readonly lastError: string;
}

/** One series of an instant query. */
export interface Series {
  readonly metric: Readonly<Record<string, string>>;
  readonly value: readonly [seconds: number, value: string];
}

/** One series of a range query. */
export interface RangeSeries {
  readonly metric: Readonly<Record<string, string>>;
  readonly values: readonly (readonly [seconds: number, value: string])[];
}

/** An alert as `/api/v1/alerts` has it. */
export interface ActiveAlert {
  readonly labels: Readonly<Record<string, string>>;
  readonly annotations: Readonly<Record<string, string>>;
  readonly state: 'pending' | 'firing';
}

const running = new Set<ChildProcess>();
process.on('exit', () => {
  for (const child of running) child.kill('SIGKILL');
});

export class Prometheus {
  private constructor(
    private readonly child: ChildProcess,
    private readonly scratch: Scratch,
    readonly url: string,
  ) {}

  /** `program`: from `toolOrSkip`; `config`: the text of its file; `files`: what lies beside it, by name; `flags`: beside our own. Resolves when it is ready. */
  static async start(
    program: string,
    config: string,
    files: Readonly<Record<string, string>> = {},
    flags: readonly string[] = [],
  ): Promise<Prometheus> {
    const scratch = new Scratch();
    for (const [name, text] of Object.entries(files)) scratch.write(name, text);
    const port = await freePort();
    const child = spawn(
      program,
      [
        `--config.file=${scratch.write('prometheus.yml', config)}`,
        `--storage.tsdb.path=${join(scratch.path, 'data')}`,
        `--web.listen-address=127.0.0.1:${port}`,
        '--scrape.discovery-reload-interval=200ms',
        ...flags,
      ],
      { stdio: ['ignore', 'pipe', 'pipe'], cwd: scratch.path },
    );
    running.add(child);
    const output = outputOf(child);
    let ended = false;
    child.once('close', () => {
      ended = true;
      running.delete(child);
    });
    const prometheus = new Prometheus(child, scratch, `http://127.0.0.1:${port}`);
    try {
      await until('Prometheus is ready', async () => {
        if (ended) throw new Error(output.stderr);
        return (await fetch(`${prometheus.url}/-/ready`).catch(() => undefined))?.status === 200;
      });
    } catch (error) {
      await prometheus.discard();
      throw error;
    }
    return prometheus;
  }

  async targets(): Promise<Target[]> {
    return (await this.ask<{ activeTargets: Target[] }>('targets')).activeTargets;
  }

  async alerts(): Promise<ActiveAlert[]> {
    return (await this.ask<{ alerts: ActiveAlert[] }>('alerts')).alerts;
  }

  /** An instant query. Throws with Prometheus's words for one that it does not understand. */
  async query(expression: string): Promise<Series[]> {
    return (await this.ask<{ result: Series[] }>(`query?query=${encodeURIComponent(expression)}`)).result;
  }

  /** A query over the last seconds, a value each second. Throws as `query` does. */
  async range(expression: string, seconds: number): Promise<RangeSeries[]> {
    const end = Date.now() / 1_000;
    const query = new URLSearchParams({
      query: expression,
      start: String(end - seconds),
      end: String(end),
      step: '1',
    });
    return (await this.ask<{ result: RangeSeries[] }>(`query_range?${query}`)).result;
  }

  /** Ends it and removes what it wrote. */
  async discard(): Promise<void> {
    if (running.has(this.child)) {
      const ended = new Promise((resolve) => this.child.once('close', resolve));
      this.child.kill('SIGKILL');
      await ended;
    }
    this.scratch.remove();
  }

  private async ask<T>(path: string): Promise<T> {
    const answer = await fetch(`${this.url}/api/v1/${path}`, { signal: AbortSignal.timeout(5_000) });
    const body = (await answer.json()) as { status: string; error?: string; data: T };
    if (body.status !== 'success') throw new Error(`${path}: ${body.error}`);
    return body.data;
  }
}

/** Runs the promtool beside `program`; resolves with what it wrote. Throws with that when it finds something wrong. */
export async function promtool(program: string, args: readonly string[], cwd: string): Promise<string> {
  const file = join(dirname(program), 'promtool');
  try {
    const { stdout, stderr } = await run(file, [...args], { cwd, maxBuffer: 16 << 20 });
    return stdout + stderr;
  } catch (error) {
    const { stdout, stderr } = error as { stdout: string; stderr: string };
    throw new Error(`promtool ${args.join(' ')}\n${stdout}${stderr}`);
  }
}
