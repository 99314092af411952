/** `GET /tap`, over HTTP. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { type IncomingMessage, request } from 'node:http';
import { connect } from 'node:net';
import { type AdminServer, startAdmin } from '../../../sidecar/admin/server.js';
import { EventReader, type StreamEvent } from '../../../sidecar/cli/tap/event-stream.js';
import type { TapOptions, TapSink } from '../../../sidecar/telemetry/tap/tap.js';
import { until } from '../../kit/process/processes.js';
import { FakeView } from '../../kit/stack/admin-view.js';

describe('GET /tap', () => {
  let view: FakeView;
  let admin: AdminServer;
  let opened: { readonly options: TapOptions; readonly sink: TapSink }[];
  let closed: number;
  let readerGone: () => void;
  let gone: Promise<void>;
  beforeEach(async () => {
    view = new FakeView();
    opened = [];
    closed = 0;
    gone = new Promise((resolve) => {
      readerGone = resolve;
    });
    view.openTap = (options, sink) => {
      opened.push({ options, sink });
      return () => {
        closed++;
        readerGone();
      };
    };
    admin = await startAdmin({ kind: 'tcp', host: '127.0.0.1', port: 0 }, view);
  });
  afterEach(() => admin.close());

  async function ask(query: string, method = 'GET'): Promise<IncomingMessage> {
    const port = admin.address.kind === 'tcp' ? admin.address.port : 0;
    const asked = request({ host: '127.0.0.1', port, path: `/tap${query}`, method, agent: false });
    asked.end();
    const [response] = (await once(asked, 'response')) as [IncomingMessage];
    response.setEncoding('utf8');
    return response;
  }

  /** The first events. */
  async function events(response: IncomingMessage, count: number): Promise<StreamEvent[]> {
    const reader = new EventReader();
    const seen: StreamEvent[] = [];
    for await (const piece of response) {
      seen.push(...reader.read(piece as string));
      if (seen.length >= count) break;
    }
    return seen;
  }

  it('streams calls and counts of those that were not shown, until the reader goes', async () => {
    const response = await ask('?service=digits&status=unavailable&slow=20ms&failed&rate=5&sample=0.5');
    assert.equal(response.headers['content-type'], 'text/event-stream');
    const [{ options, sink } = assert.fail('no tap')] = opened;
    assert.deepEqual(options, {
      filter: { service: 'digits', status: 14, isFailed: true, slowMs: 20 },
      sampleRatio: 0.5,
      perSecond: 5,
    });
    sink.dropped(0);
    assert.ok(sink.call({ status: 'OK' }));
    sink.dropped(7);
    assert.deepEqual(await events(response, 2), [
      { name: 'message', data: '{"status":"OK"}' },
      { name: 'dropped', data: '7' },
    ]);
    await gone;
    assert.equal(closed, 1);
  });

  it('ends with its connection where it waits behind another one', async () => {
    const port = admin.address.kind === 'tcp' ? admin.address.port : 0;
    const socket = connect(port, '127.0.0.1');
    socket.write('GET /tap HTTP/1.1\r\nhost: localhost\r\n\r\n'.repeat(2));
    await until('both are open', () => opened.length === 2);
    socket.destroy();
    await until('both are closed', () => closed >= 2);
  });

  it('takes no more than a slow reader may leave', async () => {
    await ask('');
    const { sink } = opened[0]!;
    const line = { text: 'x'.repeat(64 * 1024) };
    let taken = 0;
    while (taken < 1_000 && sink.call(line)) taken++;
    assert.ok(taken > 1 && taken < 1_000, `${taken}`);
  });

  it('ends for a reader that has stopped, and not for one that goes on within ten seconds', async () => {
    const response = await ask('');
    const { sink } = opened[0]!;
    const line = { text: 'x'.repeat(64 * 1024) };
    const fill = () => {
      while (sink.call(line));
    };
    const seconds = (count: number) => {
      for (let left = count; left > 0; left--) sink.dropped(1);
    };
    fill();
    seconds(9);
    response.resume();
    await until('there is room', () => sink.call(line));
    seconds(1); // it reads: the seconds before count no more
    response.pause();
    fill();
    seconds(9);
    assert.equal(closed, 0);
    seconds(1);
    await gone;
    assert.equal(closed, 1);
  });

  for (const [query, why] of [
    ['?stauts=14', /found the parameter "stauts"; did you mean status\?/],
    ['?status=bad', /status: found "bad"; expected a gRPC status/],
    ['?slow=5', /slow: /],
    ['?rate=0', /rate: found "0"; expected a number above 0, at most 1000/],
    ['?sample=2', /sample: found "2"/],
    ['?direction=up', /direction: found "up"/],
  ] as const)
    it(`refuses ${query}`, async () => {
      const response = await ask(query);
      assert.equal(response.statusCode, 400);
      assert.match((await response.toArray()).join(''), why);
      assert.equal(opened.length, 0);
    });

  it('says when there are too many, and opens none for HEAD', async () => {
    assert.equal((await ask('', 'HEAD')).statusCode, 200);
    assert.equal(opened.length, 0);
    view.openTap = () => undefined;
    assert.equal((await ask('')).statusCode, 503);
  });
});
