/** What parent and workers say to each other, over the channel that Node.js gives them. */
import type { Certificates } from '../config/certificates';
import type { Config } from '../config/types';
import type { Verbosity } from '../log';
import type { Gathered, PermitKind } from './driver';

/** What a worker is started with: checked by the parent, so that a worker that takes the place of another one gets the same. */
export interface Settings {
    readonly config: Config;
    /** How much is logged. */
    readonly verbosity: Verbosity;
    /** There if it listens by TLS. Workers may not be allowed to read the files. */
    readonly certificates?: Certificates;
}

export type ToWorker =
    | { readonly kind: 'start'; readonly settings: Settings }
    /** Finish what is under way, and end. @see App.stop */
    | { readonly kind: 'stop'; readonly patience: number }
    /** A connection, which comes along. */
    | { readonly kind: 'serve'; readonly secure: boolean }
    | { readonly kind: 'ask'; readonly id: number; readonly about: string; readonly question: unknown }
    | { readonly kind: 'gathered'; readonly id: number; readonly gathered: readonly Gathered<unknown>[] }
    | { readonly kind: 'grant'; readonly pool: PermitKind; readonly count: number }
    | { readonly kind: 'refuse'; readonly pool: PermitKind; readonly id: number }
    | { readonly kind: 'tighten'; readonly pool: PermitKind; readonly on: boolean };

export type FromWorker =
    /** It takes connections. */
    | { readonly kind: 'up' }
    /** It has the connection that was handed to it last, and takes another one. */
    | { readonly kind: 'taken' }
    /** It is about to end, though nobody has asked it to. */
    | { readonly kind: 'leaving' }
    | {
          readonly kind: 'gather';
          readonly id: number;
          readonly about: string;
          readonly question: unknown;
          readonly within: number;
      }
    | { readonly kind: 'answer'; readonly id: number; readonly gathered: Gathered<unknown> }
    | { readonly kind: 'want'; readonly pool: PermitKind; readonly id: number }
    | { readonly kind: 'cancel'; readonly pool: PermitKind; readonly id: number }
    | {
          readonly kind: 'give-back';
          readonly pool: PermitKind;
          readonly count: number;
          readonly confirms: boolean;
      };
