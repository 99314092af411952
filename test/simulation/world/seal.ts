/** While a simulation runs, the real world is closed to it: a socket, a process, a file or a timer of the system is an error. */
import childProcess from 'node:child_process';
import dns from 'node:dns';
import fs from 'node:fs';
import http2 from 'node:http2';
import { syncBuiltinESMExports } from 'node:module';
import net from 'node:net';
import os from 'node:os';
import tls from 'node:tls';
import workers from 'node:worker_threads';

type Holder = Record<string, unknown>;

const SEALED: readonly (readonly [holder: unknown, name: string, what: string])[] = [
  [net.Socket.prototype, 'connect', 'connects a real socket'],
  [net.Server.prototype, 'listen', 'listens on a real socket'],
  [tls, 'connect', 'connects with real TLS'],
  [http2, 'connect', 'connects with Node’s HTTP/2'],
  [childProcess, 'spawn', 'starts a real process'],
  [dns, 'lookup', 'asks a real name server'],
  [workers, 'Worker', 'starts a real thread'],
  [os, 'hostname', 'asks for the name of the real machine'],
  [fs.promises, 'open', 'opens a real file'],
  [fs.promises, 'writeFile', 'writes a real file'],
  [fs.promises, 'readFile', 'reads a real file'],
  [fs, 'writeFileSync', 'writes a real file'],
  [globalThis, 'setTimeout', 'starts a real timer'],
  [globalThis, 'setInterval', 'starts a real timer'],
];

/** @param found is told what was touched; the touch itself throws. Returns how to open the world again. */
export function seal(found: (what: string) => void): () => void {
  const before = SEALED.map(([holder, name]) => (holder as Holder)[name]);
  for (const [holder, name, what] of SEALED)
    (holder as Holder)[name] = () => {
      found(what);
      throw new Error(`the simulation ${what}`);
    };
  syncBuiltinESMExports();
  return () => {
    for (const [i, [holder, name]] of SEALED.entries()) (holder as Holder)[name] = before[i];
    syncBuiltinESMExports();
  };
}
