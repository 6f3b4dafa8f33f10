/** What the slow clients are asked to do: they live in a process of their own, for as long as they are wanted. */
import { Helper } from './helper';
import type { Workplace } from './workplace';

export type SlowClientsJob =
    | {
          /** Resolves once all of them have a connection and have begun to send. */
          readonly kind: 'start';
          readonly port: number;
          /** Clients that never end the head of their request. */
          readonly heads: number;
          /** Where the others upload to, each a body that hardly moves. */
          readonly paths: readonly string[];
      }
    /** Resolves once the server has closed the last of the heads. */
    | { readonly kind: 'await-heads' }
    /** Ends what is left. */
    | { readonly kind: 'stop' };

export interface SlowClientsResult {
    /** Seconds from the start until the last head was closed by the server; 0 if none was. */
    readonly lastHeadClosed: number;
}

export type SlowClients = Helper<SlowClientsJob, SlowClientsResult>;

export function startSlowClients(workplace: Workplace): SlowClients {
    return Helper.start(workplace, 'slow-clients-process.js');
}
