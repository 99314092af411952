/** Server-sent events, as OpenAI's clients read them (https://html.spec.whatwg.org/multipage/server-sent-events.html). */

/** One event. JSON has no line breaks of its own, so one `data` line holds it. */
export const sseEvent = (data: object): string => `data: ${JSON.stringify(data)}\n\n`;

/** Follows the last event of a whole answer. A broken answer ends without it. */
export const SSE_DONE = 'data: [DONE]\n\n';
