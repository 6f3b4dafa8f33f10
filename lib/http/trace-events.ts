/** Events of requests for trace viewers (metrics-and-extras.md §3): records of the log at level debug. */
import type { Route } from '../api/route';
import type { HttpCall } from './call';
import { seriesName } from './series-name';

const DEBUG = 20;

/** Signs of life, of which there are very many. */
const LEFT_OUT: ReadonlySet<string> = new Set(['ping', 'gethealth', 'getreadiness']);

let counter = -1;

/** The request has a route: its answer begins to be made. */
export function traceBegin(call: HttpCall, route: Route): void {
    const name = seriesName(route);
    if (call.services.log.level() > DEBUG || LEFT_OUT.has(name)) {
        return;
    }
    counter = (counter + 1) % 1000;
    const event = { name, req_seq: Date.now() * 1000 + counter };
    call.event = event;
    call.log.debug({ evt: { ph: 'b', ...event } });
}

/** A request whose begin was told has ended. */
export function traceEnd({ event, log }: HttpCall): void {
    log.debug({ evt: { ph: 'e', ...event } });
}
