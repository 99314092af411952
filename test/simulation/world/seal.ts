/**
 * While a simulation runs, the real world is closed to it: a socket, a process, a file or a timer of the system is an error. Files below
 * `/sim/` are those of the simulated disks.
 */
import childProcess from 'node:child_process';
import dns from 'node:dns';
import fs from 'node:fs';
import http2 from 'node:http2';
import { syncBuiltinESMExports } from 'node:module';
import net from 'node:net';
import os from 'node:os';
import tls from 'node:tls';
import workers from 'node:worker_threads';
import { SimDisk } from './disk.js';
import type { SimDns } from './sim-dns.js';

type Holder = Record<string, unknown>;
type Anything = (...args: unknown[]) => unknown;

const SEALED: readonly (readonly [holder: unknown, name: string, what: string])[] = [
  [net.Socket.prototype, 'connect', 'connects a real socket'],
  [net.Server.prototype, 'listen', 'listens on a real socket'],
  [tls, 'connect', 'connects with real TLS'],
  [childProcess, 'spawn', 'starts a real process'],
  [dns, 'lookup', 'asks a real name server'],
  [workers, 'Worker', 'starts a real thread'],
  [os, 'hostname', 'asks for the name of the real machine'],
  [fs, 'watch', 'watches a real directory'],
  [fs.promises, 'open', 'opens a real file'],
  [fs.promises, 'writeFile', 'writes a real file'],
  [fs.promises, 'readFile', 'reads a real file'],
  [fs.promises, 'rename', 'renames a real file'],
  [fs.promises, 'rm', 'removes a real file'],
  [fs.promises, 'stat', 'looks at a real file'],
  [fs.promises, 'mkdir', 'makes a real directory'],
  [fs, 'writeFileSync', 'writes a real file'],
  [fs, 'renameSync', 'renames a real file'],
  [fs, 'linkSync', 'links a real file'],
  [fs, 'unlinkSync', 'removes a real file'],
  [fs, 'mkdirSync', 'makes a real directory'],
  [globalThis, 'setTimeout', 'starts a real timer'],
  [globalThis, 'setInterval', 'starts a real timer'],
];

/** Of real files these do no harm: what is asked of them is answered. */
const OPEN = [
  ...['readFileSync', 'readdirSync', 'statSync', 'existsSync', 'openSync', 'closeSync', 'rmSync'],
  ...['fstatSync', 'ftruncateSync', 'readSync', 'fsyncSync'],
];

const OF_NAMES = new Set<unknown>(['/etc/resolv.conf', '/etc/hosts']);

/** @param found is told what was touched; the touch itself throws. Returns how to open the world again. */
export function seal(
  found: (what: string) => void,
  { disk, dns: names }: { readonly disk: SimDisk; readonly dns: SimDns },
): () => void {
  const before: (readonly [Holder, string, unknown])[] = [];
  const replace = (holder: unknown, name: string, by: Anything): void => {
    before.push([holder as Holder, name, (holder as Holder)[name]]);
    (holder as Holder)[name] = by;
  };
  const isSimulated = (where: unknown): boolean => SimDisk.holds(where) || disk.owns(where);
  for (const [holder, name, what] of SEALED) {
    const own = ofDisk(disk, holder, name);
    replace(holder, name, (...args) => {
      if (own !== undefined && isSimulated(args[0])) return own(...args);
      found(what);
      throw new Error(`the simulation ${what}`);
    });
  }
  // Over a connection of the simulated network nothing real is touched.
  const connect = http2.connect as unknown as Anything;
  replace(http2, 'connect', (...args) => {
    if ((args[1] as http2.ClientSessionOptions | undefined)?.createConnection !== undefined)
      return connect(...args);
    found('connects with Node’s HTTP/2');
    throw new Error('the simulation connects with Node’s HTTP/2');
  });
  for (const name of OPEN) {
    const [real, own] = [(fs as unknown as Holder)[name] as Anything, ofDisk(disk, fs, name)!];
    replace(fs, name, (...args) => {
      if (isSimulated(args[0])) return own(...args);
      // A simulated machine says nothing of names: that is for its name servers.
      return name === 'statSync' && args[0] !== undefined && OF_NAMES.has(args[0])
        ? own(...args)
        : real(...args);
    });
  }
  before.push([dns.promises as unknown as Holder, 'Resolver', dns.promises.Resolver]);
  (dns.promises as unknown as Holder)['Resolver'] = names.resolver();
  syncBuiltinESMExports();
  return () => {
    for (const [holder, name, real] of before) holder[name] = real;
    syncBuiltinESMExports();
  };
}

/** What the simulated disk does in its place; undefined: nothing. */
function ofDisk(disk: SimDisk, holder: unknown, name: string): Anything | undefined {
  if (holder !== fs && holder !== fs.promises) return undefined;
  const from = (holder === fs ? disk : disk.promises) as unknown as Holder;
  const method = from[name] as Anything | undefined;
  return method && ((...args) => method.apply(disk, args));
}
