/**
 * Bounds against hostile or broken peers. Each lower bound is what ordinary gRPC needs, so that no valid file can
 * refuse all ordinary traffic.
 */
import { writeSize } from '../codecs/size.js';
import { blockAs, option, rules } from './option.js';
import { atMost, duration, size, wholeNumber } from './values.js';

const KIB = 1_024;
const MIB = 1_048_576;
const GIB = 1_073_741_824;

const MOST = 1_000_000;

const framesPerSecond = blockAs('a block of rates', {
  pings: option(wholeNumber({ min: 1, max: MOST }).prefault(100), {
    meaning: 'PINGs, five times as many at once. Each HEADERS or DATA written to the peer allows one more.',
    why: 'Clients that keep a connection alive send one in ten seconds; those that measure bandwidth one for each DATA.',
  }),
  resets: option(wholeNumber({ min: 10, max: MOST }).prefault(2_000), {
    meaning: 'Calls that a client cancels (RST_STREAM), 2.5 times as many at once.',
    why: 'Twice what a busy client cancels. A call that is cancelled at once is never sent on.',
  }),
  settings: option(wholeNumber({ min: 2, max: MOST }).prefault(20), {
    meaning: 'SETTINGS, five times as many at once.',
    why: 'A peer sends one, seldom two.',
  }),
  window_updates: option(wholeNumber({ min: 1_000, max: 10 * MOST }).prefault(50_000), {
    meaning: 'WINDOW_UPDATEs, twice as many at once.',
    why: 'Two for each message of a fast stream.',
  }),
  empty: option(wholeNumber({ min: 1, max: MOST }).prefault(10), {
    meaning: 'DATA, HEADERS or CONTINUATION without payload that end nothing, ten times as many at once.',
    why: 'No client needs them.',
  }),
  ignored: option(wholeNumber({ min: 10, max: MOST }).prefault(2_000), {
    meaning: 'PRIORITY, frames of unknown types and acknowledgements of nothing, five times as many at once.',
    why: 'A browser sends some for each request; they cost little.',
  }),
  violations: option(wholeNumber({ min: 1, max: MOST }).prefault(10), {
    meaning: 'Streams we have to reset because the peer broke a rule of HTTP/2, ten times as many at once.',
    why: 'A client that works breaks none.',
  }),
});

/** `limits`: sizes in bytes, times in milliseconds, rates per second and connection. */
export const limits = blockAs('a block of limits', {
  max_connections: option(wholeNumber({ min: 8, max: 1_000_000 }).prefault(1_024), {
    meaning:
      'Connections that each listener holds at once. Beyond that, a new one replaces the one that has been quiet longest: without a call for 5 s, or only with calls whose callers have begun a message and sent nothing for 5 s. If none is quiet, the new one is closed. A listener with TLS holds as many again that have not sent a complete ClientHello yet; beyond that the oldest of those are closed. A connection without a call for an hour is closed.',
    why: 'A mesh of a few hundred peers fits several times over, an open-socket limit of 4,096 too.',
  }),
  max_concurrent_streams: option(wholeNumber({ min: 8, max: 100_000 }).prefault(256), {
    meaning:
      'Calls in flight on one connection. A client that sends more before it has read this in our SETTINGS gets REFUSED_STREAM for what is beyond it. Envoy does in bursts on new connections: give its clusters this number as `max_concurrent_streams` of `http2_protocol_options`.',
    why: 'More than one client keeps up with; more connections are the way to more calls.',
  }),
  max_header_bytes: option(size({ min: 4 * KIB, max: MIB }).prefault('16KiB'), {
    meaning:
      'Size of the metadata of one request, as HTTP/2 counts it: 32 bytes more per field. A larger one gets RESOURCE_EXHAUSTED. Responses may have 1 MiB; a caller that accepts less gets an error message that is cut.',
    why: 'Twice the 8 KiB that gRPC clients may send by default.',
  }),
  max_header_fields: option(wholeNumber({ min: 16, max: 10_000 }).prefault(100), {
    meaning: 'Fields in the metadata of one request. Responses may have 16 more.',
    why: 'Ordinary calls have about 10; a thousand empty ones are an attack.',
  }),
  handshake_timeout: option(duration({ min: 100, max: 300_000 }).prefault('5s'), {
    meaning: 'From the accepted connection to the end of the HTTP/2 preface, TLS included.',
    why: 'Ten times what a peer on another continent needs.',
  }),
  handshakes_per_second: option(wholeNumber({ min: 1, max: 1_000_000 }).prefault(100), {
    meaning:
      'TLS handshakes that each listener begins per second; connections beyond that are closed. Once half of it is in use, each client address has a share. A handshake begins with a complete ClientHello.',
    why: 'A handshake costs about 3 ms of CPU: a flood of them may take a third of a core, and no more.',
  }),
  frames_per_second: option(framesPerSecond.prefault({}), {
    meaning:
      'Frames of each kind that the peer on one connection may send. A peer that sends more is cut off (GOAWAY with ENHANCE_YOUR_CALM), and the log says which limit it was.',
    why: 'Far above what gRPC clients and servers send, far below what hurts.',
  }),
  memory_budget: option(size({ min: 16 * MIB, max: 1_024 * GIB }).prefault('96MiB'), {
    meaning:
      'Payload that the whole process may hold at once; each open call counts 4 KiB. From half of it on, streams get smaller windows. From three quarters on, calls end whose callers have begun a message and sent nothing for 5 s. Beyond it, the connection that holds most loses calls (`outrider-reason: memory-budget`).',
    why: 'Twenty thousand open calls, or fifteen hundred that hold 64 KiB each, and a process that stays under 300 MiB.',
  }),
  replay_bytes_per_call: option(size({ min: 0, max: GIB }).prefault('4MiB'), {
    meaning:
      'The largest request that is kept for another attempt, unless the route says otherwise (`replay`). A larger one gets one attempt only. At the model: the largest request that is queued whole.',
    why: 'The largest message that gRPC lets through by default. It counts in `memory_budget`; if that is full, nothing is kept.',
  }),
}).check(rules(atMost('replay_bytes_per_call', 'memory_budget', writeSize)));
