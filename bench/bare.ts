/** The calling side of the bare server: has it send what another server sends. */
import http, { type IncomingHttpHeaders, type OutgoingHttpHeaders } from 'node:http';
import type { BareAnswer } from './bare-server';
import { Helper } from './helper';
import type { Workplace } from './workplace';

/** Headers that node:http writes itself, or that are about the connection. */
const OWN_HEADERS = ['date', 'connection', 'keep-alive', 'transfer-encoding', 'content-length'];

export class BareServer {
    private constructor(private readonly helper: Helper<BareAnswer, number>) {}

    static start(workplace: Workplace): BareServer {
        return new BareServer(Helper.start(workplace, 'bare-server.js'));
    }

    get pid(): number {
        return this.helper.pid;
    }

    /** From now on answers all requests as the server on `port` answers this one; gives its own port. */
    async imitate(port: number, path: string): Promise<number> {
        const { headers, body } = await fetchWhole(port, path);
        const sent: OutgoingHttpHeaders = Object.fromEntries(
            Object.entries(headers).filter(([name]) => !OWN_HEADERS.includes(name)),
        );
        return this.helper.call({ headers: { ...sent, 'content-length': body.length }, body });
    }

    stop(): Promise<void> {
        return this.helper.stop();
    }
}

/** One answer, on a connection of its own. @throws Error if it is not a 200 */
export function fetchWhole(
    port: number,
    path: string,
): Promise<{ headers: IncomingHttpHeaders; body: Buffer }> {
    return new Promise((resolve, reject) => {
        http.get({ host: '127.0.0.1', port, path, agent: false }, (res) => {
            const chunks: Buffer[] = [];
            res.on('data', (chunk: Buffer) => chunks.push(chunk));
            res.once('error', reject);
            res.once('end', () => {
                const body = Buffer.concat(chunks);
                if (res.statusCode === 200) {
                    resolve({ headers: res.headers, body });
                } else {
                    reject(
                        new Error(
                            `GET ${path} was answered with ${res.statusCode ?? ''}: ${body.toString()}`,
                        ),
                    );
                }
            });
        }).once('error', reject);
    });
}

/** How many manifests a list has. */
export async function listLength(port: number, path: string): Promise<number> {
    const { body } = await fetchWhole(port, path);
    return (JSON.parse(body.toString()) as unknown[]).length;
}
