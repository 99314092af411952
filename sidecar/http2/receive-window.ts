/**
 * The window of new streams, changed while a connection is open (RFC 9113 section 6.9.2): what the peer may send on the
 * streams that are open changes by as much, below zero if need be. A smaller one holds from the acknowledgement on, since
 * the peer sends by the old one until then; a larger one at once, since its acknowledgement may come behind its DATA.
 */

import type { ConnectionState } from './connection-state.js';
import { FrameType } from './constants.js';
import { credit } from './receive-data.js';
import { windowSetting } from './settings.js';

/** Announces `bytes` for new streams; nothing while the peer has not acknowledged what was announced before. */
export function announceInitialWindow(c: ConnectionState, bytes: number): void {
  if (c.isOver || !c.settingsAcked || c.announcedWindow !== 0 || bytes === c.initialWindow) return;
  c.announcedWindow = bytes;
  c.control.frame(FrameType.settings, 0, 0, windowSetting(bytes));
  if (bytes > c.initialWindow) shift(c, bytes);
  c.dirty();
}

export function acknowledgeWindow(c: ConnectionState): void {
  if (c.announcedWindow === 0) return;
  shift(c, c.announcedWindow);
  c.announcedWindow = 0;
}

function shift(c: ConnectionState, bytes: number): void {
  const delta = bytes - c.initialWindow;
  if (delta === 0) return;
  c.initialWindow = bytes;
  for (const stream of c.table.all()) {
    stream.recvWindow += delta;
    stream.recvTarget += delta;
    // Of a smaller window it may be half already.
    credit(c, stream, 0, 0);
  }
}
