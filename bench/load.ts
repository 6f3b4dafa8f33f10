/** What the load generator is asked to do: it runs in a process of its own, so that its work is not the server's. */
import { Helper } from './helper';
import type { Workplace } from './workplace';

export type LoadJob = {
    readonly port: number;
    readonly paths: readonly string[];
} & (
    | {
          readonly method: 'GET';
          /** Requests in all; the paths take turns. */
          readonly count: number;
          readonly connections: number;
      }
    | {
          /** Uploads to all paths at the same time. */
          readonly method: 'PUT';
          /** Bytes of each upload. */
          readonly bytes: number;
      }
);

export interface LoadResult {
    readonly seconds: number;
    /** Bytes of the bodies of all answers. */
    readonly bytes: number;
    /** Seconds within which 99 of 100 requests of the job had their answer. */
    readonly slowest: number;
}

/** Each call does one job. It fails if any answer is not a 200. */
export type Load = Helper<LoadJob, LoadResult>;

export function startLoad(workplace: Workplace): Load {
    return Helper.start(workplace, 'load-generator.js');
}
