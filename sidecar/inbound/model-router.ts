/**
 * Which of several models a call is for. The first message says; where no model is asked for, any that is ready will do,
 * or the sidecar answers for all. What goes to no model is answered here.
 */

import { type LocalReplyReason, ModelReasons } from '../core/outcome/local-reply-reason.js';
import { NO, YES } from '../health/model/responder.js';
import { headerViewOf } from '../http2/header-view.js';
import type { HeaderBlock } from '../http2/hpack/header-list.js';
import type { Stream } from '../http2/stream.js';
import { makeLocalReply } from '../relay/local-reply.js';
import { sendLocalReply, sendStored } from '../relay/response.js';
import type { DataPlaneContext } from '../transport/context.js';
import type { Session } from '../transport/session.js';
import { InboundCall } from './call.js';
import type { ModelBackend } from './model-backend.js';
import { targetOf } from './model-methods.js';
import { ModelRoutedCall, type ModelRoutedHandler } from './model-routed-call.js';

/** What comes next for a call to the model at this place among the slots. */
export type Enter = (call: InboundCall, at: number, path: string) => void;

export class ModelRouter {
  private readonly places = new Map<string, number>();

  constructor(
    private readonly slots: readonly ModelBackend[],
    private readonly service: string,
    private readonly enter: Enter,
  ) {
    for (const [i, { name }] of slots.entries()) this.places.set(name, i);
  }

  /** A call that is looked at for names, where its method has any. */
  makeCall(
    context: DataPlaneContext,
    story: ModelRoutedHandler,
    session: Session,
    stream: Stream,
    block: HeaderBlock,
    ended: boolean,
  ): InboundCall {
    const target = targetOf(headerViewOf(block).path);
    if (target.kind !== 'named') return new InboundCall(context, story, session, stream, block, ended);
    return new ModelRoutedCall(context, story, session, stream, block, ended, target);
  }

  choose(call: InboundCall, path: string): void {
    if (call instanceof ModelRoutedCall) {
      call.isAwaited = true;
      return void call.readName();
    }
    const target = targetOf(path);
    if (target.kind === 'live') return sendStored(call, YES);
    if (target.kind === 'ready') return sendStored(call, this.anyReady() < 0 ? NO : YES);
    if (target.kind === 'any') return this.enterAny(call, path);
    const values = { path, service: this.service };
    sendLocalReply(call, makeLocalReply(ModelReasons.noModelMethod, values));
  }

  /** Its first message has been read as far as it could be. */
  onNamed(call: ModelRoutedCall): void {
    const { path } = headerViewOf(call.block);
    const { problem, model, method } = call;
    if (problem !== '') {
      const reason = call.isMalformed ? ModelReasons.noMessage : ModelReasons.unreadable;
      return sendLocalReply(call, makeLocalReply(reason, { detail: problem }));
    }
    // The server as a whole, where that is not known here.
    if (method.isHealth && model === '') return this.enterAny(call, path);
    const at = this.places.get(model);
    if (at !== undefined) return this.enter(call, at, path);
    const reason: LocalReplyReason = method.isHealth
      ? ModelReasons.unknownService
      : ModelReasons.unknownModel;
    sendLocalReply(call, makeLocalReply(reason, { model }));
  }

  onOtherModel(call: ModelRoutedCall, other: string): void {
    const reason = ModelReasons.otherModel;
    sendLocalReply(call, makeLocalReply(reason, { model: call.model, other }));
  }

  private enterAny(call: InboundCall, path: string): void {
    this.enter(call, Math.max(0, this.anyReady()), path);
  }

  private anyReady(): number {
    return this.slots.findIndex(({ state }) => state.kind === 'ready');
  }
}
