/** Ours with traces and without, for the modes that say what traces cost; and a collector that takes everything. */

import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { outriderWith } from './outrider.js';
import { PLAIN } from './outrider-config.js';
import { LOAD_CORE, type Running, type Subject, type Target } from './subject.js';

/** The name of ours without traces, which stands where peers do. */
export const UNTRACED = 'untraced';

/** Answers each request with 200 and says its port. */
const COLLECTOR = `
  const server = require('node:http').createServer((request, response) => {
    request.resume().on('end', () => response.end());
  });
  server.listen(0, '127.0.0.1', () => process.stdout.write(String(server.address().port)));`;

/** @param sample share of the calls that are traced. @param flags of Node. */
export function tracedSubjects(sample: number, flags: readonly string[] = []): Subject[] {
  const untraced = { ...outriderWith(UNTRACED, {}, flags), isPeer: true };
  const { version } = untraced;
  const withCollector = async (start: (subject: Subject) => Promise<Running>): Promise<Running> => {
    const collector = await startCollector();
    const traces = { endpoint: `http://127.0.0.1:${collector.port}`, sample };
    try {
      const running = await start(outriderWith(PLAIN, { traces }, flags));
      const stop = async (): Promise<void> => {
        await running.stop();
        collector.process.kill();
      };
      return { ...running, stop };
    } catch (error) {
      collector.process.kill();
      throw error;
    }
  };
  const traced: Subject = {
    ...{ name: PLAIN, isPeer: false, version },
    start: (target: Target) => withCollector((subject) => subject.start(target)),
    startPair: (target: Target) => withCollector((subject) => subject.startPair!(target)),
  };
  return [traced, untraced];
}

/** On the core of the load: its work is not the proxy's. */
async function startCollector(): Promise<{ readonly process: ChildProcess; readonly port: number }> {
  const command = ['-c', String(LOAD_CORE), process.execPath, '-e', COLLECTOR];
  const child = spawn('taskset', command, { stdio: ['ignore', 'pipe', 'inherit'] });
  process.once('exit', () => child.kill('SIGKILL'));
  const [port] = (await once(child.stdout!, 'data')) as [Buffer];
  return { process: child, port: Number(port.toString()) };
}
