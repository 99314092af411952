import assert from 'node:assert/strict';
import { type AnswerEvent, RunningUsage, readAnswer } from '../../../../../services/openai/engine/answer.js';
import type { GenerateResponse } from '../../../../../services/openai/engine/messages.js';
import { StopStrings } from '../../../../../services/openai/text/stop-strings.js';

/** Tokens are characters, and the last one of a `push` waits as an incomplete character would. */
function heldText() {
  let waiting = '';
  return {
    push: async (ids: readonly number[]) => {
      const text = waiting + String.fromCharCode(...ids);
      waiting = text.slice(-1);
      return text.slice(0, -1);
    },
    end: async () => waiting,
    close: () => {},
  };
}

const chunk = (text: string, cachedTokens = 0): GenerateResponse => ({
  chunk: { tokenIds: [...text].map((letter) => letter.charCodeAt(0)), cachedTokens },
});
const complete = (finishReason: string): GenerateResponse => ({ complete: { finishReason } });

/** The events, and how many messages were read. */
async function eventsOf(
  messages: readonly GenerateResponse[],
  {
    stops = [] as string[],
    endTokens = '',
    minTokens = 0,
    onEvent = (_event: AnswerEvent, _usage: RunningUsage): void => {},
  } = {},
) {
  const read: AnswerEvent[] = [];
  let taken = 0;
  let isEnded = false;
  async function* source() {
    try {
      for (const message of messages) {
        taken++;
        yield message;
      }
    } finally {
      isEnded = true;
    }
  }
  const usage = new RunningUsage();
  const events = readAnswer(source(), {
    promptTokens: 3,
    usage,
    endTokens: new Set([...endTokens].map((letter) => letter.charCodeAt(0))),
    text: heldText(),
    stops: new StopStrings(stops),
    minTokens,
  });
  /** Whether the call was over when its end was told. */
  let isEndedBefore = false;
  for await (const event of events) {
    read.push(event);
    if (event.kind === 'end') isEndedBefore = isEnded;
    onEvent(event, usage);
  }
  return { events: read, taken, isEnded, isEndedBefore };
}

const textOf = (events: readonly AnswerEvent[]) =>
  events.map((event) => (event.kind === 'begin' ? '' : event.text)).join('');

describe('an answer of the engine', () => {
  it('is its text, the reason of its end, and what it used', async () => {
    const { events } = await eventsOf([chunk('ab', 2), chunk('cd', 2), complete('length')]);
    assert.deepEqual(events, [
      { kind: 'begin' },
      { kind: 'tokens', text: 'a', count: 2 },
      { kind: 'tokens', text: 'bc', count: 2 },
      {
        kind: 'end',
        text: 'd',
        reason: 'length',
        usage: { promptTokens: 3, completionTokens: 4, cachedTokens: 2 },
      },
    ]);
  });

  it('does not count the tokens that the last message repeats', async () => {
    const repeated: GenerateResponse = { complete: { finishReason: 'stop', cachedTokens: 1 } };
    const { events } = await eventsOf([chunk('ab'), { ...repeated, complete: { ...repeated.complete! } }]);
    const last = events.at(-1)!;
    assert.equal(last.kind === 'end' && last.usage.completionTokens, 2);
  });

  it('ends at a stop string, reads no further, and lets the call go', async () => {
    const { events, taken, isEnded } = await eventsOf([chunk('one, tw'), chunk('o, three'), chunk('four')], {
      stops: ['two'],
    });
    assert.equal(textOf(events), 'one, ');
    assert.deepEqual([taken, isEnded], [2, true]);
    const last = events.at(-1)!;
    assert.equal(last.kind === 'end' && last.reason, 'stop');
  });

  it('lets the call go before it tells its end, as the client may read slowly', async () => {
    const stopped = await eventsOf([chunk('one, tw'), chunk('o, three'), chunk('four')], { stops: ['two'] });
    assert.equal(stopped.isEndedBefore, true);
    const late = await eventsOf([chunk('one.'), complete('length'), chunk('more')], { stops: ['.'] });
    assert.equal(late.isEndedBefore, true);
  });

  it('counts what it has used from the first message on, for one that ends too early', async () => {
    const seen: object[] = [];
    const onEvent = (_: AnswerEvent, usage: RunningUsage) => void seen.push({ ...usage });
    await assert.rejects(eventsOf([chunk('ab', 2), chunk('cd', 2), complete('abort')], { onEvent }));
    assert.deepEqual(seen, [
      { promptTokens: 3, completionTokens: 0, cachedTokens: 2 },
      { promptTokens: 3, completionTokens: 2, cachedTokens: 2 },
      { promptTokens: 3, completionTokens: 4, cachedTokens: 2 },
    ]);
  });

  it('ends at a stop string whose last character waited for the end', async () => {
    const { events } = await eventsOf([chunk('one.'), complete('length')], { stops: ['.'] });
    const last = events.at(-1)!;
    assert.deepEqual([textOf(events), last.kind === 'end' && last.reason], ['one', 'stop']);
  });

  it('counts the tokens up to the stop string, however the engine packs its messages', async () => {
    const counts = [];
    for (const pieces of [['one, two, three'], ['one, tw', 'o, three'], [...'one, two, three']]) {
      const { events } = await eventsOf([...pieces.map((piece) => chunk(piece)), complete('stop')], {
        stops: ['two'],
      });
      const last = events.at(-1)!;
      assert.equal(textOf(events), 'one, ');
      counts.push(last.kind === 'end' && last.usage.completionTokens);
    }
    // One more, as the last character waits for the next token.
    assert.deepEqual(counts, [9, 9, 9]);
  });

  it('does not end at a stop string before it has the least number of tokens', async () => {
    const { events } = await eventsOf([chunk('a.b.c.d'), complete('length')], { stops: ['.'], minTokens: 5 });
    assert.equal(textOf(events), 'a.b.c');
  });

  it('has what waited for a stop string that did not come', async () => {
    const { events } = await eventsOf([chunk('one<|'), complete('length')], { stops: ['<|end|>'] });
    assert.equal(textOf(events), 'one<|');
  });

  it('counts the token that ends it and leaves out its text', async () => {
    const { events } = await eventsOf([chunk('ab$'), complete('stop')], { endTokens: '$' });
    const last = events.at(-1)!;
    assert.deepEqual([textOf(events), last.kind === 'end' && last.usage.completionTokens], ['ab', 3]);
  });

  it('that was aborted, failed, or ends without its last message is a failure', async () => {
    await assert.rejects(eventsOf([chunk('a'), complete('abort')]), /aborted at the engine/);
    await assert.rejects(eventsOf([chunk('a'), complete('error')]), /failed within its answer/);
    await assert.rejects(eventsOf([chunk('a')]), /without saying why/);
  });
});
