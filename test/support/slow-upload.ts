/** An upload whose bytes are sent when the test says so. */
import http from 'node:http';
import { readdir, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { once } from 'node:events';
import { setTimeout as wait } from 'node:timers/promises';

import { credentials } from './signed';

export class SlowUpload {
    readonly #request: http.ClientRequest;
    /** The status of the answer; rejects if the connection breaks before there is one. */
    readonly answered: Promise<{ status: number; text: string }>;

    constructor(url: string, path: string) {
        const request = http.request(url + path, {
            method: 'PUT',
            agent: false,
            headers: credentials(),
        });
        this.#request = request;
        this.answered = new Promise((resolve, reject) => {
            request.once('error', reject).once('response', (res) => {
                let text = '';
                res.on('data', (chunk: Buffer) => (text += chunk.toString()))
                    .once('error', reject)
                    .once('end', () => resolve({ status: res.statusCode ?? 0, text }));
            });
        });
        // The test may look at it only later.
        this.answered.catch(() => undefined);
    }

    /** Sends bytes; resolves when the connection has taken them. */
    async send(bytes: Buffer): Promise<void> {
        if (!this.#request.write(bytes)) {
            await once(this.#request, 'drain');
        }
    }

    async finish(): Promise<{ status: number; text: string }> {
        this.#request.end();
        return this.answered;
    }
}

/** Waits until an unfinished file of the image has at least so many bytes; gives its name. */
export async function untilStaged(
    dataDir: string,
    uuid: string,
    bytes: number,
    within = 10_000,
): Promise<string> {
    const folder = join(dataDir, 'images', uuid.slice(0, 3), uuid);
    const end = Date.now() + within;
    while (Date.now() < end) {
        const names = await readdir(folder).catch(() => []);
        const name = names.find((candidate) => candidate.startsWith('file0.'));
        if (name !== undefined && (await stat(join(folder, name))).size >= bytes) {
            return name;
        }
        await wait(10);
    }
    throw new Error(`No unfinished file of image ${uuid} got ${bytes} bytes within ${within} ms.`);
}
