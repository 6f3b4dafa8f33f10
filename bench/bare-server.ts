/** The floor of all small answers, a process of its own: `node:http` sending ready bytes, and nothing else. */
import { once } from 'node:events';
import { createServer, type OutgoingHttpHeaders } from 'node:http';
import type { AddressInfo } from 'node:net';
import { answerCalls } from './helper';

/** What to answer every request with, from the call on. */
export interface BareAnswer {
    readonly headers: OutgoingHttpHeaders;
    readonly body: Uint8Array;
}

let headers: OutgoingHttpHeaders = {};
let body: Uint8Array = Buffer.alloc(0);

const server = createServer((_req, res) => {
    res.writeHead(200, headers);
    res.end(body);
});

/** Gives the port. */
async function answerWith(answer: BareAnswer): Promise<number> {
    ({ headers, body } = answer);
    if (!server.listening) {
        server.listen(0, '127.0.0.1');
        await once(server, 'listening');
    }
    return (server.address() as AddressInfo).port;
}

answerCalls(answerWith);
