import { type LocalReplyReason, ModelReplyReasons } from '../core/outcome/local-reply-reason.js';
import { NO, YES } from '../health/model/responder.js';
import { headerViewOf } from '../http2/header-view.js';
import { type LocalReply, makeLocalReply } from '../relay/local-reply.js';
import type { StoredResponse } from '../relay/response.js';
import type { InboundCall } from './call.js';
import type { ModelBackend } from './model-backend.js';
import { targetOf } from './model-methods.js';
import { ModelRoutedCall } from './model-routed-call.js';

/**
 * Which of several models a call is for. Its first message says so; a method that names no model goes to any model that
 * is ready, or is answered for all of them.
 */
export class ModelRouter {
  constructor(
    private readonly backends: readonly ModelBackend[],
    private readonly service: string,
  ) {}

  /** ServerLive and ServerReady of the inference protocol, answered for all models; null: another method. */
  serverResponse(path: string): StoredResponse | null {
    const { kind } = targetOf(path);
    if (kind === 'live') return YES;
    return kind === 'ready' ? (this.anyReady() === undefined ? NO : YES) : null;
  }

  /** Sets the call's model, or returns the reply to a call that is for none. A named call has been read before. */
  route(call: InboundCall): LocalReply | null {
    const { path } = headerViewOf(call.block);
    if (call instanceof ModelRoutedCall) return this.routeByName(call);
    if (targetOf(path).kind === 'none')
      return makeLocalReply(ModelReplyReasons.noModelMethod, { path, service: this.service });
    return this.routeToAny(call);
  }

  private routeByName(call: ModelRoutedCall): LocalReply | null {
    const { problem, model, method } = call;
    if (problem !== '') {
      const reason = call.isMalformed ? ModelReplyReasons.noMessage : ModelReplyReasons.unreadable;
      return makeLocalReply(reason, { detail: problem });
    }
    // The health of the server as a whole, where that is not known here.
    if (method.isHealth && model === '') return this.routeToAny(call);
    const backend = this.backends.find(({ name }) => name === model);
    if (backend === undefined) {
      const { unknownService, unknownModel } = ModelReplyReasons;
      const reason: LocalReplyReason = method.isHealth ? unknownService : unknownModel;
      return makeLocalReply(reason, { model });
    }
    call.backend = backend;
    return null;
  }

  private routeToAny(call: InboundCall): null {
    call.backend = this.anyReady() ?? this.backends[0]!;
    return null;
  }

  private anyReady(): ModelBackend | undefined {
    return this.backends.find(({ state }) => state.kind === 'ready');
  }
}
