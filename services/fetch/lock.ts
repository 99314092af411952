/** One process at a time, over all processes of the machine, by a file that names the one that has the lock. */

import { mkdir, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { dirname } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';

const ASK_AGAIN_MS = 100;

/**
 * Runs `work` while this process has the lock at `file`. It waits as long as the process that has it is alive; the lock
 * of a process that is gone is taken over. Two processes that take it over at the same moment may both run, so `work`
 * must bear that.
 */
export async function withLock<T>(file: string, work: () => Promise<T>): Promise<T> {
  await mkdir(dirname(file), { recursive: true });
  while (!(await take(file))) {
    if (await isAbandoned(file)) await drop(file);
    else await delay(ASK_AGAIN_MS);
  }
  try {
    return await work();
  } finally {
    await rm(file, { force: true });
  }
}

async function take(file: string): Promise<boolean> {
  try {
    await writeFile(file, String(process.pid), { flag: 'wx' });
    return true;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
    return false;
  }
}

/** Its process is gone. A file without a number is being written, or was left by a machine that stopped. */
async function isAbandoned(file: string): Promise<boolean> {
  const text = await readFile(file, 'utf8').catch(() => undefined);
  if (text === undefined) return false;
  const pid = Number(text);
  if (!Number.isInteger(pid) || pid <= 0) return isStillEmpty(file);
  try {
    process.kill(pid, 0);
    return false;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'ESRCH';
  }
}

async function isStillEmpty(file: string): Promise<boolean> {
  await delay(ASK_AGAIN_MS);
  return (await readFile(file, 'utf8').catch(() => 'gone')) === '';
}

/** By a name of its own, so that a lock that was taken meanwhile is not the one that is removed, but for the one moment. */
async function drop(file: string): Promise<void> {
  const aside = `${file}.${process.pid}`;
  await rename(file, aside).catch(() => {});
  await rm(aside, { force: true });
}
