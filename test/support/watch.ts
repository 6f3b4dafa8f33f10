/** Looking at a server through its admin listener. */
import { setTimeout as wait } from 'node:timers/promises';
import type { TestServer } from './server';

/** Where the admin listener of a server is; with several workers, once the first of them is up. */
export async function adminUrl(server: TestServer): Promise<string> {
    const { msg } = await server.logged((record) => record.msg.startsWith('Health, metrics and status at '));
    return /<(.*)\/>/.exec(msg)![1]!;
}

/** A connection that was on its way to a worker that is killed may get no answer: then the status is 0. */
async function tryAsk(url: string): Promise<{ status: number; text: string }> {
    try {
        const answer = await fetch(url, {
            headers: { connection: 'close' },
            signal: AbortSignal.timeout(3000),
        });
        return { status: answer.status, text: await answer.text() };
    } catch (err) {
        return { status: 0, text: String(err) };
    }
}

/** Asks until the answer is one that is waited for. */
export async function untilAnswer(
    url: string,
    test: (answer: { status: number; text: string }) => boolean,
    within = 15_000,
): Promise<{ status: number; text: string }> {
    for (const end = Date.now() + within; ;) {
        const answer = await tryAsk(url);
        if (test(answer)) {
            return answer;
        }
        if (Date.now() > end) {
            throw new Error(`${url} still answers ${answer.status}: ${answer.text}`);
        }
        await wait(50);
    }
}
