/**
 * Loaded into a sidecar by `--import`: fills its heap. The file `OUTRIDER_DRILL_BALLAST` says up to which share of what it
 * may hold, 0 or no file: everything is let go. What fills it cannot be collected, so the share is one of what lives.
 */

import { readFileSync } from 'node:fs';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { processMemory } from '../../sidecar/runtime/process-memory.js';

const LOOK_MS = 50;
const NUMBERS = 16 * 1024;
setFlagsFromString('--expose-gc');
const collect: () => void = runInNewContext('gc');
let kept: number[][] = [];

function wanted(): number {
  try {
    return Number(readFileSync(process.env['OUTRIDER_DRILL_BALLAST'] ?? '', 'utf8'));
  } catch {
    return 0;
  }
}

let filledTo = 0;
setInterval(() => {
  const share = wanted();
  if (share === filledTo) return;
  filledTo = share;
  if (share === 0) {
    kept = [];
    return;
  }
  collect();
  const { usedBytes, limitBytes } = processMemory();
  const pieces = Math.floor((share * limitBytes - usedBytes) / (NUMBERS * 8));
  for (let i = 0; i < pieces; i++) kept.push(Array.from({ length: NUMBERS }, (_, n) => n * 1.5));
  collect();
}, LOOK_MS).unref();
