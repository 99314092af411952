/** node:http2, grpc-js and a bare pipe as pass-throughs: what one gets in Node without an engine of one's own. */

import { readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { freePort } from '../../kit/process/free-port.js';
import { ROOT } from '../../kit/process/tools.js';
import { type Subject, scratch, startProcess } from './subject.js';

const HERE = dirname(fileURLToPath(import.meta.url));

function program(name: string, file: string, version: string): Subject {
  return {
    name,
    isPeer: false,
    version: { found: version },
    start: async (target) => {
      const port = await freePort();
      const command = [process.execPath, join(HERE, file), String(port), String(target.backendPort)];
      return startProcess({ command, port, dir: scratch() });
    },
  };
}

/** A pass-through on `node:http2`. */
export function nodeHttp2(): Subject {
  return program('node:http2', 'node-http2.js', process.version.slice(1));
}

/** Bytes passed on as they come, by `net`: the floor of any proxy in Node. */
export function netPipe(): Subject {
  return program('net', 'net-pipe.js', process.version.slice(1));
}

/** A pass-through on grpc-js. */
export function grpcJs(): Subject {
  const manifest = readFileSync(join(ROOT, 'node_modules/@grpc/grpc-js/package.json'), 'utf8');
  return program('grpc-js', 'grpc-js.js', String(JSON.parse(manifest).version));
}
