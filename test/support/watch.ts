/** Looking at a server through its admin listener. */
import { setTimeout as wait } from 'node:timers/promises';
import type { TestServer } from './server';
import { ask } from './workers';

/** Where the admin listener of a server is; with several workers, once the first of them is up. */
export async function adminUrl(server: TestServer): Promise<string> {
    const { msg } = await server.logged((record) => record.msg.startsWith('Health, metrics and status at '));
    return /<(.*)\/>/.exec(msg)![1]!;
}

/** Asks until the answer is one that is waited for. */
export async function untilAnswer(
    url: string,
    test: (answer: { status: number; text: string }) => boolean,
    within = 15_000,
): Promise<{ status: number; text: string }> {
    for (const end = Date.now() + within; ;) {
        const { status, body } = await ask(url);
        const answer = { status, text: body.toString() };
        if (test(answer)) {
            return answer;
        }
        if (Date.now() > end) {
            throw new Error(`${url} still answers ${status}: ${answer.text}`);
        }
        await wait(50);
    }
}
