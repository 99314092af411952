import type { ConnectionState } from './connection-state.js';
import { DEFAULT_WINDOW, FrameType, Setting } from './constants.js';
import { credit } from './receive-data.js';
import { settingsPayload } from './settings.js';

/**
 * Changes the initial window of streams while the connection is open, bytes (RFC 9113 section 6.9.2): the windows of open
 * streams change by as much, below zero if need be. A smaller one takes effect with the acknowledgement, since the peer sends
 * by the old one until then; a larger one at once, since its acknowledgement may follow DATA. Ignored while the peer has
 * not acknowledged the change before.
 */
export function announceInitialWindow(c: ConnectionState, bytes: number): void {
  if (c.isOver || !c.settingsAcked || c.announcedWindow !== 0 || bytes === c.initialWindow) return;
  c.announcedWindow = bytes;
  c.windowSettings = ++c.settingsSent;
  c.control.frame(FrameType.settings, 0, 0, settingsPayload([Setting.initialWindowSize, bytes]));
  if (bytes > c.initialWindow) shift(c, bytes);
  c.dirty();
}

/** Server: the first SETTINGS have been queued. A client that has not seen them yet may count on the RFC's initial window. */
export function awaitFirstWindow(c: ConnectionState): void {
  if (c.initialWindow >= DEFAULT_WINDOW) return;
  c.announcedWindow = c.initialWindow;
  c.windowSettings = c.settingsSent;
  c.initialWindow = DEFAULT_WINDOW;
}

/** The peer acknowledged SETTINGS: where these were the ones with the announced window, that is in effect. */
export function acknowledgeWindow(c: ConnectionState): void {
  if (c.announcedWindow === 0 || c.settingsAcks !== c.windowSettings) return;
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
    // The credit that is due may be half of the smaller window already.
    credit(c, stream, 0, 0);
  }
}
